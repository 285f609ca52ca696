import { type Block, type Comparison, type VerdictKind, weakest } from '../../compiler/contracts/index.ts';
import { comparePaired, type PairedInput, pairedComparisonPValue } from '../../profiler/stats/compare.ts';
import { holmLevels } from '../../profiler/stats/holm.ts';
import { limitsHold } from '../../profiler/stats/limits.ts';
import { metricOf, metricTraits } from '../../profiler/stats/metrics.ts';
import type { Looks } from '../../profiler/stats/paired.ts';
import type { ScenarioConfig } from '../../scenarios/schema.ts';

/** A metric of one class, or of the block as a whole. */
export interface MetricKey {
  readonly metric: string;
  readonly requestClass?: string;
}

/** What the scenario wants, spelled out per class. */
export interface Goal {
  /** First the targets of the first objective, by which layouts are ranked. */
  readonly objective: readonly MetricKey[];
  readonly ranking: readonly MetricKey[];
  /** Everything compared: the objective, p50 and p95 of every class, cost, requests per CPU-second, completion. */
  readonly metrics: readonly MetricKey[];
  readonly slo: ScenarioConfig['objective']['slo'];
  readonly margin: number;
  /** Share of right answers a layout must show; losing some is then no loss as long as it holds. */
  readonly rightAnswers?: number;
}

/** Below this many pairs there is no verdict, whatever the plan. */
export const minimumPairs = 3;
const errorLevel = 0.05;

export function goalOf(config: Pick<ScenarioConfig, 'objective' | 'workload'> & Partial<Pick<ScenarioConfig, 'search'>>): Goal {
  const classes = Object.keys(config.workload.classes);
  const keys = (metric: string): readonly MetricKey[] => {
    const { name, perClass } = metricTraits(metric);
    return perClass ? classes.map((requestClass) => ({ metric: name, requestClass })) : [{ metric: name }];
  };
  const objective = config.objective.minimize.flatMap(keys);
  const always = ['latency.p50', 'latency.p95', 'cost', 'cpu'].flatMap(keys);
  const metrics = [...objective, ...always, { metric: 'completion' }];
  const rightAnswers = config.search?.quality.rightAnswers;
  return {
    objective,
    ranking: keys(config.objective.minimize[0] ?? 'cost'),
    metrics: metrics.filter((key, index) => metrics.findIndex((other) => isSame(other, key)) === index),
    slo: rightAnswers === undefined ? config.objective.slo : [...config.objective.slo, { metric: 'completion', min: rightAnswers }],
    margin: config.objective.margin,
    ...(rightAnswers === undefined ? {} : { rightAnswers }),
  };
}

export const isSame = (a: MetricKey, b: MetricKey): boolean => a.metric === b.metric && a.requestClass === b.requestClass;

/**
 * Every metric of each challenger against the reference, paired by round. Challengers share the error of each metric
 * among them, so that many losers do not make a lucky winner.
 */
export function compareArms(input: {
  readonly blocks: readonly Block[];
  readonly reference: string;
  readonly challengers: readonly string[];
  readonly goal: Goal;
  readonly looks: Looks;
}): readonly Comparison[] {
  const { blocks, reference, challengers, goal, looks } = input;
  const options = { margin: goal.margin, minPairs: minimumPairs, looks };
  const byMetric = goal.metrics.map((key) => {
    const inputs = challengers.map((challenger) => pairUp(blocks, key, reference, challenger));
    const judged = inputs.filter((candidate) => candidate.pairs.length >= minimumPairs);
    const levels = holmLevels(
      judged.map((candidate) => pairedComparisonPValue(candidate, looks)),
      errorLevel,
    );
    return inputs.map((candidate) => {
      const share = levels[judged.indexOf(candidate)] ?? errorLevel;
      return comparePaired(candidate, { ...options, level: 1 - share });
    });
  });
  return challengers.flatMap((_, index) => byMetric.flatMap((comparisons) => comparisons[index] ?? []));
}

