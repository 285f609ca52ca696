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

/** How far off the steps of a hardware profile may be. */
const leastScale = 0.25;
const mostScale = 4;

/** Halvings of the range of scales, in its logarithm: finds one to within 2 %. */
const searchSteps = 7;
/** Difference of the means that needs no correction, as a share. */
const negligible = 0.01;
/** Share of the calls that may take less than the overhead, for clocks and rounding. */
const fastest = 0.05;

/**
 * Where calls took longer than the engine says, what comes on top of each is no more than the fastest calls took beyond what
 * the engine would need for them alone; the rest of the difference between the means is slower or faster steps. Their scale is searched for, since waiting does not
 * grow in proportion: close to saturation a little slower steps explain much. An engine that cannot carry the load it was
 * measured under at any scale tells nothing.
 *
 * @param alone each call with the engine to itself
 * @param run the pools that were measured, with their steps scaled
 */
export function correctionOf(
  compiled: CompiledProfile,
  alone: readonly PoolTimes[],
  run: (scale: number) => readonly PoolTimes[],
): Correction {
  const measured = (times: PoolTimes) => times.rows.map((row) => compiled.callModelMs[row] as number);
  const real = meanOf(alone, measured);
  if (!(real > 0)) return uncorrected;
  const beyond = alone.flatMap((times) => measured(times).map((ms, i) => ms - (times.callMs[i] as number))).sort((a, b) => a - b);
  const engineMs = (scale: number) => {
    const pools = run(scale);
    return pools.some((times) => times.saturated) ? Number.POSITIVE_INFINITY : meanOf(pools, (times) => [...times.callMs]);
  };
  const gapMs = real - engineMs(1);
  const extraMs = Math.max(0, Math.min(gapMs, beyond[Math.floor(fastest * beyond.length)] ?? 0));
  const target = real - extraMs;
  if (Math.abs(engineMs(1) - target) <= negligible * target) return { scale: 1, extraMs };
  let [low, high] = [leastScale, mostScale];
  if (engineMs(low) > target) return uncorrected;
  for (let step = 0; step < searchSteps; step++) {
    const middle = Math.sqrt(low * high);
    if (engineMs(middle) > target) high = middle;
    else low = middle;
  }
  return { scale: Math.sqrt(low * high), extraMs };
}

const meanOf = (pools: readonly PoolTimes[], values: (times: PoolTimes) => readonly number[]): number => {
  const all = pools.flatMap(values);
  return all.length > 0 ? all.reduce((sum, value) => sum + value, 0) / all.length : 0;
};
