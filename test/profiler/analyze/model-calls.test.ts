import { describe, expect, it } from 'vitest';
import { attr, type SkeletonCall, type SkeletonVisit, type SpanRecord } from '../../../compiler/contracts/index.ts';
import { criticalPath, pathTotals } from '../../../profiler/analyze/critical-path.ts';
import { buildProfile } from '../../../profiler/analyze/profile.ts';
import { buildTraces } from '../../../profiler/analyze/tree.ts';
import { typicalWaterfall } from '../../../profiler/analyze/waterfall.ts';
import { blockOf, configurationOf, tracer, workflowOf } from './fixture.ts';

const workflow = workflowOf(['front'], []);
const configuration = configurationOf(workflow, [['front']]);

// front asks the model twice: 20 ms for its limits, 5 in the engine's queue and 25 of work; then a reply nobody understands.
const { spans, add } = tracer('t', { [attr.blockId]: 'b1' });
const root = add(null, 'ingress', 'server', [0, 100], 'front', { [attr.requestClass]: 'default', [attr.outcome]: 'ok' });
const call = add(root, 'call front', 'client', [1, 99], 'front', { [attr.from]: 'ingress', [attr.channel]: 'ingress->front' });
const turn = add(call, 'invoke_agent front', 'internal', [2, 98], 'front', { [attr.agentName]: 'front' });
add(turn, 'chat main', 'client', [10, 60], 'front', {
  [attr.requestModel]: 'main',
  [attr.tokensIn]: 100,
  [attr.tokensOut]: 10,
  [attr.limitMs]: 20,
  [attr.queueMs]: 5,
  [attr.attempt]: 3,
  [attr.badToolCalls]: 1,
  [attr.prefix]: 'aa:40,bb:100',
});
const failed = add(turn, 'chat main', 'client', [70, 90], 'front', { [attr.requestModel]: 'main', [attr.modelFault]: 'malformed' });
const all: SpanRecord[] = spans.map((span) => (span === failed ? { ...span, ok: false } : span));

const callsOf = (visit: SkeletonVisit): SkeletonCall[] =>
  visit.phases.flatMap(({ calls }) => calls.flatMap((each) => (each.kind === 'component' ? [each, ...callsOf(each.visit)] : [each])));

describe('a model call with limits and faults', () => {
  const profile = buildProfile({ workflow, configuration, blocks: [{ block: blockOf(1), spans: all }] });

  it('took as long as the model did; the wait for its limits stands beside it, and faults and retries are counted', () => {
    const main = profile.models.main;
    expect(main?.latencyMs.mean).toBe(30);
    expect(main?.limitMs?.quantiles.at(-1)).toBe(20);
    expect(main?.retriesPerRequest).toBe(2);
    expect(main?.faultsPerRequest).toEqual({ badToolCall: 1, malformed: 1 });
    expect(main?.byAgent.front?.queueShare).toBeCloseTo(5 / 30);
  });

  it('waits before it works on the critical path and in the waterfall', () => {
    const [request] = buildTraces(all).requests;
    if (request === undefined) throw new Error('there is no request');
    expect(pathTotals(criticalPath(request.root))).toMatchObject({ queueing: 25, model: 45 });
    const rows = typicalWaterfall([request], 'cafe')?.rows ?? [];
    const waits = rows.filter(({ kind }) => kind === 'queueing').map(({ label, startMs, durationMs }) => [label, startMs, durationMs]);
    expect(waits).toEqual([
      ['waits for its limits', 10, 20],
      ['waits for the engine', 30, 5],
    ]);
    expect(rows.map(({ detail }) => detail).join()).toContain('attempt 3');
    expect(rows.map(({ detail }) => detail).join()).toContain('failed: malformed');
  });

  it('keeps its prefixes in the skeleton, and its time without the limits', () => {
    const [skeleton] = profile.skeletons;
    const [first, second] = skeleton === undefined ? [] : callsOf(skeleton.root);
    expect(first).toMatchObject({
      kind: 'model',
      measuredMs: 30,
      prefix: [
        { key: 'aa', tokens: 40 },
        { key: 'bb', tokens: 100 },
      ],
    });
    expect(second).not.toHaveProperty('prefix');
  });
});
