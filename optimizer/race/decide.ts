import type { Comparison, DecisionKind } from '../../compiler/contracts/index.ts';
import type { Choice } from './choose.ts';
import { type Goal, isSame, minimumPairs, type Standing } from './evidence.ts';

/** Everything the last decision rests on. */
export interface DecideInput {
  readonly goal: Goal;
  readonly baselineId: string;
  /** Why the baseline did not run; absent when it did. */
  readonly baselineFailure?: string;
  readonly challengers: readonly Standing[];
  /** Nothing could be measured at all, and what stood in the way. */
  readonly nothingMeasured: boolean;
  readonly faults: readonly string[];
  readonly raceComparisons: readonly Comparison[];
  readonly choice: Choice | null;
  readonly confirmation: Confirmation | null;
  readonly labelOf: (configurationId: string) => string;
  /** The layout in words: `everything in one process`. */
  readonly describe: (configurationId: string) => string;
  /** What a layout changes in how the models are served, as a sentence; undefined where nothing. */
  readonly serving?: (configurationId: string) => string | undefined;
  /** What ended the study early; absent when nothing did. */
  readonly capped?: string;
}

export interface Confirmation {
  readonly baseline: Standing;
  readonly challenger: Standing;
  /** Of the challenger against the baseline, and against the best reference where that is another layout. */
  readonly comparisons: readonly Comparison[];
  readonly bestReferenceId: string;
}

export interface Decision {
  readonly winner: string;
  readonly kind: DecisionKind;
  /** The whole finding, for a reader who reads nothing else. */
  readonly sentence: string;
}

/** The verdict of a study. Never a gain that fresh deployments did not show again. */
export function decide(input: DecideInput): Decision {
  const { baselineId, choice, confirmation } = input;
  if (input.nothingMeasured) {
    const why = [...input.faults, ...(input.capped === undefined ? [] : [input.capped])];
    const sentence = `Nothing could be measured: ${why.length === 0 ? 'no block of any layout is valid' : why.slice(0, 3).join('; ')}.`;
    return { winner: baselineId, kind: 'nothing-measured', sentence };
  }
  if (choice === null || confirmation === null) return withoutConfirmation(input);
  const { challenger } = confirmation;
  const name = input.labelOf(choice.configurationId);
  const wins = (found: string): Decision => {
    const serving = input.serving?.(choice.configurationId);
    return { winner: choice.configurationId, kind: 'better', sentence: serving === undefined ? found : `${found} ${serving}` };
  };
  const keeps = (why: string): Decision => ({ winner: baselineId, kind: 'keep-baseline', sentence: `Keep the baseline: ${why}.` });
  const open = (why: string): Decision => ({
    winner: baselineId,
    kind: 'inconclusive',
    sentence: `Inconclusive, the baseline stays: ${why}.`,
  });

  if (challenger.validBlocks < minimumPairs) {
    const found = `${challenger.validBlocks} valid blocks on fresh deployments, ${minimumPairs} needed`;
    return open(`${name} looked better but has ${found}${because(input)}`);
  }
  if (challenger.limits === false) return keeps(`${name} broke a limit on fresh deployments`);
  if (challenger.limits === null)
    return open(`whether ${name} keeps the limits cannot be told from ${challenger.validBlocks} blocks${because(input)}`);
  if (input.baselineFailure !== undefined) {
    return wins(`The baseline did not run (${input.baselineFailure}); ${name} did${limitsWord(input.goal)}, on fresh deployments too.`);
  }
  if (choice.why === 'meets-limits') {
    if (confirmation.baseline.limits === false) {
      return wins(`${capital(name)} meets the limits the baseline breaks; ${effect(input, confirmation)}.`);
    }
    return open('that the baseline breaks a limit did not show again on fresh deployments');
  }
  switch (challenger.verdict) {
    case 'better':
      return wins(
        `${capital(input.describe(choice.configurationId))}: ${effect(input, confirmation)}${limitsHeld(input.goal)}${against(input, confirmation)}.`,
      );
    case 'same':
      return keeps(`the gain of ${name} did not show again on fresh deployments (${effect(input, confirmation)})`);
    case 'worse':
      return keeps(`${name} was worse on fresh deployments (${effect(input, confirmation)})`);
    case 'inconclusive':
      return open(`fresh deployments did not confirm ${name} (${effect(input, confirmation)})${because(input)}`);
  }
}

