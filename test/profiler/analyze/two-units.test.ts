import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { SpanRecord } from '../../../compiler/contracts/index.ts';
import { criticalPath, pathTotals } from '../../../profiler/analyze/critical-path.ts';
import { buildProfile } from '../../../profiler/analyze/profile.ts';
import { buildTraces } from '../../../profiler/analyze/tree.ts';
import { typicalWaterfall } from '../../../profiler/analyze/waterfall.ts';
import { readTraces } from '../../../profiler/store/traces.ts';
import { blockOf, configurationOf, workflowOf } from './fixture.ts';

// One request, written by hand. front: 94 ms, of which 30 wait for the model and 40 for back. back: 30 ms.
//
//   ingress 0-100
//     call front 2-98 (in-process)
//       front 3-97, waited 0.5, loop busy 20
//         model 10-40, of which 5 queued
//         call back 45-85, encoding 1.5
//           serve back 48-83, decoding 0.5
//             back 52-82, waited 4, loop busy 12
const workflow = workflowOf(['front', 'back', 'never'], [['front', 'back']]);
const configuration = configurationOf(workflow, [['front'], ['back'], ['never']]);
const usage = [
  { id: 'front', replica: 0, cpuSeconds: 0.025, peakMemoryMb: 1, restarts: 0 },
  { id: 'back', replica: 0, cpuSeconds: 0.016, peakMemoryMb: 1, restarts: 0 },
];
let spans: SpanRecord[];
beforeAll(async () => {
  spans = await readTraces(join(import.meta.dirname, '../../fixtures/traces/two-units.ndjson'));
});

describe('the profile of one request over two units', () => {
  it('says what each component cost', () => {
    const { components } = buildProfile({ workflow, configuration, blocks: [{ block: blockOf(1, usage), spans }] });
    expect(Object.keys(components).sort()).toEqual(['back', 'front']);
    const means = (name: string) => {
      const component = components[name];
      return [component?.visitsPerRequest, component?.cpuMs.mean, component?.selfMs.mean, component?.queueMs.mean, component?.heldMs.mean];
    };
    // front: 20 busy - 1.5 encoding; 94 - 30 - 40 of its own.
    expect(means('front')).toEqual([1, 18.5, 24, 0.5, 94]);
    expect(means('back')).toEqual([1, 12, 30, 4, 30]);
    expect([components.front?.osCpuMs, components.back?.osCpuMs]).toEqual([25, 16]);
    expect(components.back?.errorRate).toBe(0);
  });

  it('says what the hop and the model cost', () => {
    const profile = buildProfile({ workflow, configuration, blocks: [{ block: blockOf(1, usage), spans, dropped: 3 }] });
    expect(Object.keys(profile.edges)).toEqual(['front->back']);
    const edge = profile.edges['front->back'];
    expect([edge?.channel, edge?.protocol, edge?.callsPerRequest]).toEqual(['front->back', 'http-json', 1]);
    // 40 at the client - 35 at the server - 2 encoding.
    expect([edge?.requestBytes.mean, edge?.responseBytes.mean, edge?.serializeMs.mean, edge?.transportMs.mean]).toEqual([2048, 1024, 2, 3]);
    const main = profile.models.main;
    expect([main?.callsPerRequest, main?.tokensIn.mean, main?.tokensCached.mean, main?.tokensOut.mean]).toEqual([1, 100, 40, 20]);
    expect([main?.latencyMs.mean, main?.firstChunkMs.mean, main?.queueMs.mean]).toEqual([30, 12, 5]);
    expect(main?.byAgent).toEqual({ front: { callsPerRequest: 1, tokensIn: 100, tokensOut: 20, queueShare: 5 / 30 } });
    expect(profile.traces).toEqual({ requests: 1, unbrokenShare: 1, spans: 7, dropped: 3, darkComponents: ['never'] });
    expect(profile.classShares).toEqual({ interactive: 1 });
    expect(profile.provenance).toBe('simulated');
    // 41 of the operating system - 18.5 - 12 of turns - 2 encoding.
    expect(profile.overheadCpuMsPerRequest).toBeCloseTo(8.5, 9);
  });

  it('keeps the request as a skeleton', () => {
    const { skeletons } = buildProfile({ workflow, configuration, blocks: [{ block: blockOf(1, usage), spans }] });
    expect(skeletons).toEqual([
      {
        requestClass: 'interactive',
        measuredMs: 100,
        root: {
          component: 'front',
          phases: [
            {
              selfMs: 7,
              cpuMs: expect.closeTo((18.5 * 7) / 24, 9),
              calls: [{ kind: 'model', model: 'main', tokensIn: 100, tokensCached: 40, tokensOut: 20, measuredMs: 30 }],
            },
            {
              selfMs: 5,
              cpuMs: expect.closeTo((18.5 * 5) / 24, 9),
              calls: [
                {
                  kind: 'component',
                  pattern: 'request',
                  requestBytes: 2048,
                  responseBytes: 1024,
                  visit: { component: 'back', phases: [{ selfMs: 30, cpuMs: 12, calls: [] }] },
                },
              ],
            },
            { selfMs: 12, cpuMs: expect.closeTo((18.5 * 12) / 24, 9), calls: [] },
          ],
        },
      },
    ]);
  });

  it('splits the latency by kind', () => {
    const [request] = buildTraces(spans).requests;
    if (!request) throw new Error('no request');
    expect(pathTotals(criticalPath(request.root))).toEqual({ working: 54, communication: 7.5, queueing: 9.5, model: 25, ingress: 4 });
    const { criticalPath: shares } = buildProfile({ workflow, configuration, blocks: [{ block: blockOf(1, usage), spans }] });
    expect(shares.working).toBeCloseTo(0.54, 9);
    expect(Object.values(shares).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9);
  });

  it('draws the request as a waterfall', () => {
    const drawn = typicalWaterfall(buildTraces(spans).requests, 'cafe');
    expect(drawn?.totalMs).toBe(100);
    expect(drawn?.rows.map((row) => [row.depth, row.lane, row.label, row.kind, row.startMs, row.durationMs, row.critical])).toEqual([
      [0, 'front', 'ingress', 'ingress', 0, 100, true],
      [1, 'front', '→ front', 'communication', 2, 96, true],
      [2, 'front', 'waits for a slot', 'queueing', 2.5, 0.5, true],
      [2, 'front', 'front', 'working', 3, 94, true],
      [3, 'front', 'main', 'model', 10, 30, true],
      [4, 'front', 'waits for the engine', 'queueing', 10, 5, true],
      [3, 'front', '→ back', 'communication', 45, 40, true],
      [4, 'back', 'waits for a slot', 'queueing', 48, 4, true],
      [4, 'back', 'back', 'working', 52, 30, true],
    ]);
    expect(drawn?.rows.find((row) => row.label === '→ back')?.detail).toBe('http-json, 2048 B out, 1024 B back');
    expect(drawn?.rows.find((row) => row.kind === 'model')?.detail).toBe('100 tokens in (40 cached), 20 out');
  });
});

