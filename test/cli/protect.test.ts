import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLaboratory } from '../../cli/laboratory.ts';
import { openProject, openTarget } from '../../cli/project.ts';
import { runFolder } from '../../cli/run-folder.ts';
import { type Block, type BlockRequest, configurationId, DmasError } from '../../compiler/contracts/index.ts';
import { otlp } from '../../profiler/collect/otlp.ts';
import { createModelServer, type ModelServer } from '../../runtime/llm/server/model-server.ts';

const workflow = `
import { agent, llmAgent, workflow, z } from 'dmas-opt';
const desk = agent('desk', {
  description: 'Says a word',
  input: z.object({ topic: z.string() }),
  output: z.object({ text: z.string() }),
});
export const deskAgent = llmAgent(desk, { model: 'main', system: 'Say a word.', prompt: ({ topic }) => topic });
export default workflow({ name: 'shared', entry: desk, parts: [deskAgent] });
`;

describe('a shared pool of models', () => {
  let folder: string;
  let server: ModelServer;
  let base: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dmas-protect-'));
    writeFileSync(join(folder, 'workflow.ts'), workflow);
    // Two at a time, so that a handful of strangers is a queue.
    server = createModelServer('main', { model: 'm', stepFixedMs: 2, maxNumSeqs: 2 });
    await new Promise<void>((resolve) => server.server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    await server.close(0);
    rmSync(folder, { recursive: true, force: true });
  });

  const scenario = (protect: object, more: object = {}): string => {
    const file = join(folder, 'scenario.yaml');
    const main = {
      backend: 'openai-compatible',
      url: `${base}/v1`,
      model: 'm',
      metrics: `${base}/metrics`,
      protect,
      options: { retries: 0 },
    };
    const workload = { inputs: [{ topic: 'tides' }], classes: { default: { arrivals: { process: 'constant', perSecond: 5 } } }, ...more };
    writeFileSync(file, JSON.stringify({ name: 'shared', workflow: './workflow.ts', models: { main }, workload }));
    return file;
  };
  const problemsOf = async (file: string) =>
    openProject(file).then(
      () => [],
      (error: unknown) => (error instanceof DmasError ? error.problems : [error]),
    );

  it('is not offered more than was declared', async () => {
    expect(await problemsOf(scenario({ maxRequestsPerSecond: 5 }))).toEqual([]);
    expect(await problemsOf(scenario({ maxRequestsPerSecond: 9, callsPerRequest: 2 }))).toMatchObject([
      {
        code: 'DMAS_CFG_OVER_LIMIT',
        message: 'the workload offers 5 requests/s with 2 calls each, but the pool of model "main" may be given 9 calls/s',
        at: { line: 1 },
        fix: expect.stringContaining('callsPerRequest'),
      },
    ]);
    const closed = { classes: { default: { arrivals: { process: 'closed', clients: 2 } } } };
    expect(await problemsOf(scenario({ maxRequestsPerSecond: 100 }, closed))).toMatchObject([
      { code: 'DMAS_CFG_OVER_LIMIT', message: expect.stringContaining('as fast as it is answered') },
    ]);
  });

  /** One block on one layout, with what strangers do meanwhile. */
  async function blocks(
    protect: object,
    requests: readonly Partial<BlockRequest>[],
    strangers: () => void = () => {},
    file = scenario(protect),
  ): Promise<Block[]> {
    const project = await openProject(file);
    const target = await openTarget(project);
    const collector = await (await otlp.load()).start('127.0.0.1');
    const runs = mkdtempSync(join(folder, 'run-'));
    const run = runFolder(runs, 'protect-run');
    for (const part of ['deployments', 'samples', 'traces']) mkdirSync(run.file(part), { recursive: true });
    const context = { emit: () => {}, signal: new AbortController().signal, now: Date.now, seed: 1 };
    try {
      const laboratory = await createLaboratory({ project, target, collector, folder: run, context });
      const arena = await laboratory.openArena([project.baseline], context.signal);
      expect(arena.failures).toEqual([]);
      const measured: Block[] = [];
      for (const [index, request] of requests.entries()) {
        const base = { round: index, seed: 7, warmupMs: 200, durationMs: 1_500, samplingRatio: 1, rateScale: 1 };
        const configuration = configurationId(project.baseline);
        setTimeout(strangers, 500);
        const outcome = await arena.block(
          { id: `b${index}`, purpose: 'race', configurationId: configuration, ...base, ...request } as BlockRequest,
          context.signal,
        );
        measured.push(outcome.block);
      }
      await arena.close();
      return measured;
    } finally {
      await collector.close();
    }
  }
  const stranger = () =>
    void fetch(`${base}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'a long story' }], max_completion_tokens: 400, seed: 1 }),
    }).then((response) => response.arrayBuffer());
  const faults = (block: Block | undefined) => block?.quality.faults.map(({ fault }) => fault) ?? [];

  it('tells its load in the block', async () => {
    const [block] = await blocks({ maxWaiting: 50, maxKvUse: 0.99 }, [{}]);
    expect(faults(block)).not.toContain('pool-limit');
    const [pool] = block?.pools ?? [];
    expect(pool).toMatchObject({ pool: 'main', model: 'main', source: 'vllm', replicas: 1, gaps: 0 });
    expect(pool?.tokensOut).toBeGreaterThan(0);
    expect(pool?.samples.length).toBeGreaterThan(3);
  }, 30_000);

  it('that the plan deploys tells its load too', async () => {
    const file = join(folder, 'own.yaml');
    const workload = { inputs: [{ topic: 'tides' }], classes: { default: { arrivals: { process: 'constant', perSecond: 5 } } } };
    writeFileSync(file, JSON.stringify({ name: 'own', workflow: './workflow.ts', models: { main: { backend: 'simulated' } }, workload }));
    const [block] = await blocks({}, [{}], undefined, file);
    const [pool] = block?.pools ?? [];
    expect(pool).toMatchObject({ pool: 'main', source: 'simulated', gaps: 0 });
    // What was sent in the counted stretch, give or take what was under way at its ends.
    expect(pool?.timeToFirstTokenMs?.counts.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(3);
  }, 30_000);

  it('gets no load while strangers keep it busy: it is taken off at once, and the block supports no verdict', async () => {
    const [block] = await blocks({ maxWaiting: 3 }, [{ durationMs: 6_000 }], () => {
      for (let i = 0; i < 12; i++) stranger();
    });
    expect(block?.quality.valid).toBe(false);
    expect(block?.quality.faults.find(({ fault }) => fault === 'pool-limit')?.detail).toMatch(
      /^\d+ requests waited in pool main.*at most 3 may\.$/,
    );
    // 30 would have been sent.
    const sent = Object.values(block?.classes ?? {}).reduce((sum, each) => sum + each.requests, 0);
    expect(sent).toBeLessThan(20);
    expect(block?.pools?.[0]?.samples.some(({ waiting }) => waiting > 3)).toBe(true);
  }, 30_000);

  it('gets nothing at all in a block that would offer it too much, by the calls a profile has counted', async () => {
    const [first, second] = await blocks({ maxRequestsPerSecond: 5.5 }, [{ purpose: 'profile' }, { rateScale: 2 }]);
    expect(faults(first)).not.toContain('pool-limit');
    expect(second?.quality.faults.find(({ fault }) => fault === 'pool-limit')?.detail).toBe(
      'The block would offer the pool of model main 10 requests/s with 1 calls; it may be given 5.5 calls/s.',
    );
    expect(Object.values(second?.classes ?? {}).reduce((sum, each) => sum + each.requests, 0)).toBeLessThanOrEqual(1);
  }, 30_000);
});
