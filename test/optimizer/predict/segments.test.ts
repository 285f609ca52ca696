import { describe, expect, it } from 'vitest';
import type { Configuration, Profile, ProtocolPrice, RequestSkeleton, SkeletonPhase, Workflow } from '../../../compiler/contracts/index.ts';
import { fromPartition } from '../../../compiler/contracts/index.ts';
import { createAnalyticPredictor } from '../../../optimizer/predict/analytic.ts';
import { compileProfile } from '../../../optimizer/predict/compiled-profile.ts';
import { createSimulatedPredictor } from '../../../optimizer/predict/simulated.ts';
import { scenario } from '../../compiler/support.ts';

const agent = (name: string) =>
  ({
    name,
    kind: 'langgraph-node',
    mobility: 'movable',
    effect: 'idempotent',
    concurrency: 64,
    streams: true,
    description: '',
  }) as unknown as Workflow['agents'][number];
const names = ['hub', 'a', 'b', 'c'];

/** A hub that calls a, b and c in turn; `segments` says which may share a call. */
const workflowOf = (segments: readonly (readonly [string, string])[]): Workflow => ({
  schemaVersion: 1,
  name: 'graph',
  frontend: 'langgraph',
  file: '/graph.ts',
  agents: names.map(agent),
  toolServers: [],
  tools: [],
  models: [],
  topics: [],
  graphs: [],
  blackboards: [],
  hubs: [{ agent: 'hub', edges: [], open: [], state: [], segments }],
  channels: names
    .slice(1)
    .map((to) => ({ id: `hub->${to}`, kind: 'agent', from: ['hub'], to: [to], patterns: ['request'], repeatable: true })),
  entry: { kind: 'agent', agent: 'hub' },
});

/** 10 ms of work per node; 100 kB there and 10 kB back; 2 ms to wrap the state. */
const phase = (component: string): SkeletonPhase => ({
  selfMs: 0,
  cpuMs: 0,
  calls: [
    {
      kind: 'component',
      pattern: 'request',
      requestBytes: 90 * 1024,
      responseBytes: 10 * 1024,
      wrapMs: 2,
      visit: { component, phases: [{ selfMs: 10, cpuMs: 0, calls: [] }] },
    },
  ],
});
const skeleton = (order: readonly string[]): RequestSkeleton => ({
  requestClass: 'default',
  measuredMs: 50,
  root: { component: 'hub', phases: order.map(phase) },
});
const price: ProtocolPrice = { protocol: 'http-json', options: '{}', latencyFixedMs: 1, latencyPerKbMs: 0.1, cpuFixedMs: 0, cpuPerKbMs: 0 };

function predictedMs(
  workflow: Workflow,
  layout: readonly (readonly string[])[],
  how: 'analytic' | 'simulated' = 'analytic',
  order = ['a', 'b', 'c'],
): number {
  const defaults = { protocol: { protocol: 'http-json', options: {} }, resources: { vcpu: 1, memoryMb: 256 }, serving: {} };
  const configuration: Configuration = fromPartition(workflow, layout, defaults);
  const profile = {
    skeletons: Array.from({ length: 8 }, () => skeleton(order)),
    classShares: { default: 1 },
    overheadCpuMsPerRequest: 0,
    models: {},
    components: {},
    edges: {},
  } as unknown as Profile;
  const input = {
    profile,
    workflow,
    prices: [price],
    workload: { default: { process: 'constant', perSecond: 1 } as const },
    pricing: scenario().prices,
    hostCores: 16,
    seed: 1,
    requests: 50,
  };
  const predict = how === 'analytic' ? createAnalyticPredictor(input) : createSimulatedPredictor(input);
  return predict(configuration).classes.default?.p50Ms.point ?? Number.NaN;
}

describe('the price of a segment', () => {
  const all = workflowOf([
    ['a', 'b'],
    ['b', 'c'],
  ]);
  const none = workflowOf([]);
  const hop = 1 + 10 + 2;
  /** What still travels for a step that shares a call: a tenth of the bytes, and of the wrapping. */
  const reply = 1 + 0.2;

  it.each(['analytic', 'simulated'] as const)('is one round trip for all its nodes (%s)', (how) => {
    const close = (ms: number) => expect.closeTo(ms, 0);
    expect(predictedMs(all, [names], how)).toEqual(close(30));
    expect(predictedMs(all, [['hub'], ['a'], ['b'], ['c']], how)).toEqual(close(30 + 3 * hop));
    expect(predictedMs(all, [['hub'], ['a', 'b', 'c']], how)).toEqual(close(30 + hop + 2 * reply));
    expect(predictedMs(none, [['hub'], ['a', 'b', 'c']], how)).toEqual(close(30 + 3 * hop));
    // Neighbours of the hub are no hop; those of another node share its call only when it comes right before.
    expect(
      predictedMs(
        all,
        [
          ['hub', 'a'],
          ['b', 'c'],
        ],
        how,
      ),
    ).toEqual(close(30 + hop + reply));
    expect(predictedMs(all, [['hub'], ['a', 'c'], ['b']], how)).toEqual(close(30 + 3 * hop));
  });

  it('rests on which step each call follows', () => {
    const compiled = compileProfile({ skeletons: [skeleton(['a', 'b', 'c'])] }, all);
    expect(compiled.edges.map(({ follows, wrapMs }) => [follows && compiled.components[follows.component], wrapMs])).toEqual([
      [undefined, 2],
      ['a', 2],
      ['b', 2],
    ]);
  });

  it('is not shared by what runs at once', () => {
    const both: SkeletonPhase = { selfMs: 0, cpuMs: 0, calls: ['a', 'b'].flatMap((name) => phase(name).calls) };
    const compiled = compileProfile(
      { skeletons: [{ requestClass: 'default', measuredMs: 1, root: { component: 'hub', phases: [both, phase('c')] } }] },
      all,
    );
    expect(compiled.edges.every(({ follows }) => follows === undefined)).toBe(true);
  });
});
