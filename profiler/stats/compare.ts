import type { Comparison, Estimate, Provenance, VerdictKind } from '../../compiler/contracts/index.ts';
import { type Looks, pairedInterval, pairedPValue } from './paired.ts';
import { median } from './quantiles.ts';

/** The same metric of two configurations in blocks of one round under one seed. */
export interface Pair {
  readonly round: number;
  readonly baseline: number;
  readonly challenger: number;
}

export interface PairedInput {
  readonly metric: string;
  readonly requestClass?: string;
  readonly unit: Comparison['unit'];
  readonly lowerIsBetter: boolean;
  readonly baselineConfigurationId: string;
  readonly challengerConfigurationId: string;
  readonly pairs: readonly Pair[];
  /** Blocks of either configuration that could not measure. */
  readonly excludedBlocks: number;
  readonly provenance: Provenance;
}

export interface PairedOptions {
  /** Differences smaller than this share count as the same. */
  readonly margin: number;
  /** Fewer pairs give no verdict. */
  readonly minPairs: number;
  /** Coverage of the interval, e.g. 0.95; higher when several challengers share the error (see `holmLevels`). */
  readonly level: number;
  readonly looks: Looks;
}

/** Intervals end here: a ratio beyond it is no measurement, and infinity cannot be written as JSON. */
export const widestRatio = 1000;

/** Shares may be 0 in both blocks; this much (0.1 percentage points) is added to both so that their ratio exists. */
const shareFloor = 0.001;
/** As little for counts, of which there may be none. */
const countFloor = 0.001;

const logRatios = (input: PairedInput): readonly number[] => {
  const floor = input.unit === 'share' ? shareFloor : input.unit === 'count' ? countFloor : 0;
  return input.pairs.flatMap(({ baseline, challenger }) => {
    const ratio = Math.log((challenger + floor) / (baseline + floor));
    return Number.isFinite(ratio) ? [ratio] : [];
  });
};

/** P-value of "no difference" between the two, to share the error among several challengers. */
export const pairedComparisonPValue = (input: PairedInput, looks: Looks): number => pairedPValue(logRatios(input), looks);

/**
 * Compares two configurations over paired blocks by the mean log ratio and its interval.
 *
 * - `same`: the whole interval lies inside the margin
 * - `better`, `worse`: the interval is clear of 1 and the ratio itself is beyond the margin
 * - `inconclusive`: everything else, and anything from fewer than `minPairs` pairs
 */
export function comparePaired(input: PairedInput, options: PairedOptions): Comparison {
  const logs = logRatios(input);
  const interval = pairedInterval(logs, options.level, options.looks);
  const bounded = (value: number) => Math.min(widestRatio, Math.max(1 / widestRatio, Math.exp(value)));
  const ratio: Estimate = {
    point: bounded(interval.point),
    low: bounded(interval.low),
    high: bounded(interval.high),
    level: options.level,
    n: logs.length,
    provenance: input.provenance,
  };
  const { pairs, ...rest } = input;
  return {
    ...rest,
    baseline: median(pairs.map((pair) => pair.baseline)) ?? 0,
    challenger: median(pairs.map((pair) => pair.challenger)) ?? 0,
    ratio,
    pairs: logs.length,
    ...judge(ratio, input, options),
  };
}

function judge(ratio: Estimate, input: PairedInput, options: PairedOptions): { verdict: VerdictKind; reason: string } {
  if (ratio.n < options.minPairs) {
    const excluded = input.excludedBlocks > 0 ? `; ${input.excludedBlocks} blocks could not measure` : '';
    return { verdict: 'inconclusive', reason: `${ratio.n} valid pairs, ${options.minPairs} needed${excluded}` };
  }
  const range = `${percent(ratio.low)} to ${percent(ratio.high)}`;
  const smallest = 1 / (1 + options.margin);
  const largest = 1 + options.margin;
  if (ratio.low >= smallest && ratio.high <= largest) {
    return { verdict: 'same', reason: `${range}, inside the margin of ${(100 * options.margin).toFixed(1)} %` };
  }
  const lower = ratio.high < 1 && ratio.point < smallest;
  const higher = ratio.low > 1 && ratio.point > largest;
  if (lower || higher) return { verdict: lower === input.lowerIsBetter ? 'better' : 'worse', reason: `${range}, clear of zero` };
  if (ratio.high < 1 || ratio.low > 1) return { verdict: 'inconclusive', reason: `${range}: a difference, but perhaps below the margin` };
  return { verdict: 'inconclusive', reason: `${range}: either may be ahead` };
}

const percent = (ratio: number): string => `${ratio >= 1 ? '+' : '−'}${Math.abs(100 * (ratio - 1)).toFixed(1)} %`;
