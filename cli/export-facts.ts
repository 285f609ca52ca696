import {
  type Block,
  type Configuration,
  configurationId,
  type Estimate,
  type Plan,
  type PlannedUnit,
  type Profile,
  type Study,
} from '../compiler/contracts/index.ts';
import type { ExportFacts, MeasuredCapacity } from '../compiler/emit/emitter.ts';
import { allOf, lastOf } from '../reports/build.ts';
import { ms, percent, usd } from '../reports/format.ts';
import type { Report, ReportTrial } from '../reports/report.ts';

interface FactsInput {
  readonly study: Study;
  readonly report: Report;
  readonly plan: Plan;
  readonly configuration: Configuration;
  readonly runId: string;
  readonly scenarioFile: string;
  readonly notes: readonly string[];
  /** How long deployments of this layout took from their start until everything was ready, in milliseconds. */
  readonly readyMs: readonly number[];
}

/** What a study found that an exported file can use. Pure. */
export function exportFacts(input: FactsInput): ExportFacts {
  const { report, configuration, runId, scenarioFile, notes, plan, readyMs } = input;
  const id = configurationId(configuration);
  const trial = report.trials.find((candidate) => candidate.configurationId === id);
  const slowest = readyMs.length === 0 ? undefined : Math.max(...readyMs);
  return {
    origin: `run ${runId}, ${trial === undefined ? `a layout it did not try (${id})` : trialName(trial)}`,
    capacityPerReplica: capacities(input, id),
    startMs: slowest === undefined ? {} : Object.fromEntries([...plan.units, ...plan.services].map((member) => [member.id, slowest])),
    claims: trial === undefined ? [] : claimsOf(trial, report),
    scenarioFile,
    ...(notes.length > 0 ? { notes } : {}),
  };
}

function trialName({ number, label, roles, state }: ReportTrial): string {
  const name = label === `layout ${number}` ? label : `layout ${number} (${label})`;
  if (roles.includes('winner')) return `${name}, its winner`;
  return state === 'measured' ? name : `${name}, which was not measured`;
}

function claimsOf(trial: ReportTrial, { scenario }: Report): string[] {
  const line = (name: string, estimate: Estimate | null, show: (value: number) => string) =>
    estimate === null || estimate.n === 0
      ? []
      : [
          `${name} ${show(estimate.point)} (${percent(estimate.level)} interval ${show(estimate.low)} to ${show(estimate.high)}, ${estimate.n} blocks, ${estimate.provenance})`,
        ];
  return [
    ...line('latency p50', trial.p50Ms, ms),
    ...line('latency p95', trial.p95Ms, ms),
    ...line('cost per 1000 requests', trial.usdPer1000, usd),
    ...line('CPU per request', trial.cpuMsPerRequest, ms),
    ...(trial.errorRate === null ? [] : [`errors ${percent(trial.errorRate, 2)}`]),
  ].map((claim) => `${claim}, on target ${scenario.target}`);
}

/**
 * Per unit, from blocks of this very layout: what a replica took in the most loaded of them, or more where CPU says so. By the
 * utilization law (Denning and Buzen, "The operational analysis of queueing network models", 1978) a replica that needs `d`
 * CPU-seconds per request takes `u / d` requests per second at `u` busy cores. `u` is what the busiest unit of the layout
 * reached whose capacity was measured; where that was not CPU-bound the figure is on the safe side.
 */
function capacities({ study, plan }: FactsInput, id: string): { readonly [unit: string]: MeasuredCapacity } {
  const blocks = [...study.blocks.values()].filter((block) => block.quality.valid || block.purpose === 'capacity');
  const own = blocks.filter((block) => block.configurationId === id && throughputOf(block) > 0);
  const profile = lastOf(study, 'profiled')?.profile;
  if (own.length === 0) return {};
  const reached = busiest(study, blocks);
  return Object.fromEntries(
    plan.units.flatMap((unit) => {
      const cpuSecondsPerRequest = meanOf(own.flatMap((block) => cpuPerRequest(block, unit.id) ?? []));
      if (cpuSecondsPerRequest === undefined) return [];
      const took = Math.max(...own.map((block) => throughputOf(block) / unit.replicas));
      // One event loop uses at most about one core.
      const cores = Math.min(1, unit.resources.vcpu);
      const byCpu = reached === undefined || cpuSecondsPerRequest === 0 ? 0 : (reached * cores) / cpuSecondsPerRequest;
      const requestsPerSecond = Math.max(took, byCpu);
      const stayMs = profile === undefined ? undefined : timeInUnitMs(unit, profile);
      if (stayMs === undefined) return [];
      const closed = own.some(({ purpose }) => purpose === 'capacity');
      const capacity: MeasuredCapacity = {
        requestsPerSecond,
        concurrency: (requestsPerSecond * stayMs) / 1000,
        cpuSecondsPerRequest,
        provenance:
          byCpu > took
            ? `CPU measured per request, at the ${percent(reached)} of a core that the busiest unit reached at capacity`
            : closed
              ? 'measured in a closed loop'
              : 'measured at the offered load; it may take more',
      };
      return [[unit.id, capacity] as const];
    }),
  );
}

const throughputOf = (block: Block): number =>
  Object.values(block.classes).reduce((sum, { throughputPerSecond }) => sum + throughputPerSecond, 0);

function cpuPerRequest(block: Block, unit: string): number | undefined {
  const answers = Object.values(block.classes).reduce((sum, { ok }) => sum + ok, 0);
  const used = block.usage.filter(({ id }) => id === unit);
  return answers === 0 || used.length === 0 ? undefined : used.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) / answers;
}

const meanOf = (values: readonly number[]): number | undefined =>
  values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;

/** Busy share of a core per replica of the busiest unit, in the block that measured capacity. */
function busiest(study: Study, blocks: readonly Block[]): number | undefined {
  const measured = blocks.find(({ purpose }) => purpose === 'capacity');
  const layout = allOf(study, 'trial-added').find(({ configurationId }) => configurationId === measured?.configurationId)?.configuration;
  if (measured === undefined || layout === undefined || measured.durationMs <= 0) return undefined;
  const shares = layout.units.map(({ id, replicas, resources }) => {
    const used = measured.usage.filter((usage) => usage.id === id).reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
    return used / (measured.durationMs / 1000) / replicas / Math.min(1, resources.vcpu);
  });
  const most = Math.max(...shares);
  return most > 0 ? Math.min(1, most) : undefined;
}

/**
 * Time one request of the application spends in a unit: calls that enter it, each for as long as it waits and holds a slot,
 * calls it makes itself included. Undefined where the traces know nothing of it.
 */
function timeInUnitMs({ agents, toolServers }: PlannedUnit, { components, edges }: Profile): number | undefined {
  const inside = new Set([...agents, ...toolServers]);
  const times = [...inside].flatMap((name) => {
    const seen = components[name];
    if (seen === undefined) return [];
    const fromInside = [...inside].reduce((sum, from) => sum + (edges[`${from}->${name}`]?.callsPerRequest ?? 0), 0);
    return [Math.max(0, seen.visitsPerRequest - fromInside) * (seen.heldMs.mean + seen.queueMs.mean)];
  });
  return times.length === 0 ? undefined : times.reduce((sum, time) => sum + time, 0);
}
