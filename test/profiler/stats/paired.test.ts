import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { confidenceSequence, evidenceAgainstMean } from '../../../profiler/stats/confidence-sequence.ts';
import { holmLevels } from '../../../profiler/stats/holm.ts';
import { type Looks, looksOf, pairedInterval, pairedPValue } from '../../../profiler/stats/paired.ts';
import { studentTwoSidedQuantile, studentTwoSidedTail } from '../../../profiler/stats/student.ts';

const differences = fc
  .array(fc.integer({ min: -1000, max: 1000 }), { minLength: 3, maxLength: 20 })
  .map((values) => values.map((v) => v / 1000));
const anyLooks = fc.constantFrom<Looks>(1, 2, 4, 'anytime');

describe('Student t', () => {
  // Tables of critical values, e.g. NIST/SEMATECH e-Handbook 1.3.6.7.2.
  it.each([
    [0.05, 1, 12.706],
    [0.05, 2, 4.303],
    [0.05, 4, 2.776],
    [0.01, 9, 3.25],
    [0.02, 30, 2.457],
    [0.002, 3, 10.215],
  ])('exceeds with probability %d at %d degrees of freedom: %d', (alpha, degrees, expected) => {
    expect(studentTwoSidedQuantile(alpha, degrees)).toBeCloseTo(expected, 2);
    expect(studentTwoSidedTail(expected, degrees)).toBeCloseTo(alpha, 4);
  });

  it('has the closed form of two degrees of freedom', () => {
    for (const t of [0.1, 1, 5, 40]) expect(studentTwoSidedTail(t, 2)).toBeCloseTo(1 - t / Math.sqrt(2 + t * t), 10);
    expect(studentTwoSidedTail(0, 7)).toBeCloseTo(1, 10);
    expect(studentTwoSidedTail(Infinity, 7)).toBe(0);
    expect(() => studentTwoSidedQuantile(0, 2)).toThrow(RangeError);
  });
});

describe('confidenceSequence', () => {
  it('leaves out exactly the means against which the evidence exceeds 1/alpha', () => {
    fc.assert(
      fc.property(differences, fc.constantFrom(0.8, 0.9, 0.95), (values, level) => {
        const { low, high } = confidenceSequence(values, level);
        fc.pre(Number.isFinite(low) && high - low > 1e-6);
        const outside = (high - low) * 1e-4;
        expect(evidenceAgainstMean(values, high + outside)).toBeGreaterThan(1 / (1 - level));
        expect(evidenceAgainstMean(values, high - outside)).toBeLessThan(1 / (1 - level));
        expect(evidenceAgainstMean(values, low - outside)).toBeGreaterThan(1 / (1 - level));
      }),
    );
  });

  it('says nothing of fewer than three values', () => {
    expect(confidenceSequence([0.1, 0.1001], 0.95)).toMatchObject({ low: -Infinity, high: Infinity });
    expect(confidenceSequence([], 0.95)).toMatchObject({ point: 0, low: -Infinity });
    expect(evidenceAgainstMean([5], 0)).toBe(1);
  });

  it('is wider than an interval that is looked at once', () => {
    const values = [0.1, 0.14, 0.08, 0.12, 0.11];
    expect(confidenceSequence(values, 0.95).high).toBeGreaterThan(pairedInterval(values, 0.95, 1).high);
  });
});

describe('pairedInterval', () => {
  it('is the textbook interval when looked at once', () => {
    // mean 2, standard deviation 1, standard error 0.5774, t(0.05; 2) = 4.3027
    const { point, low, high } = pairedInterval([1, 2, 3], 0.95, 1);
    expect(point).toBe(2);
    expect(low).toBeCloseTo(2 - 2.4841, 3);
    expect(high).toBeCloseTo(2 + 2.4841, 3);
  });

  it('leaves out zero exactly when the p-value is below the error level', () => {
    fc.assert(
      fc.property(differences, anyLooks, fc.constantFrom(0.8, 0.95, 0.99), (values, looks, level) => {
        const { low, high } = pairedInterval(values, level, looks);
        const p = pairedPValue(values, looks);
        fc.pre(Math.abs(p - (1 - level)) > 1e-6);
        expect(low > 0 || high < 0).toBe(p < 1 - level);
      }),
    );
  });

  it('mirrors when the arms change places', () => {
    fc.assert(
      fc.property(differences, anyLooks, (values, looks) => {
        const there = pairedInterval(values, 0.95, looks);
        const back = pairedInterval(
          values.map((v) => -v),
          0.95,
          looks,
        );
        expect(back.low).toBeCloseTo(-there.high, 9);
        expect(back.high).toBeCloseTo(-there.low, 9);
      }),
    );
  });

  it('is a point when nothing varies, and endless when one value stands alone', () => {
    for (const looks of [1, 'anytime'] as const) {
      expect(pairedInterval([-0.5, -0.5, -0.5], 0.95, looks)).toEqual({ point: -0.5, low: -0.5, high: -0.5 });
      expect(pairedPValue([-0.5, -0.5, -0.5], looks)).toBe(0);
      expect(pairedPValue([0, 0, 0], looks)).toBe(1);
      expect(pairedInterval([0.2], 0.95, looks)).toMatchObject({ low: -Infinity, high: Infinity });
      expect(pairedPValue([0.2], looks)).toBe(1);
    }
  });

  it('splits the error over few looks and allows any number beyond', () => {
    expect(looksOf(3, 3)).toBe(1);
    expect(looksOf(3, 6)).toBe(4);
    expect(looksOf(3, 40)).toBe('anytime');
  });
});

describe('holmLevels', () => {
  it('holds the smallest against alpha/m and stops sharpening at the first that stands', () => {
    expect(holmLevels([0.001, 0.04, 0.02], 0.06)).toEqual([0.02, 0.06, 0.03]);
    expect(holmLevels([0.5, 0.4], 0.05)).toEqual([0.025, 0.025]);
    expect(holmLevels([], 0.05)).toEqual([]);
  });

  it('rejects no more than without correction and no less than Bonferroni', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 8 }), (pValues) => {
        for (const [i, level] of holmLevels(pValues, 0.05).entries()) {
          expect(level).toBeLessThanOrEqual(0.05 + 1e-12);
          expect(level).toBeGreaterThanOrEqual(0.05 / pValues.length - 1e-12);
          const smaller = pValues.filter((p, j) => p <= (pValues[i] as number) && j !== i).length;
          expect(level).toBeLessThanOrEqual(0.05 / (pValues.length - smaller) + 1e-12);
        }
      }),
    );
  });
});
