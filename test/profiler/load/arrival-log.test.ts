import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { atDensity, parseArrivalLog, playedLog } from '../../../profiler/load/arrival-log.ts';
import { dispersionIndex } from '../../../profiler/load/fit-arrivals.ts';
import { drawTimes } from '../../../profiler/load/processes.ts';

const plain = { rateScale: 1, timeScale: 1, fromMs: 0, seed: 3 };
const bursty = (() => {
  const times: number[] = [];
  const states = [
    { perSecond: 2, meanMs: 20_000 },
    { perSecond: 20, meanMs: 6000 },
  ] as const;
  for (const time of drawTimes({ process: 'mmpp', states }, 12)) {
    if (time > 2_000_000) break;
    times.push(time);
  }
  return times;
})();

describe('a log of arrivals', () => {
  it('is read in both forms', () => {
    expect(parseArrivalLog('TIMESTAMP,ContextTokens\n2023-11-16 18:15:46.6805900,374\n2023-11-16 18:15:50.9951690,396\n')).toEqual({
      timesMs: [0, expect.closeTo(4314.579, 3)],
    });
    expect(parseArrivalLog('12.5\n\n10\n')).toEqual({ timesMs: [0, 2500] });
  });

  it('says in which line what is wrong', () => {
    expect(parseArrivalLog('1\n\n2\nsoon\n')).toMatchObject({ line: 4, error: expect.stringContaining('soon') });
    expect(parseArrivalLog('A,TIMESTAMP\n1,2023-11-16 18:15:46\n1,\n')).toMatchObject({ line: 3 });
    expect(parseArrivalLog('\n\n')).toEqual({ error: 'has no arrival' });
    expect(parseArrivalLog('\u0000\u0001\n')).toMatchObject({ line: 1 });
    fc.assert(
      fc.property(fc.string(), (text) => {
        const parsed = parseArrivalLog(text);
        if ('timesMs' in parsed) for (const time of parsed.timesMs) expect(Number.isFinite(time)).toBe(true);
      }),
    );
  });

  it('stretched in time keeps the order of its gaps; scaled in rate it keeps its span', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(100_000), { minLength: 2, maxLength: 200 }),
        fc.double({ min: 0.1, max: 8, noNaN: true }),
        fc.nat(),
        (raw, factor, seed) => {
          const times = [...raw].sort((a, b) => a - b);
          const stretched = playedLog(times, { ...plain, timeScale: factor });
          if ('error' in stretched) throw new Error(stretched.error);
          for (const [i, time] of stretched.timesMs.entries()) expect(time).toBeCloseTo((times[i] ?? 0) * factor, 6);
          const denser = atDensity(times, factor, seed);
          expect(denser).toEqual(atDensity(times, factor, seed));
          for (const [i, time] of denser.entries()) {
            expect(time).toBeGreaterThanOrEqual(denser[i - 1] ?? times[0] ?? 0);
            expect(time).toBeLessThanOrEqual(times.at(-1) ?? 0);
          }
          if (Number.isInteger(factor)) expect(denser.length).toBe(times.length * factor);
        },
      ),
    );
  });

  it.each([0.25, 0.6, 1.7, 3])('at %d times the rate has bursts where it had them, and as long', (factor) => {
    const scaled = atDensity(bursty, factor, 9);
    expect(scaled.length / bursty.length / factor).toBeCloseTo(1, 1);
    const perWindow = (times: readonly number[], share: number) => {
      const counts = new Float64Array(200);
      for (const time of times) counts[Math.floor(time / 10_000)] = (counts[Math.floor(time / 10_000)] ?? 0) + share;
      return counts;
    };
    const [was, is] = [perWindow(bursty, 1), perWindow(scaled, 1 / factor)];
    const mean = bursty.length / 200;
    const covariance = was.reduce((sum, count, i) => sum + (count - mean) * ((is[i] ?? 0) - mean), 0);
    const spread = (counts: Float64Array) => Math.sqrt(counts.reduce((sum, count) => sum + (count - mean) ** 2, 0));
    expect(covariance / spread(was) / spread(is)).toBeGreaterThan(0.9);
    // Playing it faster would shorten the bursts: the counts of a minute would be of another kind.
    const faster = bursty.map((time) => time / factor);
    const index = (times: readonly number[], spanMs: number) => dispersionIndex(times, 10_000, 0, spanMs);
    expect(Math.abs(index(scaled, 2_000_000) - index(faster, 2_000_000 / factor))).toBeGreaterThan(0.5);
  });

  it('can start later, and says so when it has ended by then', () => {
    expect(playedLog([0, 1000, 5000], { ...plain, fromMs: 1000 })).toEqual({ timesMs: [0, 4000] });
    expect(playedLog([0, 1000, 5000], { ...plain, fromMs: 9000 })).toEqual({ error: expect.stringContaining('ends 5 s after') });
  });
});
