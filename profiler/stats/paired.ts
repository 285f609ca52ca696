import { mean, sampleStandardDeviation } from 'simple-statistics';
import type { Interval } from './bootstrap.ts';
import { confidenceSequence, evidenceAgainstMean } from './confidence-sequence.ts';
import { studentTwoSidedQuantile, studentTwoSidedTail } from './student.ts';

/**
 * How often the data may be looked at before a stop. With a number, the error is split evenly over that many looks
 * (Bonferroni), each a Student t interval: narrowest for few looks. `anytime` allows any number.
 */
export type Looks = number | 'anytime';

/** Standard deviations of log ratios below this are rounding: the difference follows from the allocation alone. */
const rounding = 1e-9;
const isExact = (differences: readonly number[]) => differences.length > 1 && sampleStandardDeviation([...differences]) < rounding;

/** Up to here splitting the error is narrower than the confidence sequence at the sizes a study has (3 to 20 pairs). */
const manyLooks = 6;

/** Looks of a plan that checks after every round from `minRounds` to `maxRounds`. */
export function looksOf(minRounds: number, maxRounds: number): Looks {
  const looks = Math.max(1, maxRounds - minRounds + 1);
  return looks <= manyLooks ? looks : 'anytime';
}

/**
 * Interval for the mean of paired differences that holds at every look of the plan together with probability `level`.
 * A single point when all differences are equal (a cost that follows from the allocation alone); infinite for fewer
 * than two differences.
 */
export function pairedInterval(differences: readonly number[], level: number, looks: Looks): Interval {
  if (isExact(differences)) {
    const exact = mean([...differences]);
    return { point: exact, low: exact, high: exact };
  }
  if (looks === 'anytime') return confidenceSequence(differences, level);
  const n = differences.length;
  const point = n === 0 ? 0 : mean([...differences]);
  if (n < 2) return { point, low: -Infinity, high: Infinity };
  const standardError = sampleStandardDeviation([...differences]) / Math.sqrt(n);
  const half = studentTwoSidedQuantile((1 - level) / looks, n - 1) * standardError;
  return { point, low: point - half, high: point + half };
}

/** P-value of "no difference", corrected for the looks; the smallest error level whose interval leaves out zero. */
export function pairedPValue(differences: readonly number[], looks: Looks): number {
  const n = differences.length;
  if (isExact(differences)) return Math.abs(mean([...differences])) < rounding ? 1 : 0;
  if (looks === 'anytime') return n < 3 ? 1 : Math.min(1, 1 / evidenceAgainstMean(differences, 0));
  if (n < 2) return 1;
  const standardError = sampleStandardDeviation([...differences]) / Math.sqrt(n);
  return Math.min(1, looks * studentTwoSidedTail(mean([...differences]) / standardError, n - 1));
}
