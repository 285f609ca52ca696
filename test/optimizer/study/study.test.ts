import { describe, expect, it } from 'vitest';
import { configurationId, type JournalEntry, type Study } from '../../../compiler/contracts/index.ts';
import { planBlocks } from '../../../optimizer/study/plan.ts';
import { createRecorder } from '../../../optimizer/study/recorder.ts';
import { trialsOf } from '../../../optimizer/study/trials.ts';
import { runStudy } from '../../../optimizer/study.ts';
import {
  createFakeWorld,
  type FakeOptions,
  type FakeWorld,
  ids,
  layouts,
  memoryJournal,
  type StudyOverrides,
  studyInput,
} from '../fake-laboratory.ts';

const study = async (options: FakeOptions = {}, overrides: StudyOverrides = {}, seed = 1) => {
  const world = createFakeWorld(options, seed);
  const found = await runStudy(studyInput(world, overrides), world.context);
  return { world, found, decision: decisionOf(found) };
};
const decisionOf = (found: Study) => found.entries.find((entry) => entry.type === 'decided');
const types = (found: Study) => found.entries.map((entry) => entry.type);
const comparedIn = (found: Study, phase: 'race' | 'confirm') =>
  found.entries.flatMap((entry) => (entry.type === 'compared' && entry.phase === phase ? entry.comparisons : []));
const phaseBlocks = (found: Study, purpose: string) => [...found.blocks.values()].filter((block) => block.purpose === purpose);

