import { mean, sumNthPowerDeviations } from 'simple-statistics';
import type { Interval } from './bootstrap.ts';

/**
 * Precision of the normal mixture over the effect in standard deviations. Small, because a verdict has few pairs and
 * looks for effects of several standard deviations: 0.05 makes the sequence narrowest at about 3 to 8 pairs.
 */
const mixturePrecision = 0.05;

/**
 * Evidence against "the mean is `mean0`", valid however often one looks: the scale-invariant likelihood ratio with a
 * normal mixture over the standardized effect,
 * `sqrt(c/(n+c)) · (V / (V − S²/(n+c)))^(n/2)` with `S = Σ(x−mean0)`, `V = Σ(x−mean0)²`.
 * It is a test martingale for normal data of unknown variance, exact from the second observation on.
 * Sources: Lai 1976 (Annals of Statistics 4); Pérez-Ortiz, Lardy, de Heide and Grünwald 2022, arXiv:2208.07610;
 * Wang and Ramdas 2023, arXiv:2310.03722.
 */
export function evidenceAgainstMean(values: readonly number[], mean0: number): number {
  const n = values.length;
  if (n < 2) return 1;
  const deviation = mean([...values]) - mean0;
  const spread = sumNthPowerDeviations([...values], 2);
  const square = spread + n * deviation * deviation;
  if (square === 0) return 1;
  const rest = square - (n * deviation) ** 2 / (n + mixturePrecision);
  return Math.sqrt(mixturePrecision / (n + mixturePrecision)) * (square / rest) ** (n / 2);
}

/**
 * Confidence sequence for the mean: all means the evidence does not rule out. The interval covers the true mean at all
 * sample sizes at once with probability `level`, so one may look after every round and stop when it pleases.
 * Infinite for fewer than three values or where the few values cannot bound the mean.
 */
export function confidenceSequence(values: readonly number[], level: number): Interval {
  const n = values.length;
  const point = n === 0 ? 0 : mean([...values]);
  if (n < 3) return { point, low: -Infinity, high: Infinity };
  const spread = sumNthPowerDeviations([...values], 2);
  const c = mixturePrecision;
  const bound = (Math.sqrt((n + c) / c) / (1 - level)) ** (2 / n);
  const slack = 1 - (bound * c) / (n + c);
  if (slack <= 0) return { point, low: -Infinity, high: Infinity };
  const half = Math.sqrt(((bound - 1) * spread) / (n * slack));
  return { point, low: point - half, high: point + half };
}
