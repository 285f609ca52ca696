import type Docker from 'dockerode';
import { describe, expect, it } from 'vitest';
import { type ContainerStats, usageFrom, usageOf } from '../../../../runtime/targets/docker/usage.ts';
import { addUsage, noUsage } from '../../../../runtime/targets/supervise/slot.ts';

const stats = (throttled: number, bytes: number): ContainerStats => ({
  cpu_stats: { cpu_usage: { total_usage: 2e9 }, throttling_data: { throttled_time: throttled * 1e9 } },
  memory_stats: { usage: 2 ** 20, max_usage: 3 * 2 ** 20 },
  networks: { eth0: { rx_bytes: bytes, tx_bytes: 1 }, eth1: { rx_bytes: 10, tx_bytes: 2 } },
});

describe('what the engine counts', () => {
  it('becomes seconds, megabytes and bytes over all networks', () => {
    expect(usageFrom(stats(0.5, 100))).toEqual({ cpuSeconds: 2, peakMemoryMb: 3, throttledSeconds: 0.5, receivedBytes: 110, sentBytes: 3 });
    // A container without networks, and cgroup v2, which keeps no peak.
    expect(usageFrom({ memory_stats: { usage: 2 ** 20 } })).toEqual({ cpuSeconds: 0, peakMemoryMb: 1 });
  });

  it('stays when the container is gone', async () => {
    const answers = [stats(0.5, 100), {}, null];
    const container = {
      stats: async () => {
        const answer = answers.shift();
        if (answer === null) throw new Error('no such container');
        return answer;
      },
    } as unknown as Docker.Container;
    const usage = usageOf(container);
    const first = await usage();
    expect(await usage()).toEqual(first);
    expect(await usage()).toEqual(first);
  });

  it('adds up over restarts, and is not made up where one life did not count', () => {
    const counted = usageFrom(stats(0.5, 100));
    expect(addUsage(counted, counted)).toMatchObject({ throttledSeconds: 1, receivedBytes: 220 });
    expect(addUsage(noUsage, counted)).toMatchObject({ throttledSeconds: 0.5 });
    expect(addUsage(noUsage, noUsage)).not.toHaveProperty('throttledSeconds');
  });
});
