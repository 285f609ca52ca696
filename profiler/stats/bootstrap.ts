import { quantileSorted } from 'simple-statistics';
import { createRandom } from '../../compiler/contracts/index.ts';

export interface Interval {
  readonly point: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Percentile bootstrap of any statistic of independent samples (Efron 1979). For statistics of many requests inside
 * one block, e.g. its p95; it says nothing of the differences between blocks, which need paired blocks.
 *
 * @throws RangeError when there are no samples
 */
export function bootstrapInterval(
  samples: readonly number[],
  statistic: (resample: number[]) => number,
  options: { readonly level: number; readonly resamples: number; readonly seed: number },
): Interval {
  if (samples.length === 0) throw new RangeError('a bootstrap needs at least one sample');
  const random = createRandom(options.seed);
  const values: number[] = [];
  for (let i = 0; i < options.resamples; i++) {
    values.push(statistic(samples.map(() => samples[random.integer(samples.length)] as number)));
  }
  values.sort((a, b) => a - b);
  const tail = (1 - options.level) / 2;
  return { point: statistic([...samples]), low: quantileSorted(values, tail), high: quantileSorted(values, 1 - tail) };
}