function pairUp(blocks: readonly Block[], key: MetricKey, reference: string, challenger: string): PairedInput {
  const traits = metricTraits(key.metric);
  const ours = blocks.filter((block) => block.configurationId === reference || block.configurationId === challenger);
  const usable = ours.filter((block) => block.quality.valid);
  const valueAt = (id: string, round: number) => {
    const block = usable.find((candidate) => candidate.configurationId === id && candidate.round === round);
    return block === undefined ? null : metricOf(block, key.metric, key.requestClass);
  };
  const rounds = [...new Set(usable.map((block) => block.round))].sort((a, b) => a - b);
  const pairs = rounds.flatMap((round) => {
    const baseline = valueAt(reference, round);
    const other = valueAt(challenger, round);
    return baseline === null || other === null ? [] : [{ round, baseline, challenger: other }];
  });
  return {
    metric: traits.name,
    ...(key.requestClass === undefined ? {} : { requestClass: key.requestClass }),
    unit: traits.unit,
    lowerIsBetter: traits.lowerIsBetter,
    baselineConfigurationId: reference,
    challengerConfigurationId: challenger,
    pairs,
    excludedBlocks: ours.length - usable.length,
    provenance: weakest(usable.map((block) => block.provenance)),
  };
}

/** What is known of one arm after a phase. */
export interface Standing {
  readonly configurationId: string;
  readonly validBlocks: number;
  /** All limits: hold at the pessimistic end, are broken at the optimistic end, or cannot be told. */
  readonly limits: boolean | null;
  /** On the whole objective against the reference. */
  readonly verdict: VerdictKind;
  /** Mean log ratio of the first objective against the reference; below 0 is an improvement. Null without pairs. */
  readonly score: number | null;
}

export function standingOf(configurationId: string, blocks: readonly Block[], comparisons: readonly Comparison[], goal: Goal): Standing {
  const own = blocks.filter((block) => block.configurationId === configurationId);
  const against = comparisons.filter((comparison) => comparison.challengerConfigurationId === configurationId);
  return {
    configurationId,
    validBlocks: own.filter((block) => block.quality.valid).length,
    limits: limitsHold(own, goal.slo),
    verdict: objectiveVerdict(against, goal),
    score: scoreOf(against, goal),
  };
}

/**
 * One verdict over all objectives: better when one is better and none can be worse by more than the margin. Losing
 * answers is never an improvement, so a worse completion takes the gain back, unless the scenario says how many must be right.
 */
export function objectiveVerdict(comparisons: readonly Comparison[], goal: Goal): VerdictKind {
  const found = goal.objective.map((key) => comparisons.find((comparison) => isSame(comparison, key)));
  const kinds = found.map((comparison) => comparison?.verdict ?? 'inconclusive');
  const harmless = found.every((comparison) => comparison !== undefined && !mayBeWorse(comparison, goal.margin));
  const completion =
    goal.rightAnswers === undefined ? comparisons.find((comparison) => isSame(comparison, { metric: 'completion' }))?.verdict : undefined;
  const better = kinds.includes('better');
  const worse = kinds.includes('worse') || completion === 'worse';
  if (better && !worse) return harmless ? 'better' : 'inconclusive';
  if (worse && !better) return 'worse';
  return kinds.every((kind) => kind === 'same') ? 'same' : 'inconclusive';
}

const mayBeWorse = ({ ratio, lowerIsBetter }: Comparison, margin: number): boolean =>
  lowerIsBetter ? ratio.high > 1 + margin : ratio.low < 1 / (1 + margin);

function scoreOf(comparisons: readonly Comparison[], goal: Goal): number | null {
  const gains = goal.ranking.flatMap((key) => {
    const found = comparisons.find((comparison) => isSame(comparison, key));
    if (found === undefined || found.pairs === 0) return [];
    return [Math.log(found.ratio.point) * (found.lowerIsBetter ? 1 : -1)];
  });
  return gains.length === 0 ? null : gains.reduce((sum, gain) => sum + gain, 0) / gains.length;
}
