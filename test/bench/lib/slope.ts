import { studentTwoSidedQuantile } from '../../../profiler/stats/student.ts';

export interface Slope {
  /** Change per hour, with a 95 % interval; null with too few readings. */
  readonly perHour: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly first: number;
  readonly last: number;
}

/** Readings follow one another closely, so the line is fitted to the means of this many stretches of equal length. */
const stretches = 12;
const hourMs = 3_600_000;

/** Least squares on batch means (Law and Kelton, Simulation Modeling and Analysis, on correlated output). */
export function slopeOf(readings: readonly { readonly atMs: number; readonly value: number }[]): Slope {
  const batches = Array.from({ length: Math.min(stretches, readings.length) }, (_, index, all = Math.min(stretches, readings.length)) =>
    readings.slice(Math.floor((index * readings.length) / all), Math.floor(((index + 1) * readings.length) / all)),
  );
  const points = batches.map((batch) => ({ x: mean(batch.map(({ atMs }) => atMs)) / hourMs, y: mean(batch.map(({ value }) => value)) }));
  const [first, last] = [points[0]?.y ?? 0, points.at(-1)?.y ?? 0];
  if (points.length < 4) return { perHour: null, low: null, high: null, first, last };
  const [mx, my] = [mean(points.map(({ x }) => x)), mean(points.map(({ y }) => y))];
  const sxx = points.reduce((sum, { x }) => sum + (x - mx) ** 2, 0);
  const slope = points.reduce((sum, { x, y }) => sum + (x - mx) * (y - my), 0) / sxx;
  const residual = points.reduce((sum, { x, y }) => sum + (y - my - slope * (x - mx)) ** 2, 0);
  const degrees = points.length - 2;
  const half = studentTwoSidedQuantile(0.05, degrees) * Math.sqrt(residual / degrees / sxx);
  return { perHour: slope, low: slope - half, high: slope + half, first, last };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
