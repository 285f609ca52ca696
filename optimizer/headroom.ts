import {
  type Block,
  type Configuration,
  entryComponent,
  type Headroom,
  type Profile,
  type SkeletonVisit,
} from '../compiler/contracts/index.ts';
import { poolUsdPerHour } from '../runtime/llm/engine/pool-size.ts';
import type { PricesConfig } from '../scenarios/schema.ts';
import { allocatedUsdPerHour, replicaUsdPerHour } from './predict/pricing.ts';
import { serversFor } from './predict/queueing.ts';
import type { ObjectiveConfig } from './search/objective.ts';
import { resourceChoices } from './space/choices.ts';
import { minimumUnits, replicaRange } from './space/partitions.ts';
import { servingPlanCount } from './space/serving-plans.ts';
import type { Space } from './space/space.ts';

export interface HeadroomInput {
  readonly profile: Profile;
  /** What the baseline did, and how it is laid out. */
  readonly baseline: Block;
  readonly baselineConfiguration: Configuration;
  readonly pricing: PricesConfig;
  readonly space: Space;
  readonly objective: Pick<ObjectiveConfig, 'minimize' | 'margin'>;
}

/**
 * The most any layout could save: latency with no hop and no wait (own work, model calls and the ingress stay), cost
 * with the fewest replicas that carry the components' own CPU within `apart` and replica limits, on the cheapest
 * resources. What does not depend on the layout (tokens) stays in both; model servers count with the cheapest way to serve
 * the models, and their calls with no time where serving is searched. Optimistic on purpose: when
 * even this is not worth it, nothing is.
 */
export function computeHeadroom(input: HeadroomInput): Headroom {
  const { profile, baseline, objective } = input;
  const latency: Record<string, { baselineMs: number; boundMs: number; savingShare: number }> = {};
  const quiet = input.space.workflow.entry.kind === 'topic';
  // How fast a model could answer if it were served otherwise nobody knows yet.
  const modelsStay = servingPlanCount(input.space) <= 1;
  for (const [name, result] of Object.entries(baseline.classes)) {
    const replays = profile.skeletons
      .filter((skeleton) => skeleton.requestClass === name)
      .map((skeleton) => idleMs(skeleton.root, quiet, modelsStay))
      .sort((a, b) => a - b);
    if (!result.latencyMs || replays.length === 0) continue;
    const baselineMs = result.latencyMs.p50;
    const boundMs = Math.min(baselineMs, median(replays) + profile.criticalPath.ingress * baselineMs);
    latency[name] = { baselineMs, boundMs, savingShare: saving(baselineMs, boundMs) };
  }
  const cost = costHeadroom(input);
  const cpuSaving = cpuSavingShare(input);
  const latencySaving = Math.max(0, ...Object.values(latency).map((entry) => entry.savingShare));
  const worthwhile = objective.minimize.some((metric) => {
    if (metric === 'cost') return cost.savingShare > objective.margin;
    if (metric === 'cpu') return cpuSaving > objective.margin;
    // Who shares a unit decides it, and any other layout has other rights.
    if (metric === 'grants') return true;
    return latencySaving > objective.margin;
  });
  const communicationShare = profile.criticalPath.communication;
  const queueingShare = profile.criticalPath.queueing;
  const most = `At most ${percent(latencySaving)} of latency and ${percent(cost.savingShare)} of cost could be saved by any layout`;
  const where = `${percent(communicationShare)} of latency is communication and ${percent(queueingShare)} is queueing`;
  return {
    latency,
    cost,
    communicationShare,
    queueingShare,
    sentence: worthwhile
      ? `${most}; ${where}.`
      : `${most}, which is within the margin of ${percent(objective.margin)} for what is minimized: no layout is worth a change (${where}).`,
    worthwhile,
  };
}

