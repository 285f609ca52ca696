import type { Block, Configuration } from '../../compiler/contracts/index.ts';
import type { VisitCost } from './cpu.ts';
import { ran, type Visit } from './visits.ts';

/** What the operating system says of one unit, all its replicas together. */
export interface UnitCpu {
  readonly components: readonly string[];
  readonly cpuMsPerRequest: number;
  /** Over all blocks. The system counts in ticks, often of 10 ms, so a small sum is mostly rounding. */
  readonly cpuSeconds: number;
}

export function unitCpu(configuration: Configuration, blocks: readonly { readonly block: Block }[]): UnitCpu[] {
  const served = blocks.reduce((sum, { block }) => sum + Object.values(block.classes).reduce((all, { requests }) => all + requests, 0), 0);
  return configuration.units.map(({ id, components }) => {
    const cpuSeconds = blocks
      .flatMap(({ block }) => block.usage)
      .filter((usage) => usage.id === id)
      .reduce((sum, usage) => sum + usage.cpuSeconds, 0);
    return { components, cpuMsPerRequest: served > 0 ? (cpuSeconds * 1000) / served : 0, cpuSeconds };
  });
}

/** Ten ticks of 10 ms: below, the system's own count is too coarse to correct anything by. */
const enoughCpuSeconds = 0.1;

/**
 * The event loop counts as busy also while the process waits for a core, so on a busy host turns seem to use more CPU
 * than the operating system gave to their unit. There the turns of that unit are scaled down to what it was given, and
 * the wait for a core is no part of their own time.
 */
export function withoutPreemption(
  costs: ReadonlyMap<Visit, VisitCost>,
  units: readonly UnitCpu[],
  requests: number,
): ReadonlyMap<Visit, VisitCost> {
  const scale = new Map<string, number>();
  for (const { components, cpuMsPerRequest, cpuSeconds } of units) {
    if (cpuSeconds < enoughCpuSeconds || requests === 0) continue;
    let tracedMs = 0;
    for (const [visit, { cpuMs }] of costs) if (cpuMs !== null && components.includes(visit.component)) tracedMs += cpuMs;
    if (tracedMs / requests > cpuMsPerRequest) for (const name of components) scale.set(name, (cpuMsPerRequest * requests) / tracedMs);
  }
  if (scale.size === 0) return costs;
  return new Map(
    [...costs].map(([visit, cost]) => {
      const factor = scale.get(visit.component);
      if (factor === undefined || cost.cpuMs === null) return [visit, cost];
      const cpuMs = cost.cpuMs * factor;
      return [visit, { ...cost, cpuMs, wallMs: cost.wallMs - (cost.cpuMs - cpuMs) }];
    }),
  );
}

export interface UsualCpu {
  /** Mean own CPU per visit: from undisturbed turns, else a share of what the operating system says of the unit. */
  readonly cpuMs: ReadonlyMap<string, number>;
  /** Per visit from the operating system, for components with a unit of their own. */
  readonly osCpuMs: ReadonlyMap<string, number>;
  /** All units together, per request. */
  readonly totalCpuMsPerRequest: number;
}

export function usualCpu(units: readonly UnitCpu[], visits: readonly (readonly Visit[])[], costs: ReadonlyMap<Visit, VisitCost>): UsualCpu {
  const n = Math.max(1, visits.length);
  const perComponent = new Map<string, { visits: number; wallMs: number; known: number[] }>();
  for (const visit of visits.flat()) {
    if (!ran(visit)) continue;
    const entry = perComponent.get(visit.component) ?? { visits: 0, wallMs: 0, known: [] };
    perComponent.set(visit.component, entry);
    const cost = costs.get(visit);
    entry.visits++;
    entry.wallMs += cost?.wallMs ?? 0;
    if (cost?.cpuMs !== undefined && cost.cpuMs !== null) entry.known.push(cost.cpuMs);
  }
  const osCpuMs = new Map<string, number>();
  const cpuMs = new Map<string, number>();
  let total = 0;
  for (const { components, cpuMsPerRequest: unitMs } of units) {
    total += unitMs;
    const members = components.flatMap((name) => {
      const seen = perComponent.get(name);
      return seen ? [{ name, ...seen }] : [];
    });
    const [only] = members;
    if (components.length === 1 && only && unitMs > 0) osCpuMs.set(only.name, unitMs / (only.visits / n));
    let left = unitMs;
    for (const { name, known, visits: count } of members) {
      if (known.length === 0) continue;
      const mean = known.reduce((a, b) => a + b, 0) / known.length;
      cpuMs.set(name, mean);
      left -= (mean * count) / n;
    }
    // What the traces cannot tell apart is split by wall time, and nobody gets more than that.
    const unknown = members.filter(({ name }) => !cpuMs.has(name));
    const wall = unknown.reduce((sum, member) => sum + member.wallMs, 0);
    for (const { name, wallMs, visits: count } of unknown) {
      const share = wall > 0 ? (Math.max(0, left) * n * wallMs) / wall / count : 0;
      cpuMs.set(name, Math.min(share, wallMs / count));
    }
  }
  return { cpuMs, osCpuMs, totalCpuMsPerRequest: total };
}
