import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { SpanRecord } from '../../../../compiler/contracts/index.ts';
import { canonicalSpans } from '../../../../profiler/analyze/foreign/canonical.ts';
import { buildProfile } from '../../../../profiler/analyze/profile.ts';
import { buildTraces } from '../../../../profiler/analyze/tree.ts';
import { entryVisits, visitsIn } from '../../../../profiler/analyze/visits.ts';
import { readTraces } from '../../../../profiler/store/traces.ts';
import { blockOf, configurationOf, workflowOf } from '../fixture.ts';
import { digestSpans } from './fixture.ts';

const own = await readTraces(join(import.meta.dirname, '../../../fixtures/traces/two-units.ndjson'));
const byId = (spans: readonly SpanRecord[]) => [...spans].sort((a, b) => (a.spanId < b.spanId ? -1 : 1));

describe('spans of foreign processes in our form', () => {
  it('leaves our own as they are, and what our users write between them', () => {
    expect(byId(canonicalSpans(own))).toEqual(byId(own));
    const turn = own.find(({ name }) => name === 'invoke_agent front');
    const chat = own.find(({ name }) => name.startsWith('chat '));
    if (!turn || !chat) throw new Error('the fixture changed');
    const wrapped: SpanRecord = { ...turn, spanId: 'user', parentSpanId: turn.spanId, name: 'think', attributes: { words: 3 } };
    const spans = [...own.filter((span) => span !== chat), wrapped, { ...chat, parentSpanId: 'user' }];
    expect(byId(canonicalSpans(spans))).toEqual(byId(spans));
  });

  it('a callee of ours that is somebody else’s process is profiled as if it were ours', () => {
    const call = own.find(({ name }) => name === 'call back');
    if (!call) throw new Error('the fixture changed');
    const inner = own.filter(({ name }) => name !== 'serve back' && name !== 'invoke_agent back');
    const foreign = (
      spanId: string,
      parentSpanId: string,
      name: string,
      kind: SpanRecord['kind'],
      from: number,
      to: number,
      attributes = {},
    ): SpanRecord => ({
      traceId: call.traceId,
      spanId,
      parentSpanId,
      name,
      kind,
      startMs: call.startMs + from,
      durationMs: to - from,
      ok: true,
      unit: 'back',
      replica: 0,
      attributes,
    });
    const spans = [
      ...inner,
      foreign('http', call.spanId, 'POST /invoke', 'server', 3, 38, { 'http.request.method': 'POST', 'input.value': 'a secret' }),
      foreign('chain', 'http', 'LangGraph', 'internal', 4, 37, { 'openinference.span.kind': 'CHAIN', 'input.value': 'a secret' }),
      foreign('llm', 'chain', 'ChatOpenAI', 'internal', 10, 30, {
        'openinference.span.kind': 'LLM',
        'llm.model_name': 'main',
        'llm.token_count.prompt': 77,
        'llm.token_count.completion': 7,
        'llm.input_messages.0.message.content': 'a secret',
      }),
      foreign('post', 'llm', 'POST', 'client', 11, 29, { 'http.request.method': 'POST' }),
    ];
    const result = canonicalSpans(spans, { componentOf: (span) => span.unit });
    expect(JSON.stringify(result)).not.toContain('secret');
    const workflow = workflowOf(['front', 'back'], [['front', 'back']]);
    const configuration = configurationOf(workflow, [['front'], ['back']]);
    const profile = buildProfile({ workflow, configuration, blocks: [{ block: blockOf(1), spans: result }] });
    expect(profile.traces).toMatchObject({ unbrokenShare: 1, darkComponents: [] });
    expect(profile.components.back?.heldMs.mean).toBeCloseTo(35, 6);
    expect(profile.components.back?.selfMs.mean).toBeCloseTo(15, 6);
    expect(profile.models.main?.byAgent.back).toMatchObject({ callsPerRequest: 1, tokensIn: 77, tokensOut: 7 });
    expect(profile.edges['front->back']).toMatchObject({ protocol: 'http-json', callsPerRequest: 1 });
    expect(profile.edges['front->back']?.transportMs.mean).toBeGreaterThan(0);
  });

  it('an agent of ours that a foreign one calls back is its callee', () => {
    const span = (
      spanId: string,
      parentSpanId: string | undefined,
      name: string,
      kind: SpanRecord['kind'],
      from: number,
      to: number,
      attributes: SpanRecord['attributes'],
      unit: string,
    ): SpanRecord => ({
      traceId: 't',
      spanId,
      ...(parentSpanId === undefined ? {} : { parentSpanId }),
      name,
      kind,
      startMs: 1000 + from,
      durationMs: to - from,
      ok: true,
      unit,
      replica: 0,
      attributes,
    });
    const result = canonicalSpans(
      [
        span('i', undefined, 'ingress', 'server', 0, 100, { 'dmas.request.id': 'r' }, 'u'),
        span('c', 'i', 'call python', 'client', 1, 99, { 'dmas.to': 'python', 'rpc.system': 'http-json' }, 'u'),
        span('h', 'c', 'POST /', 'server', 2, 98, {}, 'python'),
        span('out', 'h', 'POST', 'client', 10, 50, { 'http.request.method': 'POST' }, 'python'),
        span('tcp', 'out', 'connect', 'internal', 11, 49, {}, 'python'),
        span('s', 'tcp', 'serve mine', 'server', 12, 48, { 'dmas.to': 'mine', 'rpc.system': 'http-json' }, 'v'),
        span('a', 's', 'invoke_agent mine', 'internal', 13, 47, { 'dmas.active_ms': 1 }, 'v'),
      ],
      { componentOf: (each) => (each.unit === 'python' ? 'python' : undefined) },
    );
    const [request] = buildTraces(result).requests;
    const visits = request ? entryVisits(request).flatMap((visit) => [...visitsIn(visit)]) : [];
    expect(request?.unbroken).toBe(true);
    expect(visits.map(({ component, startMs, endMs, serve }) => [component, startMs - 1000, endMs - 1000, serve !== null])).toEqual([
      ['python', 2, 98, true],
      ['mine', 13, 47, true],
    ]);
  });

  it('a sampled foreign trace reads as one of ours', async () => {
    const { sample } = await digestSpans([
      { id: 'root', service: 'api', kind: 'server', at: [0, 100], attributes: { 'http.route': '/ask', 'http.request.method': 'POST' } },
      {
        id: 'agent',
        service: 'api',
        parent: 'root',
        at: [1, 99],
        attributes: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'front' },
      },
      {
        id: 'chat',
        service: 'api',
        parent: 'agent',
        kind: 'client',
        at: [10, 40],
        attributes: { 'gen_ai.request.model': 'm', 'gen_ai.usage.input_tokens': 9 },
      },
      { id: 'out', service: 'api', parent: 'agent', kind: 'client', at: [45, 85], attributes: { 'http.request.method': 'POST' } },
      { id: 'in', service: 'worker', parent: 'out', kind: 'server', at: [48, 83] },
      { id: 'db', service: 'worker', parent: 'in', kind: 'client', at: [50, 60], attributes: { 'db.system': 'redis' } },
    ]);
    expect(sample).toMatchObject({ traces: 1, of: 1 });
    const forest = buildTraces(sample.spans);
    expect(forest.unbrokenShare).toBe(1);
    const [request] = forest.requests;
    expect(request?.requestClass).toBe('POST /ask');
    const visits = request ? entryVisits(request).flatMap((visit) => [...visitsIn(visit)]) : [];
    expect(visits.map(({ component, external, calls }) => [component, external, calls.map(({ kind }) => kind)])).toEqual([
      ['front', false, ['model', 'component']],
      ['worker', false, ['component']],
      ['redis', true, []],
    ]);
  });
});
