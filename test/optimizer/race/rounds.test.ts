import { describe, expect, it } from 'vitest';
import type { Journal } from '../../../optimizer/journal.ts';
import type { BenchTools } from '../../../optimizer/race/bench.ts';
import { type RoundsInput, runRounds } from '../../../optimizer/race/rounds.ts';
import { type Budget, createBudget } from '../../../optimizer/study/budget.ts';
import { createRecorder } from '../../../optimizer/study/recorder.ts';
import { createFakeWorld, type FakeOptions, ids, layouts, memoryJournal } from '../fake-laboratory.ts';

const timing = { warmupMs: 1_000, durationMs: 4_000, minRounds: 3, maxRounds: 5 };
const arms = [
  { configurationId: ids.apart, configuration: layouts.apart, label: 'the baseline' },
  { configurationId: ids.one, configuration: layouts.one, label: 'all-in-one' },
];
const everyArm = () => arms.map((arm) => arm.configurationId);

const rounds = async (options: FakeOptions, journal: Journal, rest: Partial<RoundsInput> = {}, wouldBreak?: Budget['wouldBreak']) => {
  const world = createFakeWorld(options);
  const recorder = createRecorder(journal, world.context.now);
  const budget = createBudget(recorder, { timeMs: 3_600_000, trials: 8 }, timing);
  const tools: BenchTools = {
    laboratory: world.laboratory,
    recorder,
    budget: wouldBreak === undefined ? budget : { ...budget, wouldBreak },
    context: world.context,
  };
  const { warmupMs, durationMs, minRounds, maxRounds } = timing;
  const input = { phase: 'race' as const, arms, minRounds, maxRounds, warmupMs, durationMs, samplingRatio: 0.05, seed: 1, reserveMs: 0 };
  const blocks = await runRounds({ ...input, stillOpen: everyArm, ...rest }, tools);
  return { world, blocks };
};

describe('runRounds', () => {
  it('mirrors the order of the arms, deploys once, and ends when no arm is open', async () => {
    const { world } = await rounds({}, memoryJournal(), { stillOpen: (blocks) => (blocks.length < 8 ? everyArm() : []) });
    const order = world.requests.map((request) => (request.configurationId === ids.apart ? 'A' : 'B')).join('');
    expect(order).toBe('ABBABAAB');
    expect(world.arenas).toHaveLength(1);
    expect(world.openArenas()).toBe(0);
  });

  it('deploys nothing when the journal has every block', async () => {
    const journal = memoryJournal();
    await rounds({}, journal);
    const { world, blocks } = await rounds({}, memoryJournal(journal.study.entries));
    expect(world.arenas).toEqual([]);
    expect(blocks).toHaveLength(10);
    expect(world.events.every((event) => event.type !== 'block-finished' || event.reused)).toBe(true);
  });

  it('does not repeat on resume what an earlier session chose not to repeat', async () => {
    const busy: FakeOptions = { fault: (request) => (request.id === `race-0-${ids.one}` ? 'host-bound' : null) };
    const journal = memoryJournal();
    const noRepeats: Budget['wouldBreak'] = (blocks) => (blocks === 1 ? { cap: 'time', detail: '' } : null);
    await rounds(busy, journal, {}, noRepeats);
    expect(journal.study.blocks.has(`race-0-${ids.one}-2`)).toBe(false);
    const begun = journal.study.entries.slice(0, 3);
    expect((await rounds(busy, memoryJournal(begun))).blocks.map((block) => block.id)).not.toContain(`race-0-${ids.one}-2`);
    // Where the decision was not yet made, it is made now.
    const open = journal.study.entries.slice(0, 2);
    expect((await rounds(busy, memoryJournal(open))).blocks.map((block) => block.id)).toContain(`race-0-${ids.one}-2`);
  });

  it('ends a round that was begun, whatever the budget says by then', async () => {
    const journal = memoryJournal();
    await rounds({}, journal);
    const spent: Budget['wouldBreak'] = () => ({ cap: 'time', detail: 'nothing is left' });
    const { blocks } = await rounds({}, memoryJournal(journal.study.entries.slice(0, 3)), {}, spent);
    expect(blocks.map((block) => block.round)).toEqual([0, 0, 1, 1]);
  });

  it('starts no round once a cap stands in the journal', async () => {
    const journal = memoryJournal();
    const afterTwo: Budget['wouldBreak'] = () => (journal.study.blocks.size >= 4 ? { cap: 'money', detail: 'spent' } : null);
    await rounds({}, journal, {}, afterTwo);
    expect(journal.study.entries.at(-1)).toMatchObject({ type: 'capped', cap: 'money', phase: 'race', detail: 'after 2 rounds: spent' });
    const { world, blocks } = await rounds({}, memoryJournal(journal.study.entries));
    expect(blocks).toHaveLength(4);
    expect(world.arenas).toEqual([]);
  });
});
