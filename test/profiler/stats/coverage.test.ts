import { describe, expect, it } from 'vitest';
import { type Looks, looksOf } from '../../../profiler/stats/paired.ts';
import { coverage, noises } from '../../bench/statistics.ts';

const plans: readonly (readonly [string, number, number, Looks])[] = [
  ['3 pairs, one look', 3, 3, 1],
  ['6 pairs, one look', 6, 6, 1],
  ['3 to 6 pairs, a look after each', 3, 6, looksOf(3, 6)],
  ['3 to 20 pairs, a look after each', 3, 20, 'anytime'],
];
const repeats = 1000;

describe.each(plans)('a 95 %% interval over %s', (_title, minRounds, maxRounds, looks) => {
  it.each(Object.entries(noises))('covers the truth in at least 90 %% of studies under %s noise', (_noise, noise) => {
    expect(coverage({ noise, minRounds, maxRounds, looks, repeats, seed: 20 })).toBeGreaterThanOrEqual(0.9);
  });
});

describe('looking again and again', () => {
  const normal = noises.normal as (typeof noises)[string];
  it('breaks the plain interval, which is why the error is split', () => {
    expect(coverage({ noise: normal, minRounds: 3, maxRounds: 20, looks: 1, repeats, seed: 20 })).toBeLessThan(0.9);
  });

  it('leaves the confidence sequence at its level', () => {
    expect(coverage({ noise: normal, minRounds: 3, maxRounds: 20, looks: 'anytime', repeats, seed: 20 })).toBeGreaterThanOrEqual(0.95);
  });
});
