import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bucketOf,
  bucketStartMs,
  type ClassTally,
  failuresOf,
  quantileAtMostMs,
  type Tally,
  tallySince,
  tallySum,
} from '../../../compiler/contracts/index.ts';
import { atLeast, atMost, highestShare } from '../../../profiler/stats/binomial.ts';
import { errorsAsBefore, judgeLimits } from '../../../profiler/stats/watched-limits.ts';

const counted = (latencies: readonly number[], outcomes: { readonly [code: string]: number } = {}): ClassTally => {
  const latency: { [bucket: string]: number } = {};
  for (const ms of latencies) latency[bucketOf(ms)] = (latency[bucketOf(ms)] ?? 0) + 1;
  const failed = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  return { requests: latencies.length + failed, outcomes, latency, firstChunk: {} };
};
const tally = (counts: ClassTally): Tally => ({ classes: { default: counts } });
const times = (n: number, ms: number) => Array.from({ length: n }, () => ms);

describe('tallies', () => {
  it('hold each time between the bounds of its bucket, which are 4.4 % apart', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 1e7, noNaN: true }), (ms) => {
        const bucket = bucketOf(ms);
        expect(bucketStartMs(bucket)).toBeLessThanOrEqual(ms * (1 + 1e-9));
        expect(bucketStartMs(bucket + 1)).toBeGreaterThan(ms * (1 - 1e-9));
        expect(bucketStartMs(bucket + 1) / bucketStartMs(bucket)).toBeCloseTo(2 ** (1 / 16), 10);
      }),
    );
  });

  it('add up: what came before and what came since is all there is', () => {
    const some = fc.array(fc.integer({ min: 1, max: 5_000 }), { maxLength: 40 });
    fc.assert(
      fc.property(some, some, fc.nat(9), (first, second, failed) => {
        const before = tally(counted(first));
        const all = tallySum([before, tally(counted(second, { failed }))]);
        const since = tallySince(before, all);
        expect(since.classes.default?.requests).toBe(second.length + failed);
        expect(failuresOf(since.classes.default ?? counted([]))).toBe(failed);
        expect(tallySum([before, since])).toEqual(all);
      }),
    );
  });

  it('tell a percentile from above, never by more than a bucket', () => {
    expect(quantileAtMostMs({}, 0.5)).toBeNull();
    const value = quantileAtMostMs(counted([...times(95, 10), ...times(5, 1_000)]).latency, 0.95) ?? 0;
    expect(value).toBeGreaterThanOrEqual(10);
    expect(value).toBeLessThan(10 * 2 ** (1 / 16) + 0.01);
  });

  it('count neither pauses nor clients that left as failures', () => {
    expect(failuresOf(counted([], { inputRequired: 4, cancelled: 2, deadline: 1 }))).toBe(1);
  });
});

describe('binomial', () => {
  it('agrees with the sum of its terms', () => {
    // P(X >= 2), n = 5, p = 0.3: 1 - 0.7^5 - 5 * 0.3 * 0.7^4.
    expect(atLeast(2, 5, 0.3)).toBeCloseTo(1 - 0.7 ** 5 - 5 * 0.3 * 0.7 ** 4, 12);
    expect(atMost(1, 5, 0.3)).toBeCloseTo(0.7 ** 5 + 5 * 0.3 * 0.7 ** 4, 12);
    // No hit in n tries leaves 1 - alpha^(1/n) possible.
    expect(highestShare(0, 59, 0.05)).toBeCloseTo(1 - 0.05 ** (1 / 59), 9);
    expect(highestShare(0, 0, 0.05)).toBe(1);
  });
});

describe('limits on live traffic', () => {
  const p95 = { metric: 'latency.p95', max: 100 };
  const verdict = (counts: ClassTally, limit: Parameters<typeof judgeLimits>[0][number] = p95) =>
    judgeLimits([limit], tally(counts))[0]?.verdict;

  it('hold only once there were enough requests: 59 for a 95th percentile', () => {
    expect(verdict(counted(times(58, 10)))).toBe('undecided');
    expect(verdict(counted(times(59, 10)))).toBe('held');
    expect(judgeLimits([p95], { classes: {} })).toMatchObject([{ verdict: 'undecided', requests: 0, value: null }]);
  });

  it('are broken by what cannot be chance, undecided in between', () => {
    expect(verdict(counted([...times(50, 10), ...times(50, 300)]))).toBe('broken');
    expect(verdict(counted([...times(94, 10), ...times(6, 300)]))).toBe('undecided');
    // One of one is no evidence against a limit that one in twenty may pass.
    expect(verdict(counted([...times(19, 10), 300]))).toBe('undecided');
  });

  it('give what lies in the limit’s own bucket the benefit of no doubt', () => {
    const edge = bucketStartMs(bucketOf(100)) * 1.001;
    expect(verdict(counted(times(500, edge)))).toBe('undecided');
  });

  it('know shares of failures, per class, and say what they cannot see', () => {
    const errors = { metric: 'errorRate', max: 0.01 };
    expect(verdict(counted(times(299, 10)), errors)).toBe('held');
    expect(verdict(counted(times(100, 10), { unavailable: 10 }), errors)).toBe('broken');
    expect(verdict(counted(times(100, 10), { inputRequired: 50 }), errors)).toBe('undecided');
    expect(verdict(counted(times(100, 10), { failed: 20 }), { metric: 'completion', min: 0.95 })).toBe('broken');
    expect(verdict(counted(times(100, 10)), { metric: 'cost', max: 1 })).toBe('unseen');
    const two = { classes: { quick: counted(times(200, 10)), slow: counted(times(200, 500)) } };
    expect(judgeLimits([p95], two).map(({ requestClass, verdict: said }) => [requestClass, said])).toEqual([
      ['quick', 'held'],
      ['slow', 'broken'],
    ]);
    expect(judgeLimits([{ ...p95, class: 'other' }], two)).toMatchObject([{ requestClass: 'other', verdict: 'undecided' }]);
  });

  it('take over from what failed before', () => {
    expect(errorsAsBefore({ classes: {} }).max).toBe(0.5);
    expect(errorsAsBefore(tally(counted(times(990, 10), { failed: 10 }))).max).toBeGreaterThan(0.01);
    expect(errorsAsBefore(tally(counted(times(990, 10), { failed: 10 }))).max).toBeLessThan(0.02);
  });
});
