import { describe, expect, it } from 'vitest';
import type { Block, Comparison, VerdictKind } from '../../../compiler/contracts/index.ts';
import { bestReference, chooseForConfirmation } from '../../../optimizer/race/choose.ts';
import { compareArms, goalOf, objectiveVerdict, type Standing, standingOf } from '../../../optimizer/race/evidence.ts';
import { openArms } from '../../../optimizer/study/phase.ts';
import { scenarioSchema } from '../../../scenarios/schema.ts';
import { classResult, madeBlock } from '../../profiler/stats/blocks.ts';

const goalFor = (objective: Record<string, unknown>, classes: readonly string[] = ['default']) =>
  goalOf(
    scenarioSchema.parse({ workflow: './w.ts', objective, workload: { classes: Object.fromEntries(classes.map((name) => [name, {}])) } }),
  );
const block = (configurationId: string, round: number, latencyMs: number, rest: Partial<Block> = {}) =>
  madeBlock({
    id: `${configurationId}-${round}-${latencyMs}`,
    configurationId,
    round,
    classes: { default: classResult(latencyMs) },
    ...rest,
  });
const p50 = (comparisons: readonly Comparison[]) => comparisons.filter((comparison) => comparison.metric === 'latency.p50');

describe('goalOf', () => {
  it('spells the objective out per class and always compares what the reader asks for', () => {
    const goal = goalFor({ minimize: ['latency.p95', 'cpu'] }, ['chat', 'batch']);
    expect(goal.objective).toEqual([
      { metric: 'latency.p95', requestClass: 'chat' },
      { metric: 'latency.p95', requestClass: 'batch' },
      { metric: 'requestsPerCpuSecond' },
    ]);
    expect(goal.ranking).toHaveLength(2);
    const names = goal.metrics.map((key) => `${key.metric}/${key.requestClass ?? ''}`);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(expect.arrayContaining(['latency.p50/chat', 'latency.p50/batch', 'cost.usdPer1000/', 'completion/']));
  });
});

describe('compareArms', () => {
  const goal = goalFor({ minimize: 'latency.p50' });

  it('pairs by round, leaves out what could not measure, and takes a repeat for it', () => {
    const bad = { quality: { valid: false, faults: [{ fault: 'host-bound' as const, detail: '' }] } };
    const blocks = [0, 1, 2, 3].flatMap((round) => [
      block('base', round, 100 + round),
      block('new', round, 50 + round / 2, round === 1 ? bad : {}),
    ]);
    const [without] = p50(compareArms({ blocks, reference: 'base', challengers: ['new'], goal, looks: 1 }));
    expect(without).toMatchObject({ pairs: 3, excludedBlocks: 1, verdict: 'better' });
    const [repeated] = p50(
      compareArms({ blocks: [...blocks, block('new', 1, 50.4)], reference: 'base', challengers: ['new'], goal, looks: 1 }),
    );
    expect(repeated).toMatchObject({ pairs: 4, excludedBlocks: 1 });
  });

  it('says nothing of a layout whose replay missed, however much faster it was', () => {
    const missed = { quality: { valid: false, faults: [{ fault: 'replay-misses' as const, detail: '' }] } };
    const compared = (rest: Partial<Block>) => {
      const blocks = [0, 1, 2, 3].flatMap((round) => [block('base', round, 100 + round), block('new', round, 50 + round / 2, rest)]);
      return p50(compareArms({ blocks, reference: 'base', challengers: ['new'], goal, looks: 1 }))[0];
    };
    expect(compared({})).toMatchObject({ verdict: 'better', excludedBlocks: 0 });
    expect(compared(missed)).toMatchObject({ verdict: 'inconclusive', pairs: 0, excludedBlocks: 4 });
  });

  it('asks more of each challenger when there are many', () => {
    const noisy = [0.7, 0.76, 0.74];
    const blocks = [0, 1, 2].flatMap((round) => [
      block('base', round, 100),
      ...['a', 'b', 'c', 'd'].map((id) => block(id, round, 100 * (noisy[round] ?? 1))),
    ]);
    const alone = p50(compareArms({ blocks, reference: 'base', challengers: ['a'], goal, looks: 1 }));
    const among = p50(compareArms({ blocks, reference: 'base', challengers: ['a', 'b', 'c', 'd'], goal, looks: 1 }));
    expect(alone[0]?.ratio.level).toBeCloseTo(0.95);
    expect(Math.max(...among.map((comparison) => comparison.ratio.level))).toBeCloseTo(0.9875);
    expect(among[0]?.ratio.high).toBeGreaterThan(alone[0]?.ratio.high ?? 1);
  });

  it('carries the weakest provenance of its blocks', () => {
    const blocks = [0, 1, 2].flatMap((round) => [block('base', round, 100), block('new', round, 50, { provenance: 'simulated' })]);
    expect(p50(compareArms({ blocks, reference: 'base', challengers: ['new'], goal, looks: 1 }))[0]?.ratio.provenance).toBe('simulated');
  });
});

