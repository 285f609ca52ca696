import type { Curve } from '../../runtime/llm/engine/hardware-profile.ts';
import { nonNegativeLeastSquares } from './fit-solve.ts';

export interface CurvePoint {
  readonly at: number;
  readonly ms: number;
}

/**
 * The piecewise linear curve with the fewest knots, of at most `mostKnots`, whose root mean square relative error over the
 * points is within `errorShare`. Knots lie on points: the best ones for their number, found by dynamic programming over
 * the errors of single pieces. Values are then fitted by least squares with relative weights, never falling.
 */
export function fitCurve(points: readonly CurvePoint[], errorShare: number, mostKnots: number): Curve {
  const sorted = mergeEqual(points);
  if (sorted.length === 0) throw new RangeError('a curve needs at least one point');
  if (sorted.length === 1) return { at: sorted.map(({ at }) => at), ms: sorted.map(({ ms }) => ms) };
  const last = sorted.length - 1;
  const piece = pieceErrors(sorted);
  // best[i]: least error from the first point to point i with the knots of this round; from[round][i]: the knot before it.
  let best = sorted.map((_, i) => piece[0]?.[i] ?? Number.POSITIVE_INFINITY);
  const from: number[][] = [sorted.map(() => 0)];
  let knots = 2;
  const within = () => Math.sqrt((best[last] ?? 0) / sorted.length) <= errorShare;
  for (; knots < Math.min(mostKnots, sorted.length) && !within(); knots++) {
    const before = best;
    const chosen = sorted.map(() => 0);
    best = sorted.map((_, i) => {
      let least = Number.POSITIVE_INFINITY;
      for (let j = 0; j < i; j++) {
        const error = (before[j] ?? 0) + (piece[j]?.[i] ?? 0);
        if (error < least) {
          least = error;
          chosen[i] = j;
        }
      }
      return i === 0 ? 0 : least;
    });
    from.push(chosen);
  }
  const indexes = [last];
  for (let round = from.length - 1; round >= 0 && indexes[0] !== 0; round--) indexes.unshift(from[round]?.[indexes[0] ?? 0] ?? 0);
  return refine(
    sorted,
    indexes.map((index) => sorted[index]?.at ?? 0),
  );
}

/** Sum of squared relative errors of the straight piece from point i to point j over the points between. */
function pieceErrors(points: readonly CurvePoint[]): number[][] {
  return points.map((a, i) =>
    points.map((b, j) => {
      let sum = 0;
      for (let k = i + 1; k < j; k++) {
        const { at, ms } = points[k] as CurvePoint;
        const line = a.ms + ((b.ms - a.ms) * (at - a.at)) / (b.at - a.at);
        sum += ((line - ms) / ms) ** 2;
      }
      return sum;
    }),
  );
}

/** Values at given knots by least squares with relative weights: a first value and rises that are not negative. */
function refine(points: readonly CurvePoint[], at: readonly number[]): Curve {
  const rows = points.map((point) => [1, ...rises(at, point.at)].map((value) => value / point.ms));
  const values = nonNegativeLeastSquares(
    rows,
    points.map(() => 1),
  );
  let sum = 0;
  const ms = values.map((value) => {
    sum += value;
    return sum;
  });
  return { at, ms };
}

/** For each piece between knots, the share of it that lies below `x`; the last piece goes on. */
export function rises(at: readonly number[], x: number): number[] {
  return at.slice(1).map((end, index) => {
    const start = at[index] ?? 0;
    const share = (x - start) / (end - start);
    return Math.max(0, index === at.length - 2 ? share : Math.min(1, share));
  });
}

function mergeEqual(points: readonly CurvePoint[]): CurvePoint[] {
  const groups = new Map<number, number[]>();
  for (const { at, ms } of points) if (ms > 0) groups.set(at, [...(groups.get(at) ?? []), ms]);
  return [...groups].map(([at, list]) => ({ at, ms: list.reduce((a, b) => a + b, 0) / list.length })).sort((a, b) => a.at - b.at);
}
