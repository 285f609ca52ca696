import { describe, expect, it } from 'vitest';
import { checkLimit, limitsHold, meanOver } from '../../../profiler/stats/limits.ts';
import { metricOf, metricTraits } from '../../../profiler/stats/metrics.ts';
import { classResult, madeBlock } from './blocks.ts';

describe('metricOf', () => {
  const gaps = { n: 3, mean: 4, p50: 4, p90: 5, p95: 6, p99: 7, max: 8 };
  const block = madeBlock({
    classes: {
      chat: classResult(100, {
        requests: 30,
        ok: 27,
        errorRate: 0.1,
        completion: 0.9,
        throughputPerSecond: 6,
        firstChunkMs: gaps,
        gapMs: gaps,
      }),
      batch: classResult(null, { requests: 10, ok: 3, errorRate: 0.7, completion: 0.3, throughputPerSecond: 1 }),
    },
  });

  it('reads every metric a scenario can name', () => {
    expect(metricOf(block, 'cost')).toBe(0.4);
    expect(metricOf(block, 'cpu')).toBeCloseTo(0.5 / 30);
    expect(metricOf(block, 'requestsPerCpuSecond')).toBeCloseTo(60);
    expect(metricOf(block, 'latency.p95', 'chat')).toBe(200);
    expect(metricOf(block, 'firstToken.p90', 'chat')).toBe(5);
    expect(metricOf(block, 'gap.mean', 'chat')).toBe(4);
    expect(metricOf(block, 'throughput')).toBe(7);
    expect(metricOf(block, 'completion')).toBeCloseTo(0.75);
    expect(metricOf(block, 'errorRate', 'batch')).toBe(0.7);
  });

  it('is null where the block says nothing, and never mixes percentiles of classes', () => {
    expect(metricOf(block, 'latency.p50')).toBeNull();
    expect(metricOf(block, 'latency.p50', 'batch')).toBeNull();
    expect(metricOf(block, 'latency.p50', 'absent')).toBeNull();
    expect(metricOf(madeBlock({ usage: [] }), 'cpu')).toBeNull();
    expect(() => metricOf(madeBlock(), 'speed')).toThrow(RangeError);
    expect(() => metricTraits('latency.p42')).toThrow(RangeError);
  });
});

describe('checkLimit', () => {
  const at = (...values: number[]) => values.map((value, round) => madeBlock({ round, classes: { default: classResult(value) } }));

  it('holds only at the pessimistic end', () => {
    expect(checkLimit(at(100, 102, 98), { metric: 'latency.p50', max: 120 }).holds).toBe(true);
    expect(checkLimit(at(100, 150, 70), { metric: 'latency.p50', max: 120 }).holds).toBeNull();
    expect(checkLimit(at(200, 202, 198), { metric: 'latency.p50', max: 120 }).holds).toBe(false);
    expect(checkLimit(at(100), { metric: 'latency.p50', max: 120 }).holds).toBeNull();
  });

  it('knows lower limits, and that a limit without a class is for all of them', () => {
    const blocks = [0, 1, 2].map((round) =>
      madeBlock({ round, classes: { a: classResult(50), b: classResult(500, { completion: 0.5 }) } }),
    );
    expect(checkLimit(blocks, { metric: 'completion', min: 0.99 }).holds).toBe(false);
    expect(checkLimit(blocks, { metric: 'completion', class: 'a', min: 0.99 }).holds).toBe(true);
    expect(checkLimit(blocks, { metric: 'latency.p50', max: 100 })).toMatchObject({ holds: false });
    expect(checkLimit(blocks, { metric: 'latency.p50', max: 100 }).value?.point).toBeCloseTo(500);
    expect(checkLimit(blocks, { metric: 'cost', max: 0.5 }).holds).toBe(true);
  });

  it('rests on no block that could not measure', () => {
    const bad = at(1, 1, 1).map((block) => ({ ...block, quality: { valid: false, faults: [] } }));
    expect(checkLimit(bad, { metric: 'latency.p50', max: 120 })).toEqual({ value: null, holds: null });
    expect(meanOver([...bad, ...at(100, 100)], 'latency.p50', 'default')?.point).toBeCloseTo(100);
  });

  it('joins limits: one broken breaks all, one unknown leaves it open', () => {
    const blocks = at(100, 101, 99);
    expect(limitsHold(blocks, [])).toBe(true);
    expect(
      limitsHold(blocks, [
        { metric: 'latency.p50', max: 1 },
        { metric: 'firstToken.p50', max: 1 },
      ]),
    ).toBe(false);
    expect(
      limitsHold(blocks, [
        { metric: 'latency.p50', max: 200 },
        { metric: 'firstToken.p50', max: 1 },
      ]),
    ).toBeNull();
  });
});
