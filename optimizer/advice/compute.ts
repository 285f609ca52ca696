import type { Configuration, Resources } from '../../compiler/contracts/index.ts';
import type { Range } from '../../reports/analysis.ts';
import type { PricesConfig } from '../../scenarios/schema.ts';
import { replicaUsdPerHour } from '../predict/pricing.ts';
import { serversFor } from '../predict/queueing.ts';

/**
 * What one process may have: traces do not say. From the smallest size AWS Fargate sells (0.25 vCPU with 0.5 GB) to one
 * core, about the most one event loop or interpreter uses, with the memory Fargate sells with it at least (2 GB).
 */
export const processSizes: { readonly low: Resources; readonly high: Resources } = {
  low: { vcpu: 0.25, memoryMb: 512 },
  high: { vcpu: 1, memoryMb: 2048 },
};

export const processesOf = (layout: Configuration): number => layout.units.reduce((sum, unit) => sum + unit.replicas, 0);

/** The layout with as many replicas as carry the load when components keep this many cores busy. */
export function withReplicasFor(layout: Configuration, busyCores: (component: string) => number): Configuration {
  const needed = (components: readonly string[]) => serversFor(components.reduce((sum, name) => sum + busyCores(name), 0));
  return { ...layout, units: layout.units.map((unit) => ({ ...unit, replicas: Math.max(unit.replicas, needed(unit.components)) })) };
}

/**
 * Share of what all processes cost that a layout saves. At best a process costs the same whatever it holds; at worst a joined one
 * needs the memory of all it was joined from, and as many replicas as `hard`, the layout where all own time is CPU.
 */
export function computeSaving(now: Configuration, then: Configuration, hard: Configuration, pricing: PricesConfig): Range {
  const before = processesOf(now);
  if (before === 0) return { low: 0, high: 0 };
  const needed = processesOf(hard);
  // Memory is kept only where units were joined; fewer replicas of the same unit do give theirs back.
  const memories = hard.units.reduce((sum, unit) => {
    const from = now.units.filter((old) => old.components.some((name) => unit.components.includes(name))).length;
    return sum + unit.replicas * Math.max(1, from);
  }, 0);
  const { vcpu, memoryMb } = processSizes.low;
  const cpuUsd = vcpu * pricing.vcpuHourUsd;
  const memoryUsd = (memoryMb / 1024) * pricing.memoryGbHourUsd;
  const whole = before * (cpuUsd + memoryUsd);
  const worst = whole > 0 ? 1 - (needed * cpuUsd + memories * memoryUsd) / whole : 0;
  return { low: Math.min(worst, 1 - needed / before), high: 1 - processesOf(then) / before };
}

/** USD per 1000 requests of so many processes at this rate. */
export function processesUsdPer1000(processes: number, perSecond: number, pricing: PricesConfig): Range | null {
  if (!(perSecond > 0)) return null;
  const usd = (resources: Resources) => (processes * replicaUsdPerHour(resources, pricing)) / (perSecond * 3.6);
  return { low: usd(processSizes.low), high: usd(processSizes.high) };
}
