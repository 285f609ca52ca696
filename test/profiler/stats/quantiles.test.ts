import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bootstrapInterval } from '../../../profiler/stats/bootstrap.ts';
import { hodgesLehmann, hodgesLehmannShift } from '../../../profiler/stats/hodges-lehmann.ts';
import { median, quantiles, summarize } from '../../../profiler/stats/quantiles.ts';

const samples = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 60 });

describe('quantiles', () => {
  it('rise with the share and stay inside the samples', () => {
    fc.assert(
      fc.property(samples, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 8 }), (values, shares) => {
        const found = quantiles(
          values,
          [...shares].sort((a, b) => a - b),
        );
        for (const [i, value] of found.entries()) {
          expect(value).toBeGreaterThanOrEqual(Math.min(...values));
          expect(value).toBeLessThanOrEqual(Math.max(...values));
          if (i > 0) expect(value).toBeGreaterThanOrEqual(found[i - 1] as number);
        }
      }),
    );
  });

  it('give the known summary of one to one hundred', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i);
    // Linear interpolation, type 7 of Hyndman and Fan 1996, as R and NumPy do by default.
    const expected = { n: 100, mean: 50.5, p50: 50.5, p90: 90.1, p95: 95.05, p99: 99.01, max: 100 };
    const found = summarize(values);
    for (const [key, value] of Object.entries(expected)) expect(found?.[key as keyof typeof expected]).toBeCloseTo(value, 9);
    expect(values[0]).toBe(100);
  });

  it('have nothing to say of nothing', () => {
    expect(summarize([])).toBeNull();
    expect(median([])).toBeNull();
    expect(quantiles([], [0.5])).toEqual([]);
  });
});

describe('hodgesLehmann', () => {
  it('moves with the data', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: -500, max: 500 }),
        (values, shift) => {
          const moved = values.map((value) => value + shift);
          expect((hodgesLehmann(moved) ?? 0) - (hodgesLehmann(values) ?? 0)).toBeCloseTo(shift, 6);
          expect(hodgesLehmannShift(values, moved)).toBeCloseTo(shift + (hodgesLehmannShift(values, values) ?? Number.NaN), 6);
        },
      ),
    );
  });

  it('is not carried away by one wild value, as the mean would be', () => {
    expect(hodgesLehmann([1, 2, 3, 4, 1000])).toBeLessThan(5);
    expect(hodgesLehmann([])).toBeNull();
    expect(hodgesLehmannShift([], [1])).toBeNull();
  });
});

describe('bootstrapInterval', () => {
  const options = { level: 0.95, resamples: 400, seed: 7 };
  it('holds the point between its ends and repeats with the seed', () => {
    const values = Array.from({ length: 50 }, (_, i) => Math.sin(i) * 10 + i / 5);
    const first = bootstrapInterval(values, (resample) => median(resample) ?? 0, options);
    expect(first.low).toBeLessThanOrEqual(first.point);
    expect(first.high).toBeGreaterThanOrEqual(first.point);
    expect(first.high).toBeGreaterThan(first.low);
    expect(bootstrapInterval(values, (resample) => median(resample) ?? 0, options)).toEqual(first);
    expect(bootstrapInterval(values, (resample) => median(resample) ?? 0, { ...options, seed: 8 })).not.toEqual(first);
  });

  it('refuses to say something of nothing', () => {
    expect(() => bootstrapInterval([], () => 0, options)).toThrow(RangeError);
  });
});