describe('runStudy', () => {
  it('finds the layout that is really best and proves it on fresh deployments', async () => {
    const { found, decision, world } = await study({ truth: { [ids.ab]: { p50Ms: 55 }, [ids.one]: { p50Ms: 80 } } });
    expect(decision).toMatchObject({ winner: ids.ab, kind: 'better' });
    const raced = new Set(phaseBlocks(found, 'race').map((block) => block.deploymentId));
    const confirmed = phaseBlocks(found, 'confirm');
    expect(new Set(confirmed.map((block) => block.configurationId))).toEqual(new Set([ids.ab, ids.apart, ids.one]));
    for (const block of confirmed) expect(raced).not.toContain(block.deploymentId);
    expect(world.openArenas()).toBe(0);
    expect(types(found)).toEqual(
      expect.arrayContaining(['study-started', 'prices-measured', 'profiled', 'headroom', 'searched', 'planned', 'compared']),
    );
    expect(types(found).at(-1)).toBe('study-ended');
  });

  it('quotes the gain against the baseline and against the best plain layout', async () => {
    const { found, decision } = await study({ truth: { [ids.ab]: { p50Ms: 55 }, [ids.one]: { p50Ms: 80 } } });
    const p50 = comparedIn(found, 'confirm').filter((comparison) => comparison.metric === 'latency.p50');
    expect(p50.map((comparison) => comparison.baselineConfigurationId)).toEqual([ids.apart, ids.one]);
    expect(p50[0]?.ratio.point).toBeCloseTo(0.55, 1);
    expect(p50[1]?.ratio.point).toBeCloseTo(55 / 80, 1);
    expect(decision).toMatchObject({ sentence: expect.stringContaining('against all-in-one, the best plain layout') });
    const metrics = new Set(comparedIn(found, 'race').map((comparison) => comparison.metric));
    expect([...metrics]).toEqual(expect.arrayContaining(['latency.p50', 'latency.p95', 'cost.usdPer1000', 'requestsPerCpuSecond']));
  });

  it('goes on confirming until the best plain layout is met too, if rounds are left', async () => {
    const { found } = await study({ noise: 0.02, truth: { [ids.ab]: { p50Ms: 50 }, [ids.one]: { p50Ms: 54 } } });
    const confirmed = phaseBlocks(found, 'confirm');
    expect(Math.max(...confirmed.map((block) => block.round))).toBeGreaterThan(2);
    const againstBest = comparedIn(found, 'confirm').filter((comparison) => comparison.baselineConfigurationId === ids.one);
    expect(againstBest.find((comparison) => comparison.metric === 'latency.p50')?.pairs).toBeGreaterThan(3);
    expect(found.entries.filter((entry) => entry.type === 'capped')).toEqual([]);
  });

  it('says so when nothing beats the baseline', async () => {
    const worse = { p50Ms: 160 };
    const { decision, found } = await study({ truth: { [ids.ab]: worse, [ids.bc]: worse, [ids.one]: worse } });
    expect(decision).toMatchObject({ winner: ids.apart, kind: 'keep-baseline', sentence: expect.stringContaining('Keep the baseline') });
    expect(phaseBlocks(found, 'confirm')).toHaveLength(0);
  });

  it('takes a plain layout as winner when it is the best', async () => {
    const { decision } = await study({ truth: { [ids.one]: { p50Ms: 40 } } });
    expect(decision).toMatchObject({
      winner: ids.one,
      kind: 'better',
      sentence: expect.stringMatching(/^Everything in one process: p50 latency/),
    });
  });

  it('decides a cost that follows from the allocation alone', async () => {
    const { decision, found } = await study(
      { truth: { [ids.one]: { usdPer1000: 0.1 }, [ids.ab]: { usdPer1000: 0.2 } } },
      { objective: { minimize: 'cost' } },
    );
    expect(decision).toMatchObject({ winner: ids.one, kind: 'better' });
    const cost = comparedIn(found, 'confirm').find((comparison) => comparison.metric === 'cost.usdPer1000');
    expect(cost).toMatchObject({ verdict: 'better', pairs: 3 });
    expect(cost?.ratio.high).toBe(cost?.ratio.low);
  });

  it('runs one measured block per arm and round under one seed, fully traced only for the profile', async () => {
    const { world } = await study({ truth: { [ids.ab]: { p50Ms: 50 } } });
    const profile = world.requests.filter((request) => request.purpose === 'profile');
    expect(profile.map((request) => request.samplingRatio)).toEqual([1]);
    const race = world.requests.filter((request) => request.purpose === 'race');
    expect(new Set(race.map((request) => request.samplingRatio))).toEqual(new Set([0.05]));
    for (const round of [0, 1, 2]) {
      const inRound = race.filter((request) => request.round === round);
      expect(new Set(inRound.map((request) => request.configurationId)).size).toBe(inRound.length);
      expect(inRound).toHaveLength(4);
      expect(new Set(inRound.map((request) => request.seed)).size).toBe(1);
    }
    expect(new Set(race.map((request) => `${request.round}/${request.seed}`)).size).toBe(
      new Set(race.map((request) => request.round)).size,
    );
  });

  it('cancels a drift of the machine by interleaving', async () => {
    const { decision, found } = await study({ drift: (index) => 1 + index * 0.05, noise: 0.01, truth: { [ids.ab]: { p50Ms: 60 } } });
    expect(decision).toMatchObject({ winner: ids.ab, kind: 'better' });
    const p50 = comparedIn(found, 'race').find(
      (comparison) => comparison.challengerConfigurationId === ids.ab && comparison.metric === 'latency.p50',
    );
    expect(p50?.ratio.point).toBeGreaterThan(0.55);
    expect(p50?.ratio.point).toBeLessThan(0.65);
  });

  it('stops at the first look when all is settled and goes on when it is not', async () => {
    const clear = { [ids.ab]: { p50Ms: 20 }, [ids.bc]: { p50Ms: 400 }, [ids.one]: { p50Ms: 300 } };
    const settled = await study({ noise: 0.005, truth: clear });
    expect(phaseBlocks(settled.found, 'race').every((block) => block.round < 3)).toBe(true);
    const open = await study({ noise: 0.15, truth: { [ids.ab]: { p50Ms: 95 } } });
    expect(phaseBlocks(open.found, 'race').some((block) => block.round === 5)).toBe(true);
  });
});

