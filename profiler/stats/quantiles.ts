import { mean, quantileSorted } from 'simple-statistics';
import type { LatencySummary } from '../../compiler/contracts/index.ts';

const ascending = (samples: readonly number[]): number[] => [...samples].sort((a, b) => a - b);

/**
 * Quantiles of raw samples at the given shares (0 to 1), in the order asked for. Empty for no samples.
 * Percentiles of a whole come from its samples, never from averaging percentiles of parts.
 */
export function quantiles(samples: readonly number[], shares: readonly number[]): readonly number[] {
  if (samples.length === 0) return [];
  const sorted = ascending(samples);
  return shares.map((share) => quantileSorted(sorted, share));
}

/** The middle of the samples, or null when there are none. */
export function median(samples: readonly number[]): number | null {
  return quantiles(samples, [0.5])[0] ?? null;
}

/** Count, mean, percentiles and maximum of raw samples in their own unit, or null when there are none. */
export function summarize(samples: readonly number[]): LatencySummary | null {
  const [p50, p90, p95, p99, max] = quantiles(samples, [0.5, 0.9, 0.95, 0.99, 1]);
  if (p50 === undefined || p90 === undefined || p95 === undefined || p99 === undefined || max === undefined) return null;
  return { n: samples.length, mean: mean([...samples]), p50, p90, p95, p99, max };
}