describe('objectiveVerdict', () => {
  const goal = goalFor({ minimize: ['cost', 'latency.p50'] });
  const ratios = {
    better: { low: 0.5, high: 0.9 },
    same: { low: 0.98, high: 1.02 },
    worse: { low: 1.1, high: 1.5 },
    inconclusive: { low: 0.7, high: 1.3 },
  };
  const verdict = (
    cost: VerdictKind,
    latency: VerdictKind,
    completion: VerdictKind = 'same',
    latencyRatio?: { low: number; high: number },
  ) =>
    objectiveVerdict(
      [
        { metric: 'cost.usdPer1000', verdict: cost, lowerIsBetter: true, ratio: ratios[cost] },
        { metric: 'latency.p50', requestClass: 'default', verdict: latency, lowerIsBetter: true, ratio: latencyRatio ?? ratios[latency] },
        { metric: 'completion', verdict: completion },
      ] as Comparison[],
      goal,
    );

  it('is better when one objective is better and none can be worse', () => {
    expect(verdict('better', 'same')).toBe('better');
    expect(verdict('better', 'inconclusive')).toBe('inconclusive');
    expect(verdict('better', 'inconclusive', 'same', { low: 0.8, high: 1.02 })).toBe('better');
    expect(verdict('better', 'worse')).toBe('inconclusive');
    expect(verdict('same', 'worse')).toBe('worse');
    expect(verdict('same', 'same')).toBe('same');
    expect(verdict('same', 'inconclusive')).toBe('inconclusive');
  });

  it('takes back a gain that loses answers', () => {
    expect(verdict('better', 'better', 'worse')).toBe('inconclusive');
    expect(verdict('same', 'same', 'worse')).toBe('worse');
  });
});

const standing = (configurationId: string, rest: Partial<Standing> = {}): Standing => ({
  configurationId,
  validBlocks: 3,
  limits: true,
  verdict: 'inconclusive',
  score: 0,
  ...rest,
});

