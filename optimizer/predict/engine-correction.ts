import type { PoolTimes } from './call-times.ts';
import type { CompiledProfile } from './compiled-profile.ts';

/** What measured calls take against what the engine says of them: `extraMs + scale × engine`. */
export interface Correction {
  /** Of every step of the engine. */
  readonly scale: number;
  /** Beside the engine: network, client, server. */
  readonly extraMs: number;
}

export const uncorrected: Correction = { scale: 1, extraMs: 0 };

/** How far off a hardware profile may be before the rest is taken for something else than slower or faster steps. */
const leastScale = 0.25;
const mostScale = 4;

/** Halvings of the range of scales: finds one to within 2 %. */
const searchSteps = 6;

/**
 * Least squares over the calls, held to the mean of what was measured: the slope is how much slower the real engine's
 * steps are, the intercept what comes on top of each call. Where the calls are all alike nothing tells the two apart, and
 * all of the difference is put on top. An engine that is too slow even so has its steps scaled down until it takes what
 * was measured; scaling is searched for, since waiting does not shrink in proportion. An engine that could not carry the
 * load it was measured under at any scale tells nothing.
 *
 * @param run the pools that were measured, with their steps scaled
 */
export function correctionOf(compiled: CompiledProfile, run: (scale: number) => readonly PoolTimes[]): Correction {
  const first = run(1);
  const real = meanOf(first, (times) => times.rows.map((row) => compiled.callModelMs[row] as number));
  if (first.length === 0 || !(real > 0)) return uncorrected;
  const engineMs = (pools: readonly PoolTimes[]) =>
    pools.some((times) => times.saturated) ? Number.POSITIVE_INFINITY : meanOf(pools, (times) => [...times.callMs]);
  const slope = engineMs(first) === Number.POSITIVE_INFINITY ? 1 : slopeOf(compiled, first);
  const at = (scale: number): Correction | undefined => {
    const extraMs = real - engineMs(scale === 1 ? first : run(scale));
    return extraMs >= 0 ? { scale, extraMs } : undefined;
  };
  const found = at(Math.min(mostScale, Math.max(leastScale, slope))) ?? at(1);
  if (found) return found;
  let [low, high] = [leastScale, 1];
  let best = at(low);
  if (!best) return uncorrected;
  for (let step = 0; step < searchSteps; step++) {
    const middle = (low + high) / 2;
    const tried = at(middle);
    if (tried) [low, best] = [middle, tried];
    else high = middle;
  }
  return best;
}

const meanOf = (pools: readonly PoolTimes[], values: (times: PoolTimes) => readonly number[]): number => {
  const all = pools.flatMap(values);
  return all.length > 0 ? all.reduce((sum, value) => sum + value, 0) / all.length : 0;
};

/** Of the measured times on the engine's, over the calls; 1 where the calls do not differ enough to tell. */
function slopeOf(compiled: CompiledProfile, pools: readonly PoolTimes[]): number {
  const points = pools.flatMap(({ rows, callMs }) =>
    rows.map((row, i) => [callMs[i] as number, compiled.callModelMs[row] as number] as const),
  );
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const variance = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0) / n;
  if (!(variance > 1e-4 * meanX * meanX)) return 1;
  return points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / n / variance;
}