/** Duration of a visit when hops are free and nothing waits; model calls as measured, or in no time. */
export function idleMs(visit: SkeletonVisit, untilQuiet = false, modelsStay = true): number {
  let ms = 0;
  let quietMs = 0;
  for (const phase of visit.phases) {
    ms += Math.max(phase.selfMs, phase.cpuMs);
    let longest = 0;
    for (const call of phase.calls) {
      const duration = call.kind === 'model' ? (modelsStay ? call.measuredMs : 0) : idleMs(call.visit, untilQuiet, modelsStay);
      quietMs = Math.max(quietMs, ms + duration);
      if (call.kind === 'model' || call.pattern === 'request' || call.pattern === 'stream') longest = Math.max(longest, duration);
    }
    ms += longest;
  }
  return untilQuiet ? Math.max(ms, quietMs) : ms;
}

function costHeadroom(input: HeadroomInput): Headroom['cost'] {
  const { baseline, baselineConfiguration, pricing, space } = input;
  const baselineUsdPer1000 = baseline.money.usdPer1000Requests;
  const rate = baseline.load.deliveredPerSecond || baseline.load.offeredPerSecond;
  if (!(rate > 0)) return { baselineUsdPer1000, boundUsdPer1000: 0, savingShare: baselineUsdPer1000 > 0 ? 1 : 0 };
  const per1000 = 1 / (rate * 3.6);
  const fixed = Math.max(0, baselineUsdPer1000 - allocatedUsdPerHour(baselineConfiguration, pricing) * per1000);
  const replicas = fewestReplicas(input, rate);
  const cheapest = Math.min(
    ...space.components.flatMap((name) => resourceChoices(space, [name]).map((choice) => replicaUsdPerHour(choice, pricing))),
  );
  const boundUsdPer1000 = Math.min(baselineUsdPer1000, fixed + (replicas * cheapest + leastGpuUsd(input)) * per1000);
  return { baselineUsdPer1000, boundUsdPer1000, savingShare: saving(baselineUsdPer1000, boundUsdPer1000) };
}

/** GPUs of the cheapest way to serve the models. */
const leastGpuUsd = ({ space, pricing }: HeadroomInput): number =>
  Math.min(
    ...space.serving.map(({ pools }) =>
      pools.reduce(
        (sum, { options }) =>
          sum + Math.min(...options.map((setting) => poolUsdPerHour(setting.options, setting.replicas, pricing.gpuHourUsd))),
        0,
      ),
    ),
  );

/** Own CPU of all components in busy cores, at this rate of requests. */
function fewestReplicas({ profile, space }: HeadroomInput, perSecond: number): number {
  const placed = new Set(space.components);
  let cpuMs = placed.has(safeEntry(space)) ? profile.overheadCpuMsPerRequest : 0;
  for (const [name, component] of Object.entries(profile.components)) {
    if (placed.has(name)) cpuMs += component.visitsPerRequest * component.cpuMs.mean;
  }
  const units = minimumUnits(space);
  const leastOfUnits = Number.isFinite(units) ? units : space.components.length;
  const largestMinimum = Math.max(1, ...space.components.map((name) => replicaRange(space, [name]).min));
  return Math.max(leastOfUnits, leastOfUnits - 1 + largestMinimum, serversFor((cpuMs * perSecond) / 1000));
}

/** Share of the CPU that is neither the components' own work nor the ingress. */
function cpuSavingShare({ profile, baseline, baselineConfiguration }: HeadroomInput): number {
  const units = new Set(baselineConfiguration.units.map((unit) => unit.id));
  const requests = Object.values(baseline.classes).reduce((sum, result) => sum + result.requests, 0);
  const usedMs = baseline.usage.filter((usage) => units.has(usage.id)).reduce((sum, usage) => sum + usage.cpuSeconds * 1000, 0);
  if (requests === 0 || usedMs === 0) return 0;
  const own = Object.values(profile.components).reduce((sum, entry) => sum + entry.visitsPerRequest * entry.cpuMs.mean, 0);
  return saving(usedMs / requests, own + profile.overheadCpuMsPerRequest);
}

function safeEntry(space: Space): string {
  try {
    return entryComponent(space.workflow);
  } catch {
    return '';
  }
}

const saving = (now: number, bound: number): number => (now > 0 ? Math.max(0, 1 - bound / now) : 0);
const percent = (share: number): string => `${Math.round(share * 100)} %`;
const median = (sorted: readonly number[]): number => {
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
};
