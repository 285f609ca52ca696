import type { Block } from '../compiler/contracts/index.ts';
import type { ReportUnitUsage } from './report.ts';

/**
 * What targets with counters tell of each unit and service over blocks: how long its CPU limit held it, and what went over
 * its networks. Undefined where no block has counters. Counters run over warm-up and measurement together.
 */
export function unitUsage(blocks: readonly Block[]): readonly ReportUnitUsage[] | undefined {
  const units = new Map<
    string,
    { seconds: number; throttled: number; received: number; sent: number; requests: number; counted: boolean }
  >();
  for (const block of blocks) {
    const blockSeconds = (block.warmupMs + block.durationMs) / 1_000;
    const measured = Object.values(block.classes).reduce((sum, { requests }) => sum + requests, 0);
    const requests = measured * (block.durationMs > 0 ? (block.warmupMs + block.durationMs) / block.durationMs : 1);
    for (const id of new Set(block.usage.map((usage) => usage.id))) {
      const replicas = block.usage.filter((usage) => usage.id === id);
      const total = units.get(id) ?? { seconds: 0, throttled: 0, received: 0, sent: 0, requests: 0, counted: false };
      const sum = (key: 'throttledSeconds' | 'receivedBytes' | 'sentBytes') => replicas.reduce((all, usage) => all + (usage[key] ?? 0), 0);
      units.set(id, {
        seconds: total.seconds + blockSeconds * replicas.length,
        throttled: total.throttled + sum('throttledSeconds'),
        received: total.received + sum('receivedBytes'),
        sent: total.sent + sum('sentBytes'),
        requests: total.requests + requests,
        counted: total.counted || replicas.some((usage) => usage.throttledSeconds !== undefined || usage.receivedBytes !== undefined),
      });
    }
  }
  const rows = [...units].filter(([, { counted }]) => counted);
  if (rows.length === 0) return undefined;
  const per = (value: number, of: number) => (of > 0 ? value / of : 0);
  return rows.map(([id, total]) => ({
    id,
    throttledShare: per(total.throttled, total.seconds),
    receivedBytesPerRequest: per(total.received, total.requests),
    sentBytesPerRequest: per(total.sent, total.requests),
  }));
}
