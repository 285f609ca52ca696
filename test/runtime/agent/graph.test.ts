import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type AgentRef, agent, codeAgent, end, graphAgent, type Implementation, z } from '../../../compiler/api/index.ts';
import { type Application, control, type Deployed, deploy, errorOf, until } from './harness.ts';

const State = z.object({ text: z.string(), log: z.array(z.string()), round: z.number() });
const Update = z.object({ log: z.array(z.string()).optional(), round: z.number().optional(), text: z.string().optional() });
const pipeline = agent('pipeline', {
  input: z.object({ text: z.string() }),
  output: z.object({ log: z.array(z.string()), round: z.number() }),
});
const node = (name: string) => agent(name, { input: State, output: Update });
const [a, b, c, d, e, f] = [node('a'), node('b'), node('c'), node('d'), node('e'), node('f')] as const;
const names = ['a', 'b', 'c', 'd', 'e', 'f'];

const state = {
  text: { initial: '' },
  log: { initial: [] as string[], reduce: (current: string[], update: string[]) => [...current, ...update] },
  round: { initial: 0, reduce: (current: number, update: number) => current + update },
};

/** A node that writes its name, after a time that has nothing to do with its place. */
const logs = (ref: AgentRef, delayMs = 0) =>
  codeAgent(ref as typeof a, async () => {
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    return { log: [ref.name] };
  });

let deployed: Deployed | undefined;
afterEach(async () => {
  await deployed?.close();
  deployed = undefined;
});

async function run(parts: readonly Implementation[], groups: readonly (readonly string[])[], more: Partial<Application> = {}) {
  deployed = await deploy({ parts, groups, entry: pipeline, ...more });
  return deployed;
}

const allTogether = [['pipeline', ...names]];
const allApart = [['pipeline'], ...names.map((name) => [name])];
const mixed = [
  ['pipeline', 'c', 'e'],
  ['a', 'd'],
  ['b', 'f'],
];
const layouts: [string, string[][]][] = [
  ['in one unit', allTogether],
  ['in a unit each', allApart],
  ['in three units', mixed],
];

describe.each(layouts)('a graph %s', (_, groups) => {
  const present = (parts: readonly Implementation[]) => {
    const used = new Set(parts.map((part) => part.ref.name));
    return groups.map((group) => group.filter((name) => used.has(name))).filter((group) => group.length > 0);
  };

  it('joins in declared order, not in order of arrival', async () => {
    const graph = graphAgent(pipeline, {
      state,
      nodes: [a, b, c, d, e],
      start: a,
      edges: [
        { from: a, to: [b, c, d] },
        { from: [b, c, d], to: e },
        { from: e, to: end },
      ],
      finish: ({ log, round }: { log: string[]; round: number }) => ({ log, round }),
    });
    const parts = [graph, logs(a), logs(b, 30), logs(c, 10), logs(d), logs(e)];
    const { ask } = await run(parts, present(parts));
    expect((await ask({ text: 'x' })).body).toEqual({ log: ['a', 'b', 'c', 'd', 'e'], round: 0 });
  });

  it('nests forks, and gathers branches that end without a join', async () => {
    const graph = graphAgent(pipeline, {
      state,
      nodes: [a, b, c, d, e, f],
      start: a,
      edges: [
        { from: a, to: [b, c] },
        { from: b, to: [d, e] },
        { from: [d, e], to: f },
        { from: f, to: end },
        { from: c, to: end },
      ],
    });
    const parts = [graph, logs(a), logs(b), logs(c, 20), logs(d, 20), logs(e), logs(f)];
    const { ask } = await run(parts, present(parts));
    expect((await ask({ text: 'x' })).body).toEqual({ log: ['a', 'b', 'd', 'e', 'f', 'c'], round: 0 });
  });

  it('loops until a condition ends it', async () => {
    const graph = graphAgent(pipeline, {
      state,
      nodes: [a, b],
      start: a,
      edges: [
        { from: a, to: b },
        { from: b, choose: ({ round }: { round: number }) => (round < 3 ? 'a' : end), among: [a, end] },
      ],
      maxSteps: 10,
    });
    const counts = codeAgent(b as typeof a, async () => ({ log: ['b'], round: 1 }));
    const parts = [graph, logs(a), counts];
    const { ask } = await run(parts, present(parts));
    expect((await ask({ text: 'x' })).body).toEqual({ log: ['a', 'b', 'a', 'b', 'a', 'b'], round: 3 });
  });

  it('stops at maxSteps with an error that says so', async () => {
    const graph = graphAgent(pipeline, {
      state,
      nodes: [a, b],
      start: a,
      edges: [
        { from: a, to: b },
        { from: b, to: a },
      ],
      maxSteps: 5,
    });
    const parts = [graph, logs(a), logs(b)];
    const { ask } = await run(parts, present(parts));
    const answer = await ask({ text: 'x' });
    expect([answer.status, errorOf(answer)]).toMatchObject([
      500,
      { code: 'failed', component: 'pipeline', message: expect.stringContaining('more than 5 steps (maxSteps)') },
    ]);
  });

  it('fails as a whole when a branch fails, and lets the waiting join go', async () => {
    const graph = graphAgent(pipeline, {
      state,
      nodes: [a, b, c, d],
      start: a,
      edges: [
        { from: a, to: [b, c] },
        { from: [b, c], to: d },
        { from: d, to: end },
      ],
    });
    const fails = codeAgent(c as typeof a, async () => {
      await new Promise((resolve) => setTimeout(resolve, 30));
      throw new Error('branch broke');
    });
    const parts = [graph, logs(a), logs(b), fails, logs(d)];
    const { ask, replicas } = await run(parts, present(parts));
    const answer = await ask({ text: 'x' });
    expect([answer.status, errorOf(answer)]).toMatchObject([500, { code: 'failed', component: 'c', message: 'branch broke' }]);
    await until(async () => {
      const stats = await Promise.all(replicas.map((replica) => control(replica, 'GET', '/stats')));
      return stats.every(({ body }) => (body as { joinsWaiting: number }).joinsWaiting === 0);
    });
  });

  it('says which join a branch missed instead of waiting for it', async () => {
    const graph = graphAgent(pipeline, {
      state,
      nodes: [a, b, c, d],
      start: a,
      edges: [
        { from: a, to: [b, e] },
        { from: e, choose: () => end, among: [c, end] },
        { from: [b, c], to: d },
      ],
    });
    const withE = { ...graph, options: { ...graph.options, nodes: [a, b, c, d, e] } };
    const parts = [withE, logs(a), logs(b), logs(c), logs(d), logs(e)];
    const { ask } = await run(parts, present(parts));
    expect(errorOf(await ask({ text: 'x' }))).toMatchObject({
      code: 'failed',
      message: expect.stringContaining('ended before the join at d'),
    });
  });
});

