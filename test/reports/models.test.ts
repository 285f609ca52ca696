import { describe, expect, it } from 'vitest';
import type { Block, PoolLoad, Prediction, Profile } from '../../compiler/contracts/index.ts';
import { modelsOf, spanTimes } from '../../reports/build-models.ts';
import type { Report } from '../../reports/report.ts';
import { htmlView } from '../../reports/views/html.ts';
import { markdownView } from '../../reports/views/markdown.ts';
import { scenarioSchema } from '../../scenarios/schema.ts';
import { configurationOf, sampleReport } from './sample-report.ts';

const histogram = { boundsMs: [10, 100], counts: [90, 8, 2], sumMs: 600 };
const load: PoolLoad = {
  pool: 'main',
  model: 'main',
  source: 'vllm',
  replicas: 2,
  tokensIn: 9_000,
  tokensCached: 3_000,
  tokensOut: 2_000,
  preemptions: 1,
  timeToFirstTokenMs: histogram,
  timePerOutputTokenMs: null,
  queueMs: { boundsMs: [300], counts: [100, 0], sumMs: 100 },
  samples: Array.from({ length: 500 }, (_, index) => ({
    atMs: index * 10,
    running: index % 5,
    waiting: index === 250 ? 40 : 0,
    kvUse: 0.25,
  })),
  gpu: [
    { atMs: 10, gpus: [0.5, 1].map((utilization) => ({ id: 'a', utilization, memoryUsedMb: 2048, memoryTotalMb: 4096, powerW: 100 })) },
  ],
  gaps: 0,
  fromMs: 1_000,
  toMs: 4_000,
};
const use = (waitMs: number, tokens: number) => ({
  callsPerRequest: 1,
  tokensIn: tokens,
  tokensCached: tokens / 2,
  tokensOut: tokens,
  waitMs,
  queueMs: waitMs / 10,
  firstChunkMs: 1,
});
const profile = {
  provenance: 'measured',
  models: { main: { byPool: { main: { callsPerRequest: 2, byAgent: { writer: use(300, 1_000), editor: use(100, 500) } } } } },
  pools: [load],
} as unknown as Profile;
const { models, prices } = scenarioSchema.parse({
  workflow: './w.ts',
  models: { main: { backend: 'vllm', model: 'm', options: { gpu: 'H100', tensorParallelSize: 2 } } },
  prices: { gpuHourUsd: { H100: 3.6 }, models: { main: { inputPerMillionUsd: 2, cachedPerMillionUsd: 1, outputPerMillionUsd: 4 } } },
});
const configuration = { ...configurationOf([['writer', 'editor']]), serving: { main: { replicas: 2, options: {} } } };
// 100 requests in 10 s.
const blocks = [{ durationMs: 10_000, classes: { default: { requests: 100 } } }] as unknown as Block[];
const built = (over: Partial<Parameters<typeof modelsOf>[0]> = {}) => modelsOf({ profile, configuration, blocks, models, prices, ...over });

describe('what a report says of the models', () => {
  it('shares out waiting and money among the agents, and adds the GPUs of the pool', () => {
    const [pool] = built().pools;
    expect(pool).toMatchObject({ source: 'vllm', provenance: 'measured', replicas: 2, gpus: { gpu: 'H100', count: 4 }, estimate: false });
    // 1500 in, half of it cached, 1500 out: (750 × 2 + 750 × 1 + 1500 × 4) / 1e6 per request.
    expect(pool?.usdPer1000.tokens).toBeCloseTo(8.25);
    // 4 × 3.6 USD an hour over 10 requests a second.
    expect(pool?.usdPer1000.gpus).toBeCloseTo(0.4);
    expect(pool?.agents.map(({ agent, waitShare }) => [agent, waitShare])).toEqual([
      ['writer', 0.75],
      ['editor', 0.25],
    ]);
    const money = pool?.agents.reduce((sum, agent) => sum + agent.usdPer1000, 0);
    expect(money).toBeCloseTo(8.65);
  });

  it('keeps curves short, and peaks exact', () => {
    const engine = built().pools[0]?.engine;
    expect(engine?.series.atMs.length).toBeLessThanOrEqual(120);
    expect(engine).toMatchObject({
      running: { max: 4 },
      waiting: { max: 40 },
      kvUse: { mean: 0.25, max: 0.25 },
      gpuUse: 0.75,
      gpuMemoryMb: 2048,
    });
  });

  it('says of times in wide buckets only what is certain', () => {
    expect(spanTimes(histogram)).toEqual({ n: 100, mean: 6, p95AtMost: 100 });
    // All of them in a bucket up to 300 ms, 1 ms on average: at most one in twenty took more than 20 ms.
    expect(spanTimes({ boundsMs: [300], counts: [100, 0], sumMs: 100 })?.p95AtMost).toBeCloseTo(20);
    expect(spanTimes({ boundsMs: [10], counts: [0, 4], sumMs: 400 })?.p95AtMost).toBeCloseTo(2_000);
    expect(spanTimes({ boundsMs: [10], counts: [0, 0], sumMs: 0 })).toBeNull();
    expect(spanTimes(null)).toBeNull();
  });

  it('names its sources: simulated engines, estimates, replies from a tape', () => {
    const simulated = { main: { ...models.main, backend: 'simulated', options: {} } } as typeof models;
    expect(built({ models: simulated }).pools[0]).toMatchObject({ provenance: 'simulated', estimate: true });
    const inFile = { main: { ...simulated.main, options: { profile: './mine.json' } } } as typeof simulated;
    const pools = (evidence: string) => ({ prediction: { pools: { main: { evidence } } } as unknown as Prediction });
    expect(built({ models: inFile, ...pools('estimate') }).pools[0]).toMatchObject({ estimate: true });
    expect(built({ models: inFile, ...pools('measured') }).pools[0]).toMatchObject({ estimate: false });
    const replayed = { main: { ...models.main, backend: 'replay' } } as typeof models;
    expect(built({ models: replayed, profile: { ...profile, pools: [] } as unknown as Profile }).pools[0]?.provenance).toBe('replayed');
  });

  const page = async (given: Report['models']) =>
    (await htmlView.load()).render({ ...sampleReport, models: given ?? null })[0]?.content ?? '';

  it('has a place in page and summary', async () => {
    const text = await page(built());
    expect(text).toContain('<h2 id="models">');
    expect(text).toContain('from vLLM’s metrics');
    expect(text).toContain('4 × H100');
    expect(text).not.toMatch(/undefined|NaN|\[object/);
    const summary = (await markdownView.load()).render({ ...sampleReport, models: built() })[0]?.content;
    expect(summary).toMatch(
      /\| main \| measured \| 2 \| 1500 \(750 cached\) \/ 1500 \| 400 ms \| 40\.0 ms \|.*\| 25 % \| 75 % \| \$8\.65 \| writer 75 % \|/,
    );
  });

  it('says why there is nothing to see', async () => {
    expect(await page(null)).toContain('nothing was profiled');
    expect(await page({ pools: [] })).toContain('called no model');
    const silent = await page(built({ profile: { ...profile, pools: [] } as unknown as Profile }));
    expect(silent).toContain('No server of main told its load');
    expect(silent).not.toMatch(/undefined|NaN|<figure/);
  });

  it('escapes what somebody named', async () => {
    const pools = built().pools.map((pool) => ({ ...pool, pool: '<script>alert(1)</script>"' }));
    expect(await page({ pools })).not.toContain('<script>alert(1)');
  });
});
