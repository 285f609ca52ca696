import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Plan, ReplayFacts, Sample, SpanRecord } from '../../compiler/contracts/index.ts';
import { certainComponents } from '../../profiler/block/quality.ts';
import { type BlockInput, foldBlock, readSamples, usageBetween } from '../../profiler/block.ts';
import { tracer, workflowOf } from './analyze/fixture.ts';

const sample = (latencyMs: number, more: Partial<Sample> = {}): Sample => ({
  class: 'c',
  index: 0,
  input: 0,
  intendedMs: 1000,
  sentMs: 1001,
  firstChunkMs: null,
  doneMs: 1000 + latencyMs,
  maxGapMs: null,
  meanGapMs: null,
  status: 200,
  bytesIn: 1,
  outcome: 'ok',
  warmup: false,
  ...more,
});
const resources = { vcpu: 1, memoryMb: 1024 };
const plan: Plan = {
  schemaVersion: 1,
  application: 'app',
  target: 'process',
  configurationId: 'cafe',
  units: [
    {
      id: 'a',
      agents: ['a'],
      toolServers: [],
      replicas: 2,
      resources,
      listens: [],
      routes: [],
      topics: [],
      models: {},
      state: { store: 'memory', options: {} },
      secrets: [],
      ingress: true,
    },
  ],
  services: [{ id: 'model-main', kind: 'model', replicas: 1, resources: { vcpu: 0.5, memoryMb: 512 }, options: { gpu: 'h200', gpus: 2 } }],
  ingress: { unit: 'a', entry: { kind: 'agent', agent: 'a' }, deadlineMs: 1000 },
};
const prices = {
  vcpuHourUsd: 36,
  memoryGbHourUsd: 3.6,
  trafficGbUsd: 1000,
  gpuHourUsd: { h200: 360 },
  models: { main: { inputPerMillionUsd: 10, cachedPerMillionUsd: 1, outputPerMillionUsd: 100 } },
  source: 'test',
};
const healthy = { offeredPerSecond: 10, deliveredPerSecond: 10, lagP99Ms: 1, driverCpuFraction: 0.1, hostCpuFraction: 0.3 };

function input(more: Partial<BlockInput> = {}): BlockInput {
  return {
    id: 'b1',
    purpose: 'race',
    configurationId: 'cafe',
    deploymentId: 'd1',
    round: 1,
    seed: 7,
    startedAtMs: 0,
    warmupMs: 500,
    durationMs: 2000,
    samplingRatio: 1,
    provenance: 'simulated',
    workflow: workflowOf(['a', 'b'], [['a', 'b']]),
    plan,
    prices,
    samples: Array.from({ length: 40 }, () => sample(20)),
    load: healthy,
    usageBefore: [],
    usageAfter: [],
    incidents: [],
    spans: [],
    ...more,
  };
}
const replayed = (more: Partial<ReplayFacts>): ReplayFacts => ({
  requests: 100,
  misses: {},
  throttled: 0,
  ambiguous: 0,
  synthetic: 0,
  tokens: {},
  ...more,
});
const faultsOf = (more: Partial<BlockInput>) => foldBlock(input(more)).quality.faults.map(({ fault }) => fault);

/** A request over a and b: one model call, one remote call with 600 bytes. */
function request(trace: string): readonly SpanRecord[] {
  const { spans, add } = tracer(trace);
  const root = add(null, 'ingress', 'server', [0, 20], 'a');
  const a = add(add(root, 'call a', 'client', [0, 20], 'a', { 'rpc.system': 'inproc' }), 'invoke_agent a', 'internal', [0, 20], 'a');
  const tokens = { 'gen_ai.request.model': 'main', 'gen_ai.usage.input_tokens': 1000, 'gen_ai.usage.cache_read.input_tokens': 400 };
  add(a, 'chat main', 'client', [1, 5], 'a', { ...tokens, 'gen_ai.usage.output_tokens': 50 });
  add(a, 'call b', 'client', [6, 10], 'a', { 'rpc.system': 'http-json', 'dmas.request.bytes': 500, 'dmas.response.bytes': 100 });
  return spans;
}

