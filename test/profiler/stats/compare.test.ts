import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { comparePaired, type Pair, type PairedInput, pairedComparisonPValue, widestRatio } from '../../../profiler/stats/compare.ts';

const options = { margin: 0.03, minPairs: 3, level: 0.95, looks: 1 as const };
const pairsOf = (...values: readonly (readonly [number, number])[]): readonly Pair[] =>
  values.map(([baseline, challenger], round) => ({ round, baseline, challenger }));
const input = (pairs: readonly Pair[], rest: Partial<PairedInput> = {}): PairedInput => ({
  metric: 'latency.p50',
  requestClass: 'default',
  unit: 'ms',
  lowerIsBetter: true,
  baselineConfigurationId: 'base',
  challengerConfigurationId: 'new',
  pairs,
  excludedBlocks: 0,
  provenance: 'measured',
  ...rest,
});

describe('comparePaired', () => {
  it('calls a clear, repeated gain better, and the same numbers worse for what should be high', () => {
    const pairs = pairsOf([100, 52], [110, 55], [105, 53]);
    expect(comparePaired(input(pairs), options)).toMatchObject({ verdict: 'better', baseline: 105, challenger: 53, pairs: 3 });
    expect(comparePaired(input(pairs, { lowerIsBetter: false }), options).verdict).toBe('worse');
  });

  it('pairs rounds, so a drift both share does not hide the gain', () => {
    const drifting = pairsOf([100, 90], [200, 181], [400, 359], [800, 722]);
    expect(comparePaired(input(drifting), options)).toMatchObject({ verdict: 'better' });
  });

  it('calls it the same only when the whole interval is inside the margin', () => {
    expect(comparePaired(input(pairsOf([100, 100.2], [100, 99.9], [100, 100.1])), options).verdict).toBe('same');
    expect(comparePaired(input(pairsOf([100, 110], [100, 91], [100, 100])), options).verdict).toBe('inconclusive');
  });

  it('does not call a real difference below the margin a gain', () => {
    const small = Array.from({ length: 3 }, (_, round) => ({ round, baseline: 100, challenger: 98 + round / 1000 }));
    expect(comparePaired(input(small), options).verdict).toBe('same');
    const unsure = pairsOf([100, 98], [100, 97], [100, 98.6], [100, 96.9]);
    expect(comparePaired(input(unsure), options)).toMatchObject({
      verdict: 'inconclusive',
      reason: expect.stringContaining('below the margin'),
    });
  });

  it('takes a cost that follows from the allocation alone as exact', () => {
    const found = comparePaired(input(pairsOf([0.4, 0.2], [0.4, 0.2], [0.4, 0.2]), { unit: 'usd', metric: 'cost.usdPer1000' }), options);
    expect(found).toMatchObject({ verdict: 'better', ratio: { low: found.ratio.point, high: found.ratio.point } });
    expect(found.ratio.point).toBeCloseTo(0.5, 12);
  });

  it('gives no verdict on too few pairs, and says how many blocks were left out', () => {
    const found = comparePaired(input(pairsOf([100, 10], [100, 10]), { excludedBlocks: 4 }), options);
    expect(found).toMatchObject({ verdict: 'inconclusive', pairs: 2, excludedBlocks: 4, reason: expect.stringContaining('4 blocks') });
    expect(comparePaired(input([]), options)).toMatchObject({ verdict: 'inconclusive', pairs: 0, ratio: { point: 1, high: widestRatio } });
  });

  it('compares shares that may be zero', () => {
    const shares = { unit: 'share', metric: 'errorRate' } as const;
    expect(comparePaired(input(pairsOf([0, 0], [0, 0], [0, 0]), shares), options).verdict).toBe('same');
    expect(comparePaired(input(pairsOf([0, 0.3], [0, 0.31], [0, 0.3]), shares), options).verdict).toBe('worse');
  });

  it('mirrors, survives JSON, and agrees with its p-value', () => {
    const value = fc.double({ min: 0.01, max: 1e4, noNaN: true });
    const random = fc.array(fc.tuple(value, value), { minLength: 0, maxLength: 12 });
    fc.assert(
      fc.property(random, fc.constantFrom(1 as const, 3, 'anytime' as const), (values, looks) => {
        const there = comparePaired(input(pairsOf(...values)), { ...options, looks });
        const back = comparePaired(input(pairsOf(...values.map(([a, b]) => [b, a] as const))), { ...options, looks });
        const mirrored = { better: 'worse', worse: 'better', same: 'same', inconclusive: 'inconclusive' };
        expect(back.verdict).toBe(mirrored[there.verdict]);
        expect(there.ratio.point * back.ratio.point).toBeCloseTo(1, 6);
        expect(JSON.parse(JSON.stringify(there))).toEqual(there);
        expect(there.ratio.low).toBeLessThanOrEqual(there.ratio.high);
        if (there.verdict === 'better') expect(pairedComparisonPValue(input(pairsOf(...values)), looks)).toBeLessThanOrEqual(0.05 + 1e-9);
      }),
    );
  });
});
