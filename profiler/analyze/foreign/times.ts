import { createRandom, deriveSeed, type Random } from '../../../compiler/contracts/random.ts';
import type { TracedTimes } from '../../../compiler/contracts/trace-digest.ts';
import { quantiles } from '../../stats/quantiles.ts';

/** Values kept of each kind; a p99 of that many is good to a tenth of a percentile (standard error √(0.01·0.99/10 000)). */
const kept = 10_000;

/** Sums all values and keeps a uniform sample of them. Source: Vitter, "Random sampling with a reservoir", algorithm R, 1985. */
export interface TimesTally {
  add(ms: number): void;
  readonly count: number;
  readonly totalMs: number;
  times(): TracedTimes;
}

export function createTimes(seed: number, ...labels: readonly string[]): TimesTally {
  const values: number[] = [];
  let random: Random | null = null;
  let count = 0;
  let totalMs = 0;
  return {
    add(ms) {
      count++;
      totalMs += ms;
      if (values.length < kept) {
        values.push(ms);
        return;
      }
      random ??= createRandom(deriveSeed(seed, ...labels));
      const at = random.integer(count);
      if (at < kept) values[at] = ms;
    },
    get count() {
      return count;
    },
    get totalMs() {
      return totalMs;
    },
    times() {
      const [p50Ms = 0, p95Ms = 0, p99Ms = 0] = count === 0 ? [] : quantiles(values, [0.5, 0.95, 0.99]);
      return { totalMs, meanMs: count === 0 ? 0 : totalMs / count, p50Ms, p95Ms, p99Ms };
    },
  };
}
