import type Docker from 'dockerode';
import type { ReplicaUsage } from '../supervise/host.ts';

/** What the engine tells of a container, as far as we read it. */
export interface ContainerStats {
  readonly cpu_stats?: {
    readonly cpu_usage?: { readonly total_usage?: number };
    readonly throttling_data?: { readonly throttled_time?: number };
  };
  readonly memory_stats?: { readonly usage?: number; readonly max_usage?: number };
  readonly networks?: { readonly [name: string]: { readonly rx_bytes: number; readonly tx_bytes: number } };
}

/**
 * Cumulative usage of one container: counters never fall, and stay when it has ended. Peaks of memory are the kernel's
 * where it keeps them (cgroup v1), else the highest seen. Bytes are those of all its networks, control and traces included.
 */
export function usageOf(container: Docker.Container): () => Promise<ReplicaUsage> {
  let last: ReplicaUsage = { cpuSeconds: 0, peakMemoryMb: 0 };
  return async () => {
    // One-shot: without it the engine waits for a second reading.
    const stats = (await container.stats({ stream: false, 'one-shot': true }).catch(() => null)) as ContainerStats | null;
    if (stats !== null) last = highest(last, usageFrom(stats));
    return last;
  };
}

export function usageFrom({ cpu_stats, memory_stats, networks }: ContainerStats): ReplicaUsage {
  const throttledNs = cpu_stats?.throttling_data?.throttled_time;
  const cards = Object.values(networks ?? {});
  return {
    cpuSeconds: (cpu_stats?.cpu_usage?.total_usage ?? 0) / 1e9,
    peakMemoryMb: (memory_stats?.max_usage ?? memory_stats?.usage ?? 0) / 2 ** 20,
    ...(throttledNs === undefined ? {} : { throttledSeconds: throttledNs / 1e9 }),
    ...(networks === undefined
      ? {}
      : {
          receivedBytes: cards.reduce((sum, card) => sum + card.rx_bytes, 0),
          sentBytes: cards.reduce((sum, card) => sum + card.tx_bytes, 0),
        }),
  };
}

function highest(a: ReplicaUsage, b: ReplicaUsage): ReplicaUsage {
  const keys = ['throttledSeconds', 'receivedBytes', 'sentBytes'] as const;
  const counted = keys.filter((key) => a[key] !== undefined || b[key] !== undefined);
  return {
    cpuSeconds: Math.max(a.cpuSeconds, b.cpuSeconds),
    peakMemoryMb: Math.max(a.peakMemoryMb, b.peakMemoryMb),
    ...Object.fromEntries(counted.map((key) => [key, Math.max(a[key] ?? 0, b[key] ?? 0)])),
  };
}
