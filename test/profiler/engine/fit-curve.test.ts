import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitCurve } from '../../../profiler/engine/fit-curve.ts';
import { fitPositive, nonNegativeLeastSquares } from '../../../profiler/engine/fit-solve.ts';
import { valueAt } from '../../../runtime/llm/engine/step-times.ts';

describe('a curve of few knots', () => {
  it('is a piecewise linear function again, with as many knots as that has', () => {
    const real = { at: [1, 64, 256, 2048], ms: [10, 10.5, 14, 180] };
    const points = Array.from({ length: 129 }, (_, i) => ({ at: 1 + i * 16, ms: valueAt(real, 1 + i * 16) }));
    const curve = fitCurve(points, 0.002, 12);
    expect(curve.at.length).toBeLessThanOrEqual(6);
    for (const { at, ms } of points) expect(valueAt(curve, at) / ms).toBeCloseTo(1, 1);
  });

  it('follows steps, never falls, and keeps to the number of knots allowed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.1, max: 50, noNaN: true }), { minLength: 2, maxLength: 40 }),
        fc.integer({ min: 2, max: 8 }),
        (steps, most) => {
          const curve = fitCurve(
            steps.map((ms, index) => ({ at: index + 1, ms })),
            0.01,
            most,
          );
          expect(curve.at.length).toBeLessThanOrEqual(most);
          expect([...curve.ms].sort((a, b) => a - b)).toEqual(curve.ms);
        },
      ),
      { seed: 2 },
    );
  });
});

describe('least squares without negative coefficients', () => {
  it('finds coefficients that are positive, and zero for what only a negative one would explain', () => {
    const rows = [
      [1, 1, 2],
      [1, 2, 1],
      [1, 3, 5],
      [1, 4, 3],
      [1, 5, 9],
    ];
    const exact = nonNegativeLeastSquares(
      rows,
      rows.map(([a = 0, b = 0]) => 3 * a + 2 * b),
    );
    expect(exact[0]).toBeCloseTo(3, 6);
    expect(exact[1]).toBeCloseTo(2, 6);
    expect(exact[2]).toBeCloseTo(0, 6);
    const negative = nonNegativeLeastSquares(
      rows,
      rows.map(([a = 0, b = 0]) => 10 * a - b),
    );
    expect(Math.min(...negative)).toBe(0);
  });

  it('is no worse than any other non-negative choice', () => {
    const number = fc.double({ min: -5, max: 5, noNaN: true });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(number, number, number, number), { minLength: 4, maxLength: 12 }),
        fc.tuple(number, number, number),
        (data, other) => {
          const rows = data.map(([a, b, c]) => [a, b, c]);
          const cost = (x: readonly number[]) =>
            data.reduce((sum, [a, b, c, y]) => sum + (a * (x[0] ?? 0) + b * (x[1] ?? 0) + c * (x[2] ?? 0) - y) ** 2, 0);
          const best = nonNegativeLeastSquares(
            rows,
            data.map(([, , , y]) => y),
          );
          expect(cost(best)).toBeLessThanOrEqual(cost(other.map(Math.abs)) + 1e-6);
        },
      ),
      { seed: 3 },
    );
  });
});

describe('a fit of positive parameters', () => {
  it('comes to the bottom, and says what nothing depends on', () => {
    const { values, logErrors } = fitPositive(
      ([a = 0, b = 0, _c = 0]) => Array.from({ length: 9 }, (_, i) => a + b * i - (3 + 0.5 * i)),
      [1, 1, 1],
      { leastNoise: 0.01 },
    );
    expect(values[0]).toBeCloseTo(3, 3);
    expect(values[1]).toBeCloseTo(0.5, 3);
    expect(logErrors[0]).toBeLessThan(0.1);
    expect(logErrors[2]).toBe(Number.POSITIVE_INFINITY);
  });
});
