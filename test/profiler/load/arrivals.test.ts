import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { arrivalTimes, drawRequest, timetable } from '../../../profiler/load/arrivals.ts';
import type { LoadClass, LoadJob } from '../../../profiler/load/job.ts';

const load = (name: string, arrivals: LoadClass['arrivals'], more: Partial<LoadClass> = {}): LoadClass => ({
  name,
  inputs: [1, 2, 3],
  arrivals,
  stream: false,
  timeoutMs: 1000,
  ...more,
});
const job = (seed: number, classes: LoadClass[], urls = ['http://a']): LoadJob => ({
  urls,
  blockId: 'b',
  seed,
  warmupMs: 500,
  durationMs: 1500,
  graceMs: 100,
  classes,
  samplesFile: '/dev/null',
});

describe('arrival times', () => {
  it('of a Poisson process have exponential gaps of the asked mean and independent counts', () => {
    const times = arrivalTimes({ process: 'poisson', perSecond: 200 }, 200_000, 11);
    const gaps = times.map((time, i) => time - (times[i - 1] ?? 0));
    const mean = gaps.reduce((a, b) => a + b, 0) / gaps.length;
    const variance = gaps.reduce((a, b) => a + (b - mean) ** 2, 0) / gaps.length;
    // 40 000 gaps: the mean has a relative standard error of 0.5 %, the CV² of about 1.4 %.
    expect(mean).toBeCloseTo(5, 0.5);
    expect(variance / mean ** 2).toBeGreaterThan(0.93);
    expect(variance / mean ** 2).toBeLessThan(1.07);
  });

  it('of a constant process are evenly spaced', () => {
    const times = arrivalTimes({ process: 'constant', perSecond: 10 }, 1000, 3);
    expect(times.length).toBe(10);
    for (let i = 1; i < times.length; i++) expect((times[i] ?? 0) - (times[i - 1] ?? 0)).toBeCloseTo(100, 6);
  });

  it('of a log are the log’s, cut to the block', () => {
    expect(arrivalTimes({ process: 'log', timesMs: [0, 900, 30, 1000, 2000] }, 1000, 1)).toEqual([0, 30, 900]);
  });
});

describe('the timetable', () => {
  const arrivals = fc.oneof(
    fc.record({
      process: fc.constantFrom('constant' as const, 'poisson' as const),
      perSecond: fc.double({ min: 0.5, max: 80, noNaN: true }),
    }),
    fc.record({ process: fc.constant('log' as const), timesMs: fc.array(fc.nat(2500), { maxLength: 30 }) }),
  );

  it('depends on seed and classes alone, not on where the ingress is', () => {
    fc.assert(
      fc.property(fc.nat(), arrivals, arrivals, (seed, a, b) => {
        const classes = [load('one', a, { sessions: 3 }), load('two', b)];
        expect(timetable(job(seed, classes))).toEqual(timetable({ ...job(seed, classes, ['http://x', 'http://y']), blockId: 'other' }));
      }),
    );
  });

  it('is in order, within the block, and marks the warm-up', () => {
    fc.assert(
      fc.property(fc.nat(), arrivals, arrivals, (seed, a, b) => {
        const planned = timetable(job(seed, [load('one', a), load('two', b)]));
        for (const [i, request] of planned.entries()) {
          expect(request.intendedMs).toBeGreaterThanOrEqual(planned[i - 1]?.intendedMs ?? 0);
          expect(request.intendedMs).toBeLessThan(2000);
          expect(request.warmup).toBe(request.intendedMs < 500);
        }
      }),
    );
  });

  it('gives a class the same requests whether or not another class runs beside it', () => {
    const mine = load('one', { process: 'poisson', perSecond: 20 }, { sessions: 4 });
    const alone = timetable(job(5, [mine]));
    const together = timetable(job(5, [mine, load('two', { process: 'poisson', perSecond: 50 })]));
    expect(together.filter((request) => request.classIndex === 0)).toEqual(alone);
  });

  it('differs between seeds', () => {
    const classes = [load('one', { process: 'poisson', perSecond: 20 })];
    expect(timetable(job(1, classes))).not.toEqual(timetable(job(2, classes)));
  });
});

describe('inputs and sessions', () => {
  it('use every input equally often', () => {
    const draws = Array.from({ length: 30 }, (_, i) => drawRequest(9, load('c', { process: 'poisson', perSecond: 1 }), i).input);
    for (const input of [0, 1, 2]) expect(draws.filter((each) => each === input).length).toBe(10);
  });

  it('spread over the asked number of sessions, none without', () => {
    const withSessions = load('c', { process: 'poisson', perSecond: 1 }, { sessions: 5 });
    const names = new Set(Array.from({ length: 400 }, (_, i) => drawRequest(9, withSessions, i).session));
    expect(names.size).toBe(5);
    expect(drawRequest(9, load('c', { process: 'poisson', perSecond: 1 }), 0).session).toBeUndefined();
  });
});
