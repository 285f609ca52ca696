import { describe, expect, it } from 'vitest';
import { ending } from '../../cli/commands/verify.ts';
import { judge } from '../../cli/judgement.ts';
import type { Block, ClassResult, Configuration, Estimate } from '../../compiler/contracts/index.ts';
import type { ReportTrial } from '../../reports/report.ts';
import { blockOf } from '../optimizer/synthetic-block.ts';

const configuration = { units: [] } as unknown as Configuration;
const estimate = (low: number, high: number): Estimate => ({
  ...{ point: (low + high) / 2, low, high, level: 0.95, n: 5, provenance: 'measured' },
});

interface Seen {
  readonly p50Ms?: number;
  readonly usdPer1000?: number;
  readonly failed?: number;
  readonly valid?: boolean;
}
/** A block of 1000 requests. */
const block = ({ p50Ms = 100, usdPer1000 = 1, failed = 0, valid = true }: Seen = {}): Block => {
  const made = blockOf({ configuration, p50Ms, p95Ms: 2 * p50Ms, usdPer1000 });
  const { default: result } = made.classes as { default: ClassResult };
  const errors = { ...result, ok: 1000 - failed, errorRate: failed / 1000, completion: 1 - failed / 1000 };
  return { ...made, classes: { default: errors }, quality: { valid, faults: [] } };
};
/** Three blocks that differ a little, as real ones do. */
const blocks = (seen: Seen = {}): Block[] =>
  [0.99, 1, 1.01].map((factor) => block({ ...seen, p50Ms: (seen.p50Ms ?? 100) * factor, usdPer1000: (seen.usdPer1000 ?? 1) * factor }));

const trial = (failedPerBlock = 0): ReportTrial =>
  ({
    ...{ p50Ms: estimate(95, 105), p95Ms: estimate(190, 210), usdPer1000: estimate(0.95, 1.05) },
    blocks: blocks({ failed: failedPerBlock }).map(({ classes }) => ({ valid: true, classes })),
  }) as unknown as ReportTrial;

const project = (slo: readonly { metric: string; max: number }[] = []) =>
  ({ scenario: { config: { objective: { margin: 0.05, slo } } } }) as never;
const judged = (seen: readonly Block[], of = trial(), slo: readonly { metric: string; max: number }[] = []) =>
  judge(seen, of, project(slo));
const verdicts = (seen: readonly Block[], of = trial()) => judged(seen, of).numbers.map(({ verdict }) => verdict);

describe('what is measured of a deployed layout', () => {
  it('is inside where it lies in the interval that was reported, or in the margin beside it', () => {
    expect(verdicts(blocks())).toEqual(['inside', 'inside', 'inside', 'inside']);
    expect(verdicts(blocks({ p50Ms: 109 }))).toEqual(['inside', 'inside', 'inside', 'inside']);
  });

  it('is worse or better where not even its own interval touches that', () => {
    expect(verdicts(blocks({ p50Ms: 130 }))).toEqual(['worse', 'worse', 'inside', 'inside']);
    expect(verdicts(blocks({ p50Ms: 60, usdPer1000: 2 }))).toEqual(['better', 'better', 'worse', 'inside']);
  });

  it('is undecided where the intervals touch, and with one block', () => {
    expect(verdicts(blocks({ p50Ms: 112 }))[0]).toBe('undecided');
    expect(verdicts([block({ p50Ms: 200 })])[0]).toBe('undecided');
  });

  it('counts failures exactly: one where there was none proves nothing, two in a hundred do', () => {
    expect(verdicts(blocks({ failed: 0 }))[3]).toBe('inside');
    expect(verdicts([block({ failed: 1 }), block(), block()])[3]).toBe('inside');
    expect(verdicts([block({ failed: 5 }), block(), block()])[3]).toBe('undecided');
    expect(verdicts(blocks({ failed: 20 }))[3]).toBe('worse');
    expect(verdicts(blocks({ failed: 20 }), trial(20))[3]).toBe('inside');
    expect(verdicts(blocks(), trial(20))[3]).toBe('better');
  });

  it('knows nothing from blocks that do not count', () => {
    const none = judged(blocks({ valid: false, p50Ms: 900 }));
    expect(none.numbers.map(({ verdict }) => verdict)).toEqual(Array(4).fill('undecided'));
    expect(ending(none)).toEqual({ code: 22, sentence: expect.stringContaining('0 requests in 0 of 3 blocks that count') });
  });
});

describe('a verification ends', () => {
  it('well where nothing is worse and every limit holds', () => {
    const { code, sentence } = ending(judged(blocks({ usdPer1000: 0.5 }), trial(), [{ metric: 'latency.p50', max: 150 }]));
    expect(code).toBe(0);
    expect(sentence).toContain('better than reported: cost per 1000 requests (3000 requests in 3 of 3 blocks that count)');
  });

  it('with the broken limit first, also where numbers are worse', () => {
    const { code, sentence } = ending(judged(blocks({ p50Ms: 200 }), trial(), [{ metric: 'latency.p50', max: 150 }]));
    expect([code, sentence]).toEqual([20, expect.stringContaining('limits are broken: latency.p50')]);
  });

  it('as a regression where a number is worse and the limits hold', () => {
    const { code, sentence } = ending(judged(blocks({ p50Ms: 140 }), trial(), [{ metric: 'latency.p50', max: 150 }]));
    expect([code, sentence]).toEqual([21, expect.stringContaining('worse than reported: p50 of default, p95 of default')]);
  });

  it('undecided where a limit is not proven either way', () => {
    const seen = [block({ p50Ms: 95 }), block({ p50Ms: 105 })];
    const { code, sentence } = ending(judged(seen, trial(), [{ metric: 'latency.p50', max: 101 }]));
    expect([code, sentence]).toEqual([22, expect.stringContaining('limit latency.p50')]);
  });
});