describe('the fold of a block', () => {
  it('takes percentiles from raw samples, from the intended time, without the warm-up and wrong answers', () => {
    const samples = [
      ...Array.from({ length: 101 }, (_, i) => sample(i, { firstChunkMs: 1000 + i / 2, maxGapMs: i / 10 })),
      sample(9999, { warmup: true }),
      sample(5000, { outcome: 'wrong', error: 'wrong-answer' }),
      sample(5000, { outcome: 'timeout', error: 'deadline' }),
      sample(5000, { outcome: 'incomplete' }),
    ];
    const { c } = foldBlock(input({ samples })).classes;
    expect(c).toMatchObject({
      requests: 104,
      ok: 101,
      errors: { 'wrong-answer': 1, deadline: 1, incomplete: 1 },
      throughputPerSecond: 50.5,
    });
    expect(c?.latencyMs).toMatchObject({ n: 101, mean: 50, p50: 50, max: 100 });
    expect(c?.firstChunkMs?.p50).toBe(25);
    expect(c?.gapMs?.max).toBe(10);
    expect(c?.completion).toBeCloseTo(101 / 104, 12);
    expect(c?.errorRate).toBeCloseTo(3 / 104, 12);
  });

  it('prices what is allocated, GPUs, tokens and traffic', () => {
    // 40 requests in 2 s, 20 of them traced.
    const spans = Array.from({ length: 20 }, (_, i) => request(`t${i}`)).flat();
    const { money } = foldBlock(input({ spans }));
    const perSecond = (2 * (36 + 3.6) + 0.5 * 36 + 0.5 * 3.6) / 3600;
    expect(money.allocatedUsd).toBeCloseTo(2 * perSecond, 12);
    expect(money.gpuUsd).toBeCloseTo((2 * 2 * 360) / 3600, 12);
    expect(money.tokensUsd).toBeCloseTo((40 * (600 * 10 + 400 * 1 + 50 * 100)) / 1e6, 12);
    expect(money.trafficUsd).toBeCloseTo((40 * 600 * 1000) / 1e9, 12);
    expect(money.totalUsd).toBeCloseTo(money.allocatedUsd + money.gpuUsd + money.tokensUsd + money.trafficUsd, 12);
    expect(money.usdPer1000Requests).toBeCloseTo((money.totalUsd / 40) * 1000, 9);
    expect(money.usdPerHour).toBeCloseTo(money.totalUsd * 1800, 9);
    expect(foldBlock(input({ spans: [], tokensUsdPerRequest: 0.01 })).money.tokensUsd).toBeCloseTo(0.4, 12);
  });

  it('gives each process its use during the counted requests', () => {
    const usage = (cpuSeconds: number, restarts = 0) => ({ id: 'a', replica: 0, cpuSeconds, peakMemoryMb: 5, restarts });
    expect(usageBetween([usage(10)], [usage(14)], 0.75)).toEqual([usage(3)]);
    // A restarted process counts from zero again.
    expect(usageBetween([usage(10)], [usage(2, 1)], 1)).toEqual([usage(2, 1)]);
    expect(usageBetween([], [usage(2)], 1)).toEqual([usage(2)]);
  });
});

