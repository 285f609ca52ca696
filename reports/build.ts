import {
  type Block,
  type Comparison,
  type Configuration,
  type JournalEntry,
  type MachineFacts,
  type Profile,
  type Provenance,
  type Study,
  type TrialRole,
  weakest,
} from '../compiler/contracts/index.ts';
import { meanOver } from '../profiler/stats/limits.ts';
import { metricOf } from '../profiler/stats/metrics.ts';
import type { Scenario } from '../scenarios/schema.ts';
import { humanTime } from './build-human.ts';
import { modelsOf } from './build-models.ts';
import { buildTrials, type TrialSource } from './build-trials.ts';
import { warningsOf } from './build-warnings.ts';
import { whereItGoes } from './build-where.ts';
import type { Report, ReportModels, ReportTrial, ReportVerdict, Waterfall } from './report.ts';

/** What `build` needs beside the study: things that are computed from traces or plans, by those who may. */
export interface ReportInput {
  readonly study: Study;
  readonly scenario: Scenario;
  readonly toolVersion: string;
  /** Lines that describe a layout, and what changes from the baseline to it. */
  readonly describe: (configuration: Configuration) => readonly string[];
  readonly changes: (baseline: Configuration, configuration: Configuration) => readonly string[];
  readonly waterfalls: { readonly before: Waterfall | null; readonly after: Waterfall | null };
  /** Why the winner differs, in sentences; empty when the baseline stays. Modelled. */
  readonly explanation: readonly string[];
  /** Command that applies the best layout. */
  readonly apply: string;
}

type EntryOf<Type extends JournalEntry['type']> = Extract<JournalEntry, { type: Type }>;

/** The last entry of a type, or undefined. */
export function lastOf<Type extends JournalEntry['type']>(study: Study, type: Type): EntryOf<Type> | undefined {
  return study.entries.findLast((entry): entry is EntryOf<Type> => entry.type === type);
}

export function allOf<Type extends JournalEntry['type']>(study: Study, type: Type): EntryOf<Type>[] {
  return study.entries.filter((entry): entry is EntryOf<Type> => entry.type === type);
}

const unknownMachine: MachineFacts = { cores: 0, memoryMb: 0, cpuModel: 'unknown', platform: 'unknown', node: 'unknown' };

/** Everything a reader needs, from what the study wrote down. Pure: the same study gives the same report. */
export function buildReport(input: ReportInput): Report {
  const { study, scenario } = input;
  const started = lastOf(study, 'study-started');
  const profile = lastOf(study, 'profiled')?.profile ?? null;
  const sources = trialSources(study);
  const trials = buildTrials(sources, input);
  const verdict = buildVerdict(input, trials);
  const human = humanTime([...study.blocks.values()].filter((block) => block.purpose !== 'capacity'));
  return {
    schemaVersion: 1,
    toolVersion: started?.toolVersion ?? input.toolVersion,
    studyId: started?.studyId ?? 'unknown',
    scenario: {
      name: scenario.name,
      file: scenario.file,
      sha256: scenario.sha256,
      seed: started?.seed ?? scenario.config.seed,
      target: scenario.config.target.kind,
    },
    startedAtMs: study.entries[0]?.atMs ?? 0,
    endedAtMs: study.entries.at(-1)?.atMs ?? 0,
    ...endState(study),
    machine: started?.machine ?? unknownMachine,
    objective: {
      minimize: scenario.config.objective.minimize,
      slo: scenario.config.objective.slo.map((limit) => ({
        requestClass: limit.class ?? null,
        metric: limit.metric,
        max: limit.max ?? null,
        min: limit.min ?? null,
      })),
      margin: scenario.config.objective.margin,
    },
    verdict,
    headroom: lastOf(study, 'headroom')?.headroom ?? null,
    capacity: capacityOf(study),
    whereItGoes: profile && whereItGoes(profile, scenario.config.prices),
    models: profile && modelsOfStudy(input, profile),
    traces: profile?.traces ?? null,
    ...(human.length === 0 ? {} : { human }),
    trials,
    front: front(trials),
    search: lastOf(study, 'searched')?.certificate ?? null,
    waterfalls: input.waterfalls,
    explanation: input.explanation,
    warnings: warningsOf(study, profile, trials),
    prices: {
      source: scenario.config.prices.source,
      vcpuHourUsd: scenario.config.prices.vcpuHourUsd,
      memoryGbHourUsd: scenario.config.prices.memoryGbHourUsd,
    },
    tracingOverhead: tracingOverhead(study, verdict.baselineId),
  };
}

function modelsOfStudy({ study, scenario }: ReportInput, profile: Profile): ReportModels {
  const trial = allOf(study, 'trial-added').find((entry) => entry.configurationId === profile.configurationId);
  const blocks = profile.blockIds.flatMap((id) => study.blocks.get(id) ?? []);
  const { models, prices } = scenario.config;
  const predictions = allOf(study, 'predicted').map(({ prediction }) => prediction);
  const prediction = predictions.find(({ configurationId }) => configurationId === profile.configurationId);
  return modelsOf({ profile, configuration: trial?.configuration, blocks, prediction, models, prices });
}

function endState(study: Study): Pick<Report, 'state' | 'stateDetail'> {
  const last = study.entries.findLast(
    (entry) => entry.type === 'capped' || entry.type === 'interrupted' || entry.type === 'study-ended' || entry.type === 'study-resumed',
  );
  if (last?.type === 'interrupted') return { state: 'interrupted', stateDetail: last.reason };
  const capped = lastOf(study, 'capped');
  if (capped) return { state: 'capped', stateDetail: capped.detail };
  if (last?.type === 'study-ended') return { state: 'completed', stateDetail: null };
  return { state: 'interrupted', stateDetail: 'the run ended without a word; dmas-opt resume goes on' };
}

