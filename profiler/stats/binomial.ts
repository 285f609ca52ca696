import { incompleteBeta } from './student.ts';

/**
 * Probability of at least `k` hits in `n` tries of probability `p` each. Source: NIST Digital Library of Mathematical
 * Functions, 8.17.5.
 */
export function atLeast(k: number, n: number, p: number): number {
  if (k <= 0) return 1;
  if (k > n) return 0;
  return incompleteBeta(p, k, n - k + 1);
}

/** Probability of at most `k` hits. */
export const atMost = (k: number, n: number, p: number): number => 1 - atLeast(k + 1, n, p);

/** The largest share that `k` hits in `n` tries leave possible at a one-sided level (Clopper and Pearson, 1934); 1 without tries. */
export function highestShare(k: number, n: number, alpha: number): number {
  let low = n === 0 ? 1 : k / n;
  let high = 1;
  // Halving the unit interval fifty times is below the precision of what it is made of.
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (atMost(k, n, middle) > alpha) low = middle;
    else high = middle;
  }
  return high;
}