describe('the quality of a block', () => {
  it('is good when nothing went wrong', () => {
    expect(foldBlock(input()).quality).toEqual({ valid: true, faults: [] });
  });

  it.each<[string, Partial<BlockInput>]>([
    ['host-bound', { load: { ...healthy, hostCpuFraction: 0.81 } }],
    ['driver-lag', { load: { ...healthy, lagP99Ms: 5.1 } }],
    ['load-not-delivered', { load: { ...healthy, deliveredPerSecond: 9.4 } }],
    ['no-samples', { samples: [sample(1, { warmup: true })] }],
    ['errors', { samples: [sample(1), sample(1, { outcome: 'error', error: 'failed' }), sample(1, { outcome: 'wrong' })] }],
    ['interrupted', { interrupted: true }],
    ['replay-misses', { replay: replayed({ misses: { writer: 1 } }) }],
    ['replay-misses', { replay: replayed({ misses: { writer: 4, critic: 2 } }), missRateLimit: 0.05 }],
    ['replica-lost', { incidents: [{ atMs: 5, unit: 'a', replica: 1, what: 'crashed', detail: '' }] }],
    ['replica-lost', { usageAfter: [{ id: 'a', replica: 0, cpuSeconds: 1, peakMemoryMb: 1, restarts: 1 }] }],
    ['broken-traces', { spans: [...request('x').slice(0, 2), ...request('y').slice(1)] }],
    [
      'component-missing',
      { workflow: workflowOf(['other', 'a'], []), spans: Array.from({ length: 30 }, (_, i) => request(`t${i}`)).flat() },
    ],
  ])('has the fault %s, with a sentence', (fault, more) => {
    const { quality } = foldBlock(input(more));
    expect(quality.faults.map((each) => each.fault)).toEqual([fault]);
    expect(quality.valid).toBe(false);
    for (const { detail } of quality.faults) expect(detail).toMatch(/^[A-Za-z0-9].*\.$/);
  });

  it('names who missed how often, and accepts as many misses as the scenario does', () => {
    const misses = { critic: 2, writer: 4 };
    const [fault] = foldBlock(input({ replay: replayed({ misses }), missRateLimit: 0.05 })).quality.faults;
    expect(fault?.detail).toBe('6 of 100 replayed calls had no recorded reply (writer 4, critic 2); at most 5 % may miss.');
    expect(faultsOf({ replay: replayed({ misses }), missRateLimit: 0.06 })).toEqual([]);
    expect(faultsOf({ replay: replayed({}) })).toEqual([]);
  });

  it('of a replay keeps its counts, and separates the tokens a cache changes from those it does not', () => {
    const tokens = { main: { tokensIn: 100_000, tokensCached: 40_000, tokensOut: 5_000 } };
    // A fifth of the samples is warm-up, and so are its tokens; those of the traces are of the same calls.
    const samples = Array.from({ length: 50 }, (_, i) => sample(20, { warmup: i < 10 }));
    const spans = Array.from({ length: 20 }, (_, i) => request(`t${i}`)).flat();
    const { money, replay } = foldBlock(input({ replay: replayed({ tokens }), samples, spans, tokensUsdPerRequest: 1 }));
    expect(money.tokensFixedUsd).toBeCloseTo((0.8 * (100_000 * 10 + 5_000 * 100)) / 1e6, 12);
    expect(money.tokensUsd).toBeCloseTo((0.8 * (60_000 * 10 + 40_000 * 1 + 5_000 * 100)) / 1e6, 12);
    expect(replay?.tokens).toEqual(tokens);
    const apart = foldBlock(input({ replay: replayed({ tokens: { other: tokens.main } }), spans })).money;
    expect(apart.tokensUsd).toBeCloseTo((40 * (600 * 10 + 400 * 1 + 50 * 100)) / 1e6, 12);
  });

  it('accepts a lag that is small against the latencies', () => {
    const slow = Array.from({ length: 10 }, () => sample(200));
    expect(faultsOf({ samples: slow, load: { ...healthy, lagP99Ms: 19 } })).toEqual([]);
    expect(faultsOf({ samples: slow, load: { ...healthy, lagP99Ms: 21 } })).toEqual(['driver-lag']);
  });

  it('says nothing of missing components from a few traces', () => {
    const spans = Array.from({ length: 5 }, (_, i) => request(`t${i}`)).flat();
    expect(faultsOf({ workflow: workflowOf(['other', 'a'], []), spans })).toEqual([]);
  });

  it('knows which components of a graph every request must visit', () => {
    const base = workflowOf(['g', 'x', 'y', 'z', 'w'], []);
    const graph = {
      agent: 'g',
      nodes: ['x', 'y', 'z', 'w'],
      start: 'x',
      edges: [
        { from: ['x'], to: ['y', 'z'], conditional: false },
        { from: ['y', 'z'], to: ['w', 'x'], conditional: true },
      ],
      stateKeys: [],
    };
    expect(certainComponents({ ...base, graphs: [graph] }).sort()).toEqual(['g', 'x', 'y', 'z']);
    expect(certainComponents(base)).toEqual(['g']);
  });

  it('is valid exactly when there is no fault', () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    const loads = fc.record({
      offeredPerSecond: fc.double({ min: 1, max: 100, noNaN: true }),
      deliveredPerSecond: fc.double({ min: 0, max: 100, noNaN: true }),
      lagP99Ms: fc.double({ min: 0, max: 50, noNaN: true }),
      driverCpuFraction: share,
      hostCpuFraction: share,
    });
    fc.assert(
      fc.property(loads, fc.array(fc.nat(100), { maxLength: 5 }), (load, latencies) => {
        const { quality } = foldBlock(input({ load, samples: latencies.map((latency) => sample(latency)) }));
        expect(quality.valid).toBe(quality.faults.length === 0);
      }),
    );
  });
});

describe('samples on disk', () => {
  it('are read up to a torn last line', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dmas-block-'));
    const file = join(folder, 'samples.ndjson');
    await writeFile(file, `${JSON.stringify(sample(1))}\n${JSON.stringify(sample(2))}\n{"class":"c","ind`);
    expect((await readSamples(file)).map((each) => each.doneMs)).toEqual([1001, 1002]);
    await rm(folder, { recursive: true });
  });
});
