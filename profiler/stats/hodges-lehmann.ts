import { median } from './quantiles.ts';

/**
 * Median of all pairwise means (Hodges and Lehmann 1963): a centre that one wild value among few cannot move far.
 * Null when there are no values.
 */
export function hodgesLehmann(values: readonly number[]): number | null {
  const walshMeans = values.flatMap((a, i) => values.slice(i).map((b) => (a + b) / 2));
  return median(walshMeans);
}

/** Median of all differences `b - a`: by how much the second sample lies above the first. Null when one is empty. */
export function hodgesLehmannShift(a: readonly number[], b: readonly number[]): number | null {
  return median(b.flatMap((y) => a.map((x) => y - x)));
}
