import type { Distribution } from '../../compiler/contracts/profile.ts';
import { quantiles } from '../stats/quantiles.ts';

const shares = Array.from({ length: 21 }, (_, i) => i / 20);

/** The empirical distribution of raw values; all zero for none. */
export function distribution(values: readonly number[]): Distribution {
  const n = values.length;
  if (n === 0) return { n: 0, mean: 0, cv2: 0, quantiles: shares.map(() => 0) };
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / n;
  return { n, mean, cv2: mean === 0 ? 0 : variance / mean ** 2, quantiles: quantiles(values, shares) };
}
