import { createRandom } from '../../../compiler/contracts/index.ts';

/** Value below which the share `q` of the sorted numbers lies, by linear interpolation. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * q;
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
}

/** Median of the ratios of pairs with its 95 % percentile-bootstrap interval. */
export function ratioInterval(
  ratios: readonly number[],
  seed = 1,
): { readonly point: number; readonly low: number; readonly high: number } {
  const random = createRandom(seed);
  const medians = Array.from({ length: 2000 }, () =>
    quantile(
      ratios.map(() => ratios[random.integer(ratios.length)] ?? Number.NaN),
      0.5,
    ),
  );
  return { point: quantile(ratios, 0.5), low: quantile(medians, 0.025), high: quantile(medians, 0.975) };
}

/** Latencies, in ms, of `work` repeated in `inflight` loops for `durationMs`. */
export async function closedLoop(work: () => Promise<unknown>, inflight: number, durationMs: number): Promise<number[]> {
  const latenciesMs: number[] = [];
  const end = performance.now() + durationMs;
  const loop = async () => {
    for (let now = performance.now(); now < end; ) {
      await work();
      const after = performance.now();
      latenciesMs.push(after - now);
      now = after;
    }
  };
  await Promise.all(Array.from({ length: inflight }, loop));
  return latenciesMs;
}
