import type { Curve } from './hardware-profile.ts';

/** Kernel times of one layer or of the whole model's ends, measured alone for one tensor-parallel degree. Milliseconds. */
export interface OperatorTables {
  readonly tensorParallelSize: number;
  /** Of one layer by tokens: every operator in it but attention and experts. */
  readonly layer: Curve;
  /** Once per step by tokens: embedding, last norm. */
  readonly ends: Curve;
  /** Once per step by sequences sampled: output head, sampler. */
  readonly perSequence: Curve;
  readonly attention: readonly AttentionPoint[];
  /** Of one layer's experts by tokens and distinct experts those tokens activate. */
  readonly experts?: readonly ExpertPoint[];
  /** Where a step decodes sequences of unequal length, how far its attention is from that of the mean to that of the longest. */
  readonly skew?: number;
}

/** One layer's attention for a chunk of a prompt after `prefillContext` tokens beside `decodes` sequences of `decodeContext` tokens. */
export interface AttentionPoint {
  readonly prefillTokens: number;
  readonly prefillContext: number;
  readonly decodes: number;
  readonly decodeContext: number;
  readonly ms: number;
}

export interface ExpertPoint {
  readonly tokens: number;
  readonly experts: number;
  readonly ms: number;
}

/** A function over points that need not form a full grid: each value of an axis has its own axis below it. */
export interface Axis {
  readonly at: readonly number[];
  readonly below: readonly (Axis | number)[];
}

/** Points as nested axes, in the order of `coordinates`; values of an axis with far fewer points below than the rest are left out. */
export function nest(points: readonly { readonly coordinates: readonly number[]; readonly ms: number }[], depth = 0): Axis {
  const groups = new Map<number, { readonly coordinates: readonly number[]; readonly ms: number }[]>();
  for (const point of points) {
    const key = point.coordinates[depth] as number;
    const group = groups.get(key);
    if (group) group.push(point);
    else groups.set(key, [point]);
  }
  const most = Math.max(...[...groups.values()].map((group) => group.length));
  const kept = [...groups].filter(([, group]) => 2 * group.length >= most).sort(([a], [b]) => a - b);
  const last = depth === (points[0]?.coordinates.length ?? 0) - 1;
  return {
    at: kept.map(([key]) => key),
    below: kept.map(([, group]) => (last ? group.reduce((sum, { ms }) => sum + ms, 0) / group.length : nest(group, depth + 1))),
  };
}

/** Index of the lower end of the piece of `at` that holds `x`, or the nearest piece. */
export function pieceOf(at: readonly number[], x: number): number {
  let low = 0;
  let high = at.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((at[middle] as number) <= x) low = middle;
    else high = middle;
  }
  return low;
}

/** Linear between neighbours on every axis, and on beyond the last ones; below the first point its value. */
export function interpolate(axis: Axis | number, coordinates: readonly number[], depth = 0): number {
  if (typeof axis === 'number') return axis;
  const { at, below } = axis;
  const x = coordinates[depth] as number;
  const low = pieceOf(at, x);
  const first = interpolate(below[low] as Axis | number, coordinates, depth + 1);
  const x0 = at[low] as number;
  if (at.length === 1 || x <= x0) return first;
  const second = interpolate(below[low + 1] as Axis | number, coordinates, depth + 1);
  return first + ((x - x0) / ((at[low + 1] as number) - x0)) * (second - first);
}