describe('chooseForConfirmation', () => {
  const baseline = standing('base');
  const choose = (challengers: readonly Standing[], rest: Partial<Parameters<typeof chooseForConfirmation>[0]> = {}) =>
    chooseForConfirmation({ baseline, baselineFailed: false, challengers, margin: 0.03, ...rest });

  it('prefers a proven gain to a larger apparent one', () => {
    const found = choose([
      standing('apparent', { score: -0.9 }),
      standing('small', { verdict: 'better', score: -0.1 }),
      standing('large', { verdict: 'better', score: -0.3 }),
    ]);
    expect(found).toEqual({ configurationId: 'large', why: 'better' });
  });

  it('gives an apparent gain beyond the margin its chance, and none to what is settled', () => {
    expect(choose([standing('a', { score: -0.2 })])).toEqual({ configurationId: 'a', why: 'promising' });
    expect(
      choose([
        standing('a', { score: -0.02 }),
        standing('b', { score: -0.2, verdict: 'same' }),
        standing('c', { score: 0.3, verdict: 'worse' }),
      ]),
    ).toBeNull();
    expect(choose([standing('a', { score: -0.2, limits: false }), standing('b', { score: -0.2, validBlocks: 0 })])).toBeNull();
    expect(choose([])).toBeNull();
  });

  it('puts limits before the objective when the baseline breaks them', () => {
    const broken = { baseline: standing('base', { limits: false }) };
    const challengers = [
      standing('cheap', { score: -0.5, limits: null, verdict: 'better' }),
      standing('sound', { score: 0.4, verdict: 'worse' }),
    ];
    expect(choose(challengers, broken)).toEqual({ configurationId: 'sound', why: 'meets-limits' });
  });

  it('takes the earlier of two equals', () => {
    expect(
      choose([standing('first', { verdict: 'better', score: -0.1 }), standing('second', { verdict: 'better', score: -0.1 })])
        ?.configurationId,
    ).toBe('first');
  });
});

describe('bestReference', () => {
  it('is the best plain layout that keeps the limits, the baseline when none is ahead', () => {
    const baseline = standing('base', { score: null });
    expect(bestReference(baseline, [standing('one', { score: 0.1 })]).configurationId).toBe('base');
    expect(bestReference(baseline, [standing('one', { score: -0.1 })]).configurationId).toBe('one');
    expect(bestReference(baseline, [standing('one', { score: -0.1, limits: false })]).configurationId).toBe('base');
    expect(bestReference({ ...baseline, limits: false }, [standing('one', { score: 0.5 })]).configurationId).toBe('one');
    expect(bestReference(baseline, [standing('one', { score: -0.1, validBlocks: 0 })]).configurationId).toBe('base');
  });
});

describe('openArms', () => {
  const free = goalFor({ minimize: 'cost' });
  const limited = goalFor({ minimize: 'cost', slo: [{ metric: 'latency.p50', max: 120 }] });

  it('is empty once every verdict stands, and leaves out the losers before', () => {
    const better = standing('a', { verdict: 'better' });
    const worse = standing('b', { verdict: 'worse' });
    expect(openArms([standing('base'), better, worse], 'base', free)).toEqual([]);
    expect(openArms([standing('base'), better, worse, standing('c')], 'base', free)).toEqual(['base', 'a', 'c']);
    expect(openArms([standing('base')], 'base', free)).toEqual([]);
  });

  it('waits for limits that cannot be told yet, of the baseline too', () => {
    const better = standing('a', { verdict: 'better' });
    expect(openArms([standing('base'), { ...better, limits: null }], 'base', limited)).toEqual(['base', 'a']);
    expect(openArms([standing('base', { limits: null }), better], 'base', limited)).toEqual(['base', 'a']);
    expect(openArms([standing('base', { limits: false }), standing('a')], 'base', limited)).toEqual([]);
  });
});

describe('standingOf', () => {
  it('tells a gain in a metric that should be high with the right sign', () => {
    const goal = goalFor({ minimize: 'cpu' });
    const cpu = (cpuSeconds: number) => ({ usage: [{ id: 'u', replica: 0, cpuSeconds, peakMemoryMb: 1, restarts: 0 }] });
    const blocks = [0, 1, 2].flatMap((round) => [block('base', round, 100, cpu(1)), block('new', round, 100, cpu(0.5))]);
    const comparisons = compareArms({ blocks, reference: 'base', challengers: ['new'], goal, looks: 1 });
    const found = standingOf('new', blocks, comparisons, goal);
    expect(found).toMatchObject({ verdict: 'better', validBlocks: 3, limits: true });
    expect(found.score).toBeCloseTo(Math.log(0.5));
  });
});