describe('a graph over replicas', () => {
  it('brings all branches of a run to one replica of the join', async () => {
    const graph = graphAgent(pipeline, {
      state,
      nodes: [a, b, c, d],
      start: a,
      edges: [
        { from: a, to: [b, c] },
        { from: [b, c], to: d },
      ],
    });
    const { ask } = await run([graph, logs(a), logs(b, 3), logs(c), logs(d)], [['pipeline'], ['a', 'd'], ['b', 'c']], {
      replicas: [1, 3, 2],
      deadlineMs: 3000,
    });
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask({ text: 'x' })));
    expect(answers.map(({ body }) => body)).toEqual(answers.map(() => ({ log: ['a', 'b', 'c', 'd'], round: 0 })));
  });

  it('lets go of a node before the state goes on, so a loop needs no second slot', async () => {
    const graph = graphAgent(pipeline, {
      state,
      nodes: [a, b],
      start: a,
      edges: [
        { from: a, to: b },
        { from: b, choose: ({ log }: { log: string[] }) => (log.length < 6 ? 'a' : end), among: [a, end] },
      ],
      maxSteps: 20,
    });
    const one = (ref: AgentRef) => codeAgent(ref as typeof a, async () => ({ log: [ref.name] }), { concurrency: 1 });
    const { ask } = await run([graph, one(a), one(b)], [['pipeline'], ['a'], ['b']], { deadlineMs: 3000 });
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask({ text: 'x' })));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
  });
});

describe('any fork and join', () => {
  it('gives the same answer in every partition', async () => {
    const partition = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 5, maxLength: 5 });
    const delays = fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 5, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(partition, delays, async (homes, waits) => {
        const graph = graphAgent(pipeline, {
          state,
          nodes: [a, b, c, d, e],
          start: a,
          edges: [
            { from: a, to: [b, c] },
            { from: c, to: d },
            { from: [b, d], to: e },
          ],
        });
        const refs = [a, b, c, d, e];
        const groups = [0, 1, 2]
          .map((unit) => refs.filter((_, i) => homes[i] === unit).map(({ name }) => name))
          .filter((group) => group.length > 0);
        const parts = [graph, ...refs.map((ref, i) => logs(ref, waits[i]))];
        const app = await deploy({ parts, groups: [['pipeline'], ...groups], entry: pipeline });
        try {
          expect((await app.ask({ text: 'x' })).body).toEqual({ log: ['a', 'b', 'c', 'd', 'e'], round: 0 });
        } finally {
          await app.close();
        }
      }),
      { numRuns: 8 },
    );
  });
});