describe('traces that are not whole', () => {
  it('count as broken and for nothing else', () => {
    const other = spans.filter((span) => span.name !== 'serve back').map((span) => ({ ...span, traceId: 'broken' }));
    const rootless = spans.filter((span) => span.name !== 'ingress').map((span) => ({ ...span, traceId: 'rootless' }));
    const profile = buildProfile({
      workflow,
      configuration,
      blocks: [{ block: blockOf(1, usage), spans: [...spans, ...other, ...rootless] }],
    });
    expect(profile.traces.unbrokenShare).toBeCloseTo(1 / 3, 9);
    expect(profile.traces.requests).toBe(2);
    expect(profile.components.back?.visitsPerRequest).toBe(1);
    expect(profile.skeletons.length).toBe(1);
  });

  it('a span exported twice counts once, and a user’s own context above the ingress is no break', () => {
    const twice = [...spans, ...spans].map((span) => (span.name === 'ingress' ? { ...span, parentSpanId: 'the-users' } : span));
    const forest = buildTraces(twice);
    expect([forest.traces, forest.unbrokenShare, forest.spans]).toEqual([1, 1, 7]);
  });

  it('leave an empty profile, not a broken one', () => {
    const profile = buildProfile({ workflow, configuration, blocks: [{ block: blockOf(0), spans: [] }] });
    expect(profile.traces.darkComponents).toEqual(['back', 'front', 'never']);
    expect(profile.skeletons).toEqual([]);
    expect(profile.traces.unbrokenShare).toBe(0);
  });

  it('of the warm-up are left out', () => {
    const later = spans.map((span) => ({ ...span, traceId: 'later', startMs: span.startMs + 500, durationMs: span.durationMs / 2 }));
    const block = blockOf(1, usage, { warmupMs: 400 });
    const { skeletons } = buildProfile({ workflow, configuration, blocks: [{ block, spans: [...spans, ...later] }] });
    expect(skeletons.map((skeleton) => skeleton.measuredMs)).toEqual([50]);
  });
});