describe('a false winner', () => {
  it('comes up in at most five of a hundred studies of identical layouts', async () => {
    const kinds = new Map<string, number>();
    const repeats = 200;
    for (let seed = 1; seed <= repeats; seed++) {
      const { decision } = await study({ noise: 0.08 }, {}, seed);
      const kind = decision?.type === 'decided' ? decision.kind : 'none';
      kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    expect((kinds.get('better') ?? 0) / repeats).toBeLessThanOrEqual(0.05);
    expect((kinds.get('inconclusive') ?? 0) + (kinds.get('keep-baseline') ?? 0)).toBeGreaterThan(0.9 * repeats);
  });

  it('does not come from the race alone: a gain that fresh deployments do not show is none', async () => {
    let confirming = false;
    const world = createFakeWorld({ noise: 0.01 });
    const lucky = createFakeWorld({ noise: 0.01, truth: { [ids.ab]: { p50Ms: 50 } } });
    const laboratory = {
      openArena: (configurations: Parameters<typeof world.laboratory.openArena>[0], signal: AbortSignal) =>
        (confirming ? world : lucky).laboratory.openArena(configurations, signal),
    };
    const input = studyInput(world, { laboratory });
    const found = await runStudy(input, {
      ...world.context,
      emit: (event) => {
        if (event.type === 'phase' && event.phase === 'confirm') confirming = true;
      },
    });
    const race = comparedIn(found, 'race').find((comparison) => comparison.challengerConfigurationId === ids.ab);
    expect(race?.verdict).toBe('better');
    expect(decisionOf(found)).toMatchObject({ winner: ids.apart, kind: expect.stringMatching(/keep-baseline|inconclusive/) });
  });
});

describe('limits', () => {
  const objective = { minimize: 'cost', slo: [{ metric: 'latency.p50', max: 120 }] };

  it('rule out a cheaper layout that breaks them', async () => {
    const { decision } = await study(
      { truth: { [ids.one]: { usdPer1000: 0.1, p50Ms: 200 }, [ids.ab]: { usdPer1000: 0.3, p50Ms: 90 } } },
      { objective },
    );
    expect(decision).toMatchObject({ winner: ids.ab, kind: 'better' });
  });

  it('make a dearer layout the winner when the baseline breaks them, and say so', async () => {
    const { decision } = await study(
      {
        truth: {
          [ids.apart]: { p50Ms: 200 },
          [ids.one]: { p50Ms: 210 },
          [ids.bc]: { p50Ms: 205 },
          [ids.ab]: { p50Ms: 80, usdPer1000: 0.8 },
        },
      },
      { objective },
    );
    expect(decision).toMatchObject({
      winner: ids.ab,
      kind: 'better',
      sentence: expect.stringContaining('meets the limits the baseline breaks'),
    });
  });

  it('hold at the pessimistic end or not at all', async () => {
    const close = { usdPer1000: 0.1, p50Ms: 118 };
    const { decision } = await study({ noise: 0.1, truth: { [ids.one]: close } }, { objective, candidates: [] });
    expect(decision).toMatchObject({ winner: ids.apart, kind: 'inconclusive' });
  });

  it('are not the only thing that counts: losing answers is no gain', async () => {
    const { decision } = await study({ truth: { [ids.ab]: { p50Ms: 50, completion: 0.8 } } });
    expect(decision).toMatchObject({ winner: ids.apart });
  });
});

describe('what goes wrong', () => {
  it('drops a layout that does not deploy and goes on with the others', async () => {
    const { found, decision } = await study({ failsToDeploy: (id) => id === ids.bc, truth: { [ids.ab]: { p50Ms: 50 } } });
    expect(decision).toMatchObject({ winner: ids.ab, kind: 'better' });
    expect(found.entries.filter((entry) => entry.type === 'trial-failed')).toMatchObject([
      { configurationId: ids.bc, code: 'DMAS_DEPLOY_FAILED' },
    ]);
    expect(trialsOf(found).find((trial) => trial.configurationId === ids.bc)).toMatchObject({ state: 'failed' });
    expect(trialsOf(found).find((trial) => trial.configurationId === ids.ab)).toMatchObject({
      state: 'measured',
      roles: ['candidate', 'winner'],
      deployments: 2,
    });
  });

  it('drops a layout that crashes under load in the middle of the race', async () => {
    const { found, decision } = await study({
      crashes: (request) => request.configurationId === ids.ab && request.round === 2,
      truth: { [ids.ab]: { p50Ms: 20 }, [ids.bc]: { p50Ms: 50 } },
    });
    expect(decision).toMatchObject({ winner: ids.bc, kind: 'better' });
    expect(phaseBlocks(found, 'race').filter((block) => block.configurationId === ids.ab)).toHaveLength(2);
  });

  it('does not choose a layout that crashed, however fast it was before', async () => {
    const { found, decision } = await study({
      crashes: (request) => request.configurationId === ids.ab && request.round === 3,
      truth: { [ids.ab]: { p50Ms: 20 }, [ids.bc]: { p50Ms: 50 } },
      noise: 0.05,
    });
    expect(found.entries.some((entry) => entry.type === 'trial-failed' && entry.configurationId === ids.ab)).toBe(true);
    expect(phaseBlocks(found, 'confirm').map((block) => block.configurationId)).not.toContain(ids.ab);
    expect(decision).toMatchObject({ winner: ids.bc, kind: 'better' });
  });

  it('confirms nothing on fewer than three fresh pairs', async () => {
    const { found, decision } = await study({
      crashes: (request) => request.configurationId === ids.ab && request.purpose === 'confirm' && request.round === 2,
      truth: { [ids.ab]: { p50Ms: 20 } },
    });
    expect(phaseBlocks(found, 'confirm').filter((block) => block.configurationId === ids.ab)).toHaveLength(2);
    expect(decision).toMatchObject({
      winner: ids.apart,
      kind: 'inconclusive',
      sentence: expect.stringContaining('2 valid blocks on fresh deployments'),
    });
  });

  it('says nothing was measured when nothing runs', async () => {
    const { decision, found, world } = await study({ failsToDeploy: () => true });
    expect(decision).toMatchObject({
      winner: ids.apart,
      kind: 'nothing-measured',
      sentence: expect.stringContaining('did not become ready'),
    });
    expect(types(found).at(-1)).toBe('study-ended');
    expect(world.openArenas()).toBe(0);
  });

  it('profiles a plain layout when the baseline does not run, and does not call that a comparison', async () => {
    const { decision, found } = await study({ failsToDeploy: (id) => id === ids.apart, truth: { [ids.ab]: { p50Ms: 50 } } });
    expect(found.entries.find((entry) => entry.type === 'profiled')).toMatchObject({ profile: { configurationId: ids.one } });
    expect(decision).toMatchObject({ winner: ids.ab, kind: 'better', sentence: expect.stringContaining('The baseline did not run') });
  });

  it('lets no verdict rest on blocks of a busy host', async () => {
    const { found, decision, world } = await study({
      fault: (request) => (request.purpose === 'profile' ? null : 'host-bound'),
      truth: { [ids.ab]: { p50Ms: 20 } },
    });
    expect(decision).toMatchObject({ winner: ids.apart, kind: 'nothing-measured', sentence: expect.stringContaining('host-bound') });
    for (const comparison of comparedIn(found, 'race')) expect(comparison).toMatchObject({ verdict: 'inconclusive', pairs: 0 });
    expect(comparedIn(found, 'race')[0]?.excludedBlocks).toBeGreaterThan(0);
    // A busy host stays busy: each arm is repeated twice at most.
    for (const id of Object.values(ids)) {
      expect(world.requests.filter((request) => request.configurationId === id && request.id.endsWith('-2')).length).toBeLessThanOrEqual(2);
    }
  });

  it('leaves the baseline out of no verdict: without valid baseline blocks nothing is better', async () => {
    const { decision } = await study({
      fault: (request) => (request.configurationId === ids.apart && request.purpose !== 'profile' ? 'host-bound' : null),
      truth: { [ids.ab]: { p50Ms: 20 } },
    });
    expect(decision).toMatchObject({ winner: ids.apart, kind: 'inconclusive' });
  });

  it('repeats a block that could not measure under a new id and counts what was left out', async () => {
    const { found, decision } = await study({
      fault: (request) => (request.id === `race-1-${ids.ab}` ? 'driver-lag' : null),
      truth: { [ids.ab]: { p50Ms: 50 } },
    });
    expect(found.blocks.has(`race-1-${ids.ab}-2`)).toBe(true);
    expect(decision).toMatchObject({ winner: ids.ab, kind: 'better' });
    const p50 = comparedIn(found, 'race').find(
      (comparison) => comparison.challengerConfigurationId === ids.ab && comparison.metric === 'latency.p50',
    );
    expect(p50?.excludedBlocks).toBe(1);
    expect(p50?.pairs).toBeGreaterThanOrEqual(3);
  });

  it('lets a full disk through and closes what is deployed', async () => {
    for (const size of [1, 4, 12, 20]) {
      const world = createFakeWorld();
      const journal = memoryJournal([], size);
      await expect(runStudy(studyInput(world, { journal }), world.context)).rejects.toMatchObject({ code: 'DMAS_ENV_DISK' });
      expect(world.openArenas()).toBe(0);
      expect(journal.study.entries).toHaveLength(size);
    }
  });
});

describe('caps', () => {
  const cappedIn = (found: Study) => found.entries.filter((entry) => entry.type === 'capped');

  it.each([40, 60, 90, 120, 200])('keeps a time budget of %d s by running fewer rounds or arms', async (seconds) => {
    const { world, found } = await study(
      { noise: 0.1, truth: { [ids.ab]: { p50Ms: 90 } } },
      { budget: { timeMs: seconds * 1000, trials: 8 } },
    );
    const start = found.entries[0]?.atMs ?? 0;
    expect(world.context.now() - start).toBeLessThanOrEqual(seconds * 1000);
    expect(decisionOf(found)).toBeDefined();
    expect(types(found).at(-1)).toBe('study-ended');
  });

  it('finds a clear winner within the two minutes of a first report', async () => {
    const { decision } = await study({ truth: { [ids.ab]: { p50Ms: 50 } } }, { budget: { timeMs: 120_000, trials: 8 } });
    expect(decision).toMatchObject({ winner: ids.ab, kind: 'better' });
  });

  it('names the time when it left the answer open', async () => {
    const { found, decision } = await study({ noise: 0.1, truth: { [ids.ab]: { p50Ms: 90 } } }, { budget: { timeMs: 40_000, trials: 8 } });
    expect(cappedIn(found)[0]).toMatchObject({ cap: 'time', phase: 'race', detail: '2 of 6 rounds fit into 40 s' });
    expect(decision).toMatchObject({ kind: 'inconclusive', sentence: expect.stringContaining('rounds fit into 40 s') });
  });

  it('stops before it spends more money than it may', async () => {
    const { found } = await study({ moneyPerBlockUsd: 0.1 }, { budget: { timeMs: 3_600_000, trials: 8, moneyUsd: 1.45 } });
    expect(cappedIn(found)[0]).toMatchObject({ cap: 'money', phase: 'race', detail: expect.stringContaining('after 3 rounds') });
    expect([...found.blocks.values()].reduce((sum, block) => sum + block.money.totalUsd, 0)).toBeLessThanOrEqual(1.45);
  });

  it('stops before deployments hold GPUs for longer than they may, and says so', async () => {
    const hour = 3_600_000;
    const limits = { timeMs: hour, trials: 8 };
    const all = await study({ gpus: () => 2 }, { budget: limits });
    const heldBy = (found: Study): number => {
      // Two GPUs per layout, from the moment an arena is asked for until it is closed.
      let [gpuMs, held, last] = [0, 0, 0];
      for (const entry of found.entries) {
        gpuMs += held * (entry.atMs - last);
        if (entry.type === 'gpus-held') held = entry.gpus;
        last = entry.atMs;
      }
      expect(held).toBe(0);
      return gpuMs / hour;
    };
    expect(cappedIn(all.found)).toEqual([]);
    expect(Math.max(...all.found.entries.map((entry) => (entry.type === 'gpus-held' ? entry.gpus : 0)))).toBe(
      2 * Math.max(...all.world.arenas.map((arena) => arena.length)),
    );
    const gpuHours = heldBy(all.found) * 0.6;
    const { found, decision } = await study({ gpus: () => 2 }, { budget: { ...limits, gpuHours } });
    expect(heldBy(found)).toBeLessThanOrEqual(gpuHours);
    expect(heldBy(found)).toBeGreaterThan(0.3 * gpuHours);
    expect(cappedIn(found)[0]).toMatchObject({
      cap: 'gpu-hours',
      detail: expect.stringMatching(/GPU-hours are spent, and .* more do not fit/),
    });
    expect(decision).toBeDefined();
    expect(types(found).at(-1)).toBe('study-ended');
    // Layouts without GPUs are no concern of it.
    const { found: without } = await study({}, { budget: { ...limits, gpuHours: 0 } });
    expect(cappedIn(without)).toEqual([]);
    expect(types(without)).not.toContain('gpus-held');
  });

  it('counts GPUs of a killed session to its last word, and none until it is resumed', () => {
    const at = (atMs: number, entry: object) => ({ ...entry, atMs }) as JournalEntry;
    const journal = memoryJournal([
      at(0, { type: 'study-started' }),
      at(1_000, { type: 'gpus-held', gpus: 4 }),
      at(3_000, { type: 'capped', cap: 'time', detail: '' }),
      at(900_000, { type: 'study-resumed', toolVersion: '' }),
      at(901_000, { type: 'gpus-held', gpus: 1 }),
    ]);
    const { held, hours } = createRecorder(journal, () => 905_000).gpus();
    expect(held).toBe(1);
    expect(hours * 3_600_000).toBeCloseTo(4 * 2_000 + 4_000);
  });

  it('leaves layouts out when there are more than the trials allow', async () => {
    const { found } = await study({}, { budget: { timeMs: 3_600_000, trials: 3 } });
    expect(found.entries.filter((entry) => entry.type === 'trial-added')).toHaveLength(3);
    expect(cappedIn(found)).toMatchObject([{ cap: 'trials', phase: 'search' }]);
  });

  it('plans blocks as a range', () => {
    const timing = { warmupMs: 1_000, durationMs: 4_000, minRounds: 3, maxRounds: 3 };
    const plan = planBlocks(timing, 4);
    expect(plan.blocks).toBe(1 + 12 + 6);
    expect(plan.secondsLow).toBeLessThan(plan.secondsHigh);
    expect(planBlocks(timing, 6).secondsLow).toBeGreaterThan(plan.secondsLow);
  });
});

describe('resume', () => {
  const options: FakeOptions = {
    truth: { [ids.ab]: { p50Ms: 60 }, [ids.one]: { p50Ms: 80 } },
    noise: 0.08,
    failsToDeploy: (id) => id === ids.ac,
    fault: (request) => (request.id === `race-1-${ids.one}` || request.id === `confirm-0-${ids.apart}` ? 'host-bound' : null),
    crashes: (request) => request.configurationId === ids.bc && request.round === 4,
  };
  const overrides: StudyOverrides = { candidates: [layouts.ab, layouts.bc, layouts.ac], capacityClients: 4 };
  const decisions = (entries: readonly JournalEntry[]) =>
    entries
      .filter((entry) => entry.type !== 'study-resumed' && entry.type !== 'interrupted')
      .map(({ atMs: _, ...entry }) =>
        entry.type === 'block-finished' ? { ...entry, block: { ...entry.block, startedAtMs: 0, deploymentId: '' } } : entry,
      );
  const resumed = async (entries: readonly JournalEntry[], world: FakeWorld) =>
    runStudy(studyInput(world, { ...overrides, journal: memoryJournal(entries) }), world.context);

  const fails: FakeOptions = {
    ...options,
    crashes: (request) => request.purpose === 'confirm' && request.configurationId === ids.apart && request.round === 1,
  };
  it.each<readonly [string, FakeOptions, StudyOverrides]>([
    ['with repeats, failures and capacity', options, overrides],
    ['whose baseline fails while it is confirmed', fails, overrides],
    [
      'that runs out of money',
      { ...options, moneyPerBlockUsd: 0.1 },
      { ...overrides, budget: { timeMs: 3_600_000, trials: 8, moneyUsd: 2 } },
    ],
    ['in which nothing runs', { failsToDeploy: () => true }, overrides],
    ['in which only the baseline does not run', { failsToDeploy: (id) => id === ids.apart }, overrides],
  ])('of a study %s after a crash at every possible length of the journal ends in the same journal', async (_what, made, input) => {
    const { found } = await study(made, input);
    for (let length = 0; length <= found.entries.length; length++) {
      const world = createFakeWorld(made);
      const standing = found.entries.slice(0, length);
      const again = await runStudy(studyInput(world, { ...input, journal: memoryJournal(standing) }), world.context);
      expect(decisions(again.entries), `resumed after ${length} entries`).toEqual(decisions(found.entries));
      const had = new Set(standing.flatMap((entry) => (entry.type === 'block-finished' ? [entry.block.id] : [])));
      for (const request of world.requests) expect(had).not.toContain(request.id);
      expect(world.openArenas()).toBe(0);
    }
  });

  it('ends a finished study without a word', async () => {
    const { found } = await study(options, overrides);
    const world = createFakeWorld(options);
    expect((await resumed(found.entries, world)).entries).toEqual(found.entries);
    expect(world.arenas).toEqual([]);
  });

  it('after Ctrl-C at any block ends in the same journal', async () => {
    const { found } = await study(options, overrides);
    for (let stopAt = 0; stopAt < found.blocks.size; stopAt += 3) {
      const world: FakeWorld = createFakeWorld({
        ...options,
        onBlock: (_request, index) => {
          if (index === stopAt) world.abort.abort('Ctrl-C');
        },
      });
      const stopped = await resumed([], world);
      expect(stopped.entries.at(-1)).toMatchObject({ type: 'interrupted', reason: 'Ctrl-C' });
      expect(world.openArenas()).toBe(0);
      const again = await resumed(stopped.entries, createFakeWorld(options));
      expect(decisions(again.entries)).toEqual(decisions(found.entries));
    }
  });

  it('holds nothing against a layout that Ctrl-C kept from starting', async () => {
    const world = createFakeWorld();
    const laboratory: typeof world.laboratory = {
      openArena: async (configurations, signal) => {
        const arena = await world.laboratory.openArena(configurations, signal);
        if (world.arenas.length < 2) return arena;
        world.abort.abort('Ctrl-C');
        const failures = configurations.map((made) => ({
          configurationId: configurationId(made),
          code: 'DMAS_DEPLOY_FAILED',
          message: 'killed',
        }));
        return { ...arena, failures };
      },
    };
    const stopped = await runStudy(studyInput(world, { laboratory }), world.context);
    expect(types(stopped)).not.toContain('trial-failed');
    expect(stopped.entries.at(-1)).toMatchObject({ type: 'interrupted' });
    expect(world.openArenas()).toBe(0);
  });

  it('does not keep a block that Ctrl-C cut short', async () => {
    const world: FakeWorld = createFakeWorld({
      fault: (_request, index) => {
        if (index !== 2) return null;
        world.abort.abort('Ctrl-C');
        return 'interrupted';
      },
    });
    const stopped = await runStudy(studyInput(world), world.context);
    expect(stopped.blocks.size).toBe(2);
    expect(stopped.entries.at(-1)).toMatchObject({ type: 'interrupted' });
  });

  it('refuses the journal of another scenario or seed', async () => {
    const { found } = await study(options, overrides);
    const world = createFakeWorld(options);
    const input = studyInput(world, { ...overrides, journal: memoryJournal(found.entries.slice(0, 5)) });
    const other = { ...input, scenario: { ...input.scenario, sha256: 'other' } };
    await expect(runStudy(other, world.context)).rejects.toMatchObject({ code: 'DMAS_RUN_CORRUPT' });
    await expect(runStudy(input, { ...world.context, seed: 99 })).rejects.toMatchObject({ code: 'DMAS_RUN_CORRUPT' });
  });

  it('counts time spent over all sessions, and not the time between them', async () => {
    const { found } = await study({ noise: 0.1 }, { budget: { timeMs: 120_000, trials: 8 } });
    const half = found.entries.slice(0, 20);
    const shift = 10 * 24 * 3_600_000;
    const world = createFakeWorld({ noise: 0.1 });
    const later = { ...world.context, now: () => world.context.now() + shift };
    const input = studyInput(world, { budget: { timeMs: 120_000, trials: 8 }, journal: memoryJournal(half) });
    const again = await runStudy(input, later);
    expect(phaseBlocks(again, 'race').length).toBeGreaterThan(half.filter((entry) => entry.type === 'block-finished').length);
  });
});