function trialSources(study: Study): TrialSource[] {
  const failures = new Map(allOf(study, 'trial-failed').map((entry) => [entry.configurationId, entry]));
  const predictions = new Map(allOf(study, 'predicted').map((entry) => [entry.prediction.configurationId, entry.prediction]));
  const winner = lastOf(study, 'decided')?.winner;
  return allOf(study, 'trial-added').map((entry) => {
    const blocks = [...study.blocks.values()].filter((block) => block.configurationId === entry.configurationId);
    const failure = failures.get(entry.configurationId);
    const roles = [...(entry.roles as readonly TrialRole[]), ...(entry.configurationId === winner ? (['winner'] as const) : [])];
    return {
      number: entry.number,
      configurationId: entry.configurationId,
      configuration: entry.configuration,
      roles: [...new Set(roles)],
      prediction: entry.prediction ?? predictions.get(entry.configurationId) ?? null,
      failure: failure ? { code: failure.code, message: failure.message } : null,
      blocks,
    };
  });
}

function buildVerdict(input: ReportInput, trials: readonly ReportTrial[]): ReportVerdict {
  const { study } = input;
  const decided = lastOf(study, 'decided');
  const baselineId = trials.find((trial) => trial.roles.includes('baseline'))?.configurationId ?? '';
  // A confirmation that never got a pair says nothing; the race before it does.
  const phases = allOf(study, 'compared').map((entry) => entry.comparisons);
  const compared = phases.findLast((comparisons) => comparisons.some((comparison) => comparison.pairs > 0)) ?? [];
  const winnerId = decided?.winner ?? baselineId;
  const comparisons = ofOneChallenger(compared, winnerId);
  return {
    kind: decided?.kind ?? 'inconclusive',
    sentence: decided?.sentence ?? 'The run ended before anything could be decided.',
    baselineId,
    winnerId,
    comparisons,
    provenance: provenanceOf([...study.blocks.values()], lastOf(study, 'profiled')?.profile ?? null),
    apply: input.apply,
  };
}

function capacityOf(study: Study): Report['capacity'] {
  const measured = lastOf(study, 'capacity-measured');
  const profiled = lastOf(study, 'profiled')?.profile.blockIds.flatMap((id) => study.blocks.get(id) ?? []) ?? [];
  const [block] = profiled;
  if (!measured || !block || measured.requestsPerSecond <= 0) return null;
  const offeredPerSecond = block.load.offeredPerSecond;
  return {
    requestsPerSecond: measured.requestsPerSecond,
    clients: measured.clients,
    offeredPerSecond,
    offeredShare: offeredPerSecond / measured.requestsPerSecond,
  };
}

function tracingOverhead(study: Study, baselineId: string): Report['tracingOverhead'] {
  const own = [...study.blocks.values()].filter((block) => block.configurationId === baselineId && block.quality.valid);
  const traced = own.find((block) => block.purpose === 'profile');
  const rest = own.filter((block) => block.purpose === 'race' || block.purpose === 'confirm');
  const [main] = Object.entries(traced?.classes ?? {}).sort((a, b) => b[1].requests - a[1].requests);
  if (!traced || !main) return null;
  const [cpu, p50] = [metricOf(traced, 'cpu'), metricOf(traced, 'latency.p50', main[0])];
  const [usualCpu, usualP50] = [meanOver(rest, 'cpu')?.point, meanOver(rest, 'latency.p50', main[0])?.point];
  return cpu && p50 && usualCpu && usualP50 ? { cpuRatio: cpu / usualCpu, p50Ratio: p50 / usualP50 } : null;
}

/** The winner's comparisons; where the baseline stays, those of the challenger that came nearest to replacing it. */
function ofOneChallenger(compared: readonly Comparison[], winnerId: string): readonly Comparison[] {
  const ofWinner = compared.filter((comparison) => comparison.challengerConfigurationId === winnerId);
  if (ofWinner.length > 0) return ofWinner;
  // The first comparison of each challenger is of what is minimized.
  const first = new Map<string, Comparison>();
  for (const comparison of compared)
    if (!first.has(comparison.challengerConfigurationId)) first.set(comparison.challengerConfigurationId, comparison);
  const gain = ({ ratio, lowerIsBetter }: Comparison) => (lowerIsBetter ? 1 / ratio.point : ratio.point);
  const [nearest] = [...first.values()].filter((comparison) => comparison.pairs > 0).sort((a, b) => b.pairs - a.pairs || gain(b) - gain(a));
  return compared.filter((comparison) => comparison.challengerConfigurationId === nearest?.challengerConfigurationId);
}

function provenanceOf(blocks: readonly Block[], profile: Profile | null): Provenance {
  return weakest([...blocks.map((block) => block.provenance), ...(profile ? [profile.provenance] : [])]);
}

/** Measured trials no other beats in both cost and p95, cheapest first. */
function front(trials: readonly ReportTrial[]): string[] {
  const points = trials.flatMap((trial) =>
    trial.usdPer1000 && trial.p95Ms ? [{ id: trial.configurationId, cost: trial.usdPer1000.point, p95: trial.p95Ms.point }] : [],
  );
  const dominated = (a: (typeof points)[number]) =>
    points.some((b) => b.id !== a.id && b.cost <= a.cost && b.p95 <= a.p95 && (b.cost < a.cost || b.p95 < a.p95));
  return points
    .filter((point) => !dominated(point))
    .sort((a, b) => a.cost - b.cost || a.p95 - b.p95)
    .map((point) => point.id);
}
