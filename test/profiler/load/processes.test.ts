import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gammaCdf, ksDistance, ksDistance2, logGamma, normalCdf } from '../../../profiler/load/distributions.ts';
import { dispersionIndex } from '../../../profiler/load/fit-arrivals.ts';
import { mmppDispersion, mmppGapCdf } from '../../../profiler/load/mmpp.ts';
import { atRate, type DrawnArrivals, drawTimes, type MmppArrivals, meanRate } from '../../../profiler/load/processes.ts';

const until = (arrivals: DrawnArrivals, horizonMs: number, seed: number) => {
  const times: number[] = [];
  for (const time of drawTimes(arrivals, seed)) {
    if (time >= horizonMs) return times;
    times.push(time);
  }
  return times;
};
const gapsOf = (times: readonly number[]) => times.slice(1).map((time, i) => time - (times[i] ?? 0));

const gamma = fc.record({
  process: fc.constant('gamma' as const),
  perSecond: fc.double({ min: 0.5, max: 50, noNaN: true }),
  cv: fc.double({ min: 0.2, max: 3, noNaN: true }),
});
const state = fc.record({
  perSecond: fc.double({ min: 0.2, max: 40, noNaN: true }),
  meanMs: fc.double({ min: 500, max: 20_000, noNaN: true }),
});
const mmpp = fc.record({ process: fc.constant('mmpp' as const), states: fc.tuple(state, state) });

describe('drawn arrivals', () => {
  it('ascend from 0 and are the same for the same seed', () => {
    fc.assert(
      fc.property(fc.oneof(gamma, mmpp), fc.nat(), (arrivals, seed) => {
        const times = until(arrivals, 20_000, seed);
        expect(times).toEqual(until(arrivals, 20_000, seed));
        for (const [i, time] of times.entries()) expect(time).toBeGreaterThanOrEqual(times[i - 1] ?? 0);
      }),
      { numRuns: 50 },
    );
  });

  it('come at the asked rate, from the first moment on', () => {
    fc.assert(
      fc.property(fc.oneof(gamma, mmpp), fc.nat(), (arrivals, seed) => {
        // Many short stretches rather than a long one: what happens at the start counts most in a short block.
        const windowMs = 2000 / meanRate(arrivals);
        const runs = 1500;
        const counts = Array.from({ length: runs }, (_, k) => until(arrivals, windowMs, seed + k * 7919).length);
        const mean = counts.reduce((a, b) => a + b, 0) / runs;
        const error = Math.sqrt(counts.reduce((sum, count) => sum + (count - mean) ** 2, 0)) / runs;
        expect(Math.abs(mean - 2)).toBeLessThan(5 * error + 0.02);
      }),
      { numRuns: 20, seed: 5 },
    );
  });

  it('of a gamma process have gaps of the asked spread and distribution', () => {
    for (const cv of [0.3, 1, 2.2]) {
      const gaps = gapsOf(until({ process: 'gamma', perSecond: 20, cv }, 1_000_000, 3));
      const mean = gaps.reduce((a, b) => a + b, 0) / gaps.length;
      const spread = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length) / mean;
      expect(spread / cv).toBeCloseTo(1, 1);
      const shape = 1 / (cv * cv);
      expect(ksDistance(gaps, (ms) => gammaCdf(shape, (ms / 50) * shape))).toBeLessThan(1.63 / Math.sqrt(gaps.length));
    }
  });

  it('of a modulated process have the gaps and the dispersion of its formulas', () => {
    const arrivals: MmppArrivals = {
      process: 'mmpp',
      states: [
        { perSecond: 2, meanMs: 8000 },
        { perSecond: 25, meanMs: 1500 },
      ],
    };
    const spanMs = 4_000_000;
    const times = until(arrivals, spanMs, 8);
    // Gaps of one burst are alike, so the distance shrinks with bursts more than with gaps.
    expect(ksDistance(gapsOf(times), mmppGapCdf(arrivals))).toBeLessThan(0.03);
    for (const windowMs of [500, 2000, 10_000])
      expect(dispersionIndex(times, windowMs, 0, spanMs) / mmppDispersion(arrivals, windowMs)).toBeCloseTo(1, 0.5);
  });

  it('keep their rhythm when their rate is scaled', () => {
    const twice = atRate(
      {
        process: 'mmpp',
        states: [
          { perSecond: 1, meanMs: 10 },
          { perSecond: 5, meanMs: 30 },
        ],
      },
      2,
    );
    expect(twice.states).toEqual([
      { perSecond: 2, meanMs: 10 },
      { perSecond: 10, meanMs: 30 },
    ]);
    expect(atRate({ process: 'gamma', perSecond: 3, cv: 2 }, 0.5)).toEqual({ process: 'gamma', perSecond: 1.5, cv: 2 });
  });
});

describe('distributions', () => {
  it('agree with tables', () => {
    // Abramowitz and Stegun, tables 6.1, 26.1 and 26.7 (chi-square with 4 degrees of freedom, upper 5 % at 9.48773).
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 10);
    expect(logGamma(11)).toBeCloseTo(Math.log(3_628_800), 9);
    expect(gammaCdf(2, 9.48773 / 2)).toBeCloseTo(0.95, 5);
    expect(gammaCdf(1, 0.7)).toBeCloseTo(1 - Math.exp(-0.7), 12);
    expect(normalCdf(1.959964)).toBeCloseTo(0.975, 6);
    expect(normalCdf(-1)).toBeCloseTo(0.1586553, 6);
  });

  it('are 0 apart from themselves and 1 from what lies beyond', () => {
    expect(ksDistance2([1, 2, 2, 3], [3, 2, 1, 2])).toBe(0);
    expect(ksDistance2([1, 2], [5, 6])).toBe(1);
    expect(ksDistance([0.5, 0.5, 0.5, 0.5], (x) => Math.min(1, x))).toBe(0.5);
  });
});