function withoutConfirmation(input: DecideInput): Decision {
  const { baselineId, choice, labelOf, challengers } = input;
  if (choice !== null) {
    const sentence = `Inconclusive, the baseline stays: ${labelOf(choice.configurationId)} looked better but was not confirmed on fresh deployments${because(input)}.`;
    return { winner: baselineId, kind: 'inconclusive', sentence };
  }
  if (input.baselineFailure !== undefined) {
    const sentence = `The baseline did not run (${input.baselineFailure}), and no other layout is known to keep the limits.`;
    return { winner: baselineId, kind: 'inconclusive', sentence };
  }
  const measured = challengers.filter((standing) => standing.validBlocks > 0);
  if (measured.length === 0) {
    const tried = challengers.length === 0 ? 'no other layout was tried' : 'no other layout could be measured';
    const kind = challengers.length === 0 && input.capped === undefined ? 'keep-baseline' : 'inconclusive';
    return { winner: baselineId, kind, sentence: `The baseline stays: ${tried}${because(input)}.` };
  }
  const unsure = measured.filter((standing) => standing.limits !== false && standing.verdict === 'inconclusive');
  if (unsure.length === 0) {
    return { winner: baselineId, kind: 'keep-baseline', sentence: `Keep the baseline: none of ${layouts(measured.length)} beats it.` };
  }
  const bound = largestPossibleGain(input, unsure);
  const left = bound === null ? '' : ` (gains up to ${percent(bound)} cannot be ruled out)`;
  return {
    winner: baselineId,
    kind: 'inconclusive',
    sentence: `Inconclusive, the baseline stays: no gain shows in ${layouts(measured.length)}${left}${because(input)}.`,
  };
}

/** The optimistic end of the first objective over the layouts still open, as a share. */
function largestPossibleGain(input: DecideInput, unsure: readonly Standing[]): number | null {
  const ids = new Set(unsure.map((standing) => standing.configurationId));
  const gains = input.raceComparisons
    .filter((comparison) => ids.has(comparison.challengerConfigurationId) && comparison.baselineConfigurationId === input.baselineId)
    .filter((comparison) => comparison.pairs >= 2 && input.goal.ranking.some((key) => isSame(key, comparison)))
    .map((comparison) => (comparison.lowerIsBetter ? 1 - comparison.ratio.low : 1 - 1 / comparison.ratio.high));
  return gains.length === 0 ? null : Math.max(0, ...gains);
}

function effect(input: DecideInput, confirmation: Confirmation): string {
  return objectiveLines(input, confirmation, input.baselineId).join(', ') || 'the objective could not be compared';
}

/** Gains are quoted against the best of the plain layouts too. */
function against(input: DecideInput, confirmation: Confirmation): string {
  const { bestReferenceId } = confirmation;
  if (bestReferenceId === input.baselineId) return '';
  if (bestReferenceId === confirmation.challenger.configurationId) return '';
  const lines = objectiveLines(input, confirmation, bestReferenceId);
  return lines.length === 0 ? '' : `; against ${input.labelOf(bestReferenceId)}, the best plain layout: ${lines.join(', ')}`;
}

function objectiveLines(input: DecideInput, confirmation: Confirmation, referenceId: string): readonly string[] {
  return input.goal.objective.flatMap((key) => {
    const found = confirmation.comparisons.find((candidate) => candidate.baselineConfigurationId === referenceId && isSame(candidate, key));
    if (found === undefined || found.pairs === 0) return [];
    const { point, low, high } = found.ratio;
    // Too few pairs give an interval that says nothing.
    const told = found.pairs >= minimumPairs && signed(low) !== signed(high);
    const interval = told ? ` [${signed(low)}, ${signed(high)}]` : '';
    return [
      `${metricWords(key.metric, key.requestClass)} ${signed(point)}${interval} over ${found.pairs} pair${found.pairs === 1 ? '' : 's'}`,
    ];
  });
}

/** A metric as it is said in a sentence. */
function metricWords(metric: string, requestClass?: string): string {
  const [family = '', quantile = ''] = metric.split('.');
  const words: { readonly [family: string]: string } = {
    cost: 'cost per 1000 requests',
    cpu: 'CPU per request',
    requestsPerCpuSecond: 'requests per CPU-second',
    latency: `${quantile} latency`,
    elapsed: `${quantile} time to the answer, people included,`,
    firstToken: `${quantile} time to first token`,
    gap: `${quantile} gap between tokens`,
    errorRate: 'error rate',
  };
  const said = words[family] ?? metric;
  return requestClass === undefined ? said : `${said} of ${requestClass}`;
}

const because = (input: DecideInput): string => (input.capped === undefined ? '' : `; ${input.capped}`);
const limitsHeld = (goal: Goal): string => (goal.slo.length === 0 ? '' : ', every limit holds');
const limitsWord = (goal: Goal): string => (goal.slo.length === 0 ? '' : ' and keeps the limits');
const layouts = (count: number): string => (count === 1 ? 'the one other layout measured' : `the ${count} other layouts measured`);
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const signed = (ratio: number): string => `${ratio >= 1 ? '+' : '−'}${percent(Math.abs(ratio - 1))}`;
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
