import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SpanRecord } from '../../../compiler/contracts/index.ts';
import { buildProfile } from '../../../profiler/analyze/profile.ts';
import { type ForeignComponents, withForeign } from '../../../profiler/analyze/stand-ins.ts';
import { buildTraces } from '../../../profiler/analyze/tree.ts';
import { entryVisits, type Visit, visitsIn } from '../../../profiler/analyze/visits.ts';
import { blockOf, configurationOf, workflowOf } from './fixture.ts';

const foreign: ForeignComponents = {
  units: new Map([['py', 'writer']]),
  external: new Set(['rater']),
  components: new Set(['desk', 'writer', 'facts', 'rater']),
  models: new Map([['gpt-4.1-mini', 'main']]),
};

/** `id<parent name@unit start+duration`, with attributes after it. */
const span = (
  spanId: string,
  parentSpanId: string | undefined,
  name: string,
  kind: SpanRecord['kind'],
  unit: string,
  [startMs, durationMs]: readonly [number, number],
  attributes: SpanRecord['attributes'] = {},
): SpanRecord => ({
  traceId: 't',
  spanId,
  ...(parentSpanId === undefined ? {} : { parentSpanId }),
  name,
  kind,
  unit,
  replica: 0,
  startMs,
  durationMs,
  ok: true,
  attributes,
});
const call = (id: string, parent: string, to: string, unit: string, time: readonly [number, number], more: SpanRecord['attributes'] = {}) =>
  span(id, parent, `call ${to}`, 'client', unit, time, {
    'dmas.from': 'desk',
    'dmas.to': to,
    'dmas.channel': `desk->${to}`,
    'rpc.system': 'http-json',
    ...more,
  });
const serve = (id: string, parent: string, to: string, unit: string, time: readonly [number, number]) =>
  span(id, parent, `serve ${to}`, 'server', unit, time, { 'dmas.from': '', 'dmas.to': to, 'dmas.channel': '', 'rpc.system': 'http-json' });
const turn = (id: string, parent: string, name: string, unit: string, time: readonly [number, number]) =>
  span(id, parent, `invoke_agent ${name}`, 'internal', unit, time);

const head = [
  span('i', undefined, 'ingress', 'server', 'desk', [0, 100]),
  call('c0', 'i', 'desk', 'desk', [1, 98]),
  turn('t0', 'c0', 'desk', 'desk', [2, 96]),
];

function read(spans: readonly SpanRecord[]) {
  const done = withForeign([...head, ...spans], foreign);
  const { requests, unbrokenShare } = buildTraces(done);
  const request = requests[0];
  if (request === undefined) throw new Error('no request');
  const visits = entryVisits(request).flatMap((visit) => [...visitsIn(visit)]);
  const show = (visit: Visit): string =>
    `${visit.component}(${visit.calls.map((each) => (each.kind === 'component' ? show(each.visit) : each.node.span.name)).join(' ')})`;
  return { done, unbrokenShare, visits, tree: entryVisits(request).map(show).join() };
}

/** What a Python program with a server's, a client's and a model library's instrumentation sends of one turn. */
const pythonTurn = [
  call('c1', 't0', 'writer', 'desk', [10, 50]),
  span('p1', 'c1', 'POST /', 'server', 'py', [12, 46], { 'http.request.method': 'POST', 'url.query': 'SECRET' }),
  span('p2', 'p1', 'invoke_agent Head Writer', 'internal', 'py', [13, 44], {
    'gen_ai.operation.name': 'invoke_agent',
    'gen_ai.agent.name': 'Head Writer',
  }),
  span('p3', 'p2', 'chat gpt-4.1-mini', 'client', 'py', [20, 20], {
    'gen_ai.operation.name': 'chat',
    'gen_ai.request.model': 'gpt-4.1-mini',
    'gen_ai.usage.input_tokens': 700,
    'gen_ai.usage.output_tokens': 50,
    'gen_ai.input.messages': '[{"role":"user","parts":[{"content":"SECRET"}]}]',
    'gen_ai.output.messages': 'SECRET',
  }),
  span('p4', 'p3', 'POST', 'client', 'py', [21, 18], { 'http.request.method': 'POST', 'server.address': 'api.example.com' }),
  span('p5', 'p2', 'execute_tool lookup', 'internal', 'py', [42, 6], {
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': 'lookup',
    'gen_ai.tool.call.arguments': 'SECRET',
  }),
  span('p6', 'p2', 'SELECT', 'client', 'py', [50, 3], { 'db.system.name': 'postgresql', 'db.query.text': 'SECRET' }),
  span('p7', 'p2', 'chat with the user', 'internal', 'py', [54, 1], { 'input.value': 'SECRET' }),
];

describe('components of others in the traces', () => {
  it('have a profile of their own work and of their models', () => {
    const { done, tree } = read(pythonTurn);
    expect(tree).toBe('desk(writer(chat main))');
    const workflow = workflowOf(['desk', 'writer'], [['desk', 'writer']]);
    const configuration = configurationOf(workflow, [['desk'], ['writer']]);
    const { traces, components, models, edges } = buildProfile({ workflow, configuration, blocks: [{ block: blockOf(1), spans: done }] });
    expect(traces).toMatchObject({ requests: 1, unbrokenShare: 1, darkComponents: [] });
    expect(traces).not.toHaveProperty('silentComponents');
    // 46 of its server's span - 20 of the model; its tool and its database are its own work.
    expect([components.writer?.visitsPerRequest, components.writer?.heldMs.mean, components.writer?.selfMs.mean]).toEqual([1, 46, 26]);
    expect(Object.keys(edges).filter((edge) => edge !== 'desk->desk')).toEqual(['desk->writer']);
    expect(edges['desk->writer']?.transportMs.mean).toBe(4);
    expect(Object.keys(models)).toEqual(['main']);
    expect(models.main?.byAgent).toEqual({ writer: { callsPerRequest: 1, tokensIn: 700, tokensOut: 50, queueShare: 0 } });
    expect(models.main?.latencyMs.mean).toBe(20);
  });

  it('leave nothing of what was said, in whole traces and in others', () => {
    for (const lost of [[], ['p1'], ['p2'], ['c1']]) {
      const done = withForeign(
        [...head, ...pythonTurn].filter(({ spanId }) => !lost.includes(spanId)),
        foreign,
      );
      expect(done.length).toBeGreaterThan(head.length);
      expect(JSON.stringify(done)).not.toContain('SECRET');
    }
  });

  it('break a trace they sent in part, and make no request of one that no user began', () => {
    const late = withForeign([...head, ...pythonTurn.filter(({ spanId }) => spanId !== 'p2')], foreign);
    expect(buildTraces(late)).toMatchObject({ traces: 1, unbrokenShare: 0 });
    const alone = withForeign([span('p1', undefined, 'GET /health', 'server', 'py', [0, 1])], foreign);
    expect(buildTraces(alone)).toMatchObject({ traces: 1, requests: [] });
  });

  it('are one turn where no server’s span holds their spans together', () => {
    const [first, , , chat] = pythonTurn;
    if (first === undefined || chat === undefined) throw new Error('no span');
    const { tree, visits, unbrokenShare } = read([
      first,
      span('q1', 'c1', 'plan', 'internal', 'py', [14, 2]),
      { ...chat, parentSpanId: 'c1' },
      span('q2', 'c1', 'answer', 'internal', 'py', [45, 5]),
    ]);
    expect(tree).toBe('desk(writer(chat main))');
    expect(unbrokenShare).toBe(1);
    const turn = visits.find(({ component }) => component === 'writer')?.turn?.span;
    expect(turn).toMatchObject({ startMs: 14, durationMs: 36 });
    expect(turn?.attributes).not.toHaveProperty('dmas.stand_in');
  });

  it('leave the spans of our own units as they are', () => {
    const ours = [
      ...head,
      span('m', 't0', 'chat main', 'client', 'desk', [3, 2], { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'main' }),
      span('u', 't0', 'POST', 'client', 'desk', [6, 2], { 'url.full': 'http://127.0.0.1/' }),
    ];
    const done = withForeign([...ours, ...pythonTurn], foreign);
    for (const each of ours) expect(done.filter(({ spanId }) => spanId === each.spanId)).toEqual([each]);
    expect(done.filter(({ unit }) => unit === 'desk')).toHaveLength(ours.length + 1);
  });

  it('become a turn of their caller’s length when they send nothing', () => {
    const { visits, tree, unbrokenShare } = read([call('c1', 't0', 'writer', 'desk', [10, 50])]);
    expect(tree).toBe('desk(writer())');
    expect(unbrokenShare).toBe(1);
    const writer = visits.find(({ component }) => component === 'writer');
    expect(writer?.turn?.span).toMatchObject({ unit: 'py', startMs: 10, durationMs: 50, attributes: { 'dmas.stand_in': true } });
    expect(writer?.external).toBe(false);
  });

  it('are not taken to work while our own limit held the call back', () => {
    const { visits } = read([call('c1', 't0', 'rater', 'desk', [10, 50], { 'dmas.queue_ms': 30 })]);
    expect(visits.find(({ component }) => component === 'rater')?.turn?.span).toMatchObject({ startMs: 40, durationMs: 20 });
  });

  it('hold what a neighbour of theirs did when they only pass the trace on', () => {
    const { tree, done } = read([
      call('c1', 't0', 'writer', 'desk', [10, 50]),
      serve('s2', 'c1', 'facts', 'facts', [20, 10]),
      turn('t2', 's2', 'facts', 'facts', [21, 8]),
    ]);
    expect(tree).toBe('desk(writer(facts()))');
    expect(done.find(({ name }) => name === 'call facts')?.attributes).toMatchObject({
      'dmas.from': 'writer',
      'dmas.to': 'facts',
      'dmas.channel': 'writer->facts',
    });
  });

  it('are read from their own spans where they send them: server, client and model', () => {
    const { tree, visits, done } = read([
      call('c1', 't0', 'writer', 'desk', [10, 50]),
      span('p1', 'c1', 'POST /', 'server', 'py', [12, 46], { 'http.request.method': 'POST' }),
      span('p2', 'p1', 'workflow', 'internal', 'py', [13, 44]),
      span('p3', 'p2', 'chat gpt-4.1-mini', 'client', 'py', [14, 10], {
        'gen_ai.operation.name': 'chat',
        'gen_ai.request.model': 'gpt-4.1-mini',
        'gen_ai.usage.input_tokens': 7,
      }),
      span('p4', 'p2', 'POST', 'client', 'py', [30, 12]),
      serve('s2', 'p4', 'facts', 'facts', [31, 10]),
      turn('t2', 's2', 'facts', 'facts', [32, 8]),
    ]);
    expect(tree).toBe('desk(writer(chat main facts()))');
    const writer = visits.find(({ component }) => component === 'writer');
    expect(writer?.serve?.span).toMatchObject({
      startMs: 12,
      name: 'serve writer',
      attributes: { 'dmas.to': 'writer', 'rpc.system': 'http-json' },
    });
    expect(writer?.turn?.span.attributes).not.toHaveProperty('dmas.stand_in');
    expect(done.find(({ spanId }) => spanId === 'p4')).toMatchObject({ name: 'call facts', kind: 'client' });
  });

  it('are not made up for an attempt that failed before it arrived', () => {
    const failed = { ...call('c1', 't0', 'writer', 'desk', [10, 5]), ok: false };
    expect(read([failed]).done).toHaveLength(head.length + 1);
  });

  it('leave applications that are all ours alone', () => {
    const spans = [...head, call('c1', 't0', 'writer', 'desk', [10, 50])];
    expect(withForeign(spans, { units: new Map(), external: new Set(), components: new Set(['desk']), models: new Map() })).toBe(spans);
  });

  it('never lose a span, break a tree, or depend on the order spans came in', () => {
    const all = [
      ...head,
      call('c1', 't0', 'writer', 'desk', [10, 50]),
      span('p1', 'c1', 'POST /', 'server', 'py', [12, 46]),
      span('p2', 'p1', 'POST', 'client', 'py', [20, 12]),
      serve('s2', 'p2', 'facts', 'facts', [21, 10]),
      span('p3', 'p1', 'inject', 'internal', 'py', [35, 12]),
      serve('s3', 'p3', 'facts', 'facts', [36, 10]),
      span('p4', 'p1', 'chat gpt-4.1-mini', 'client', 'py', [50, 4], { 'gen_ai.operation.name': 'chat' }),
      call('c2', 't0', 'rater', 'desk', [70, 10]),
    ];
    const reference = new Set(withForeign(all, foreign).map(({ spanId, parentSpanId, name }) => `${spanId} ${parentSpanId} ${name}`));
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (shuffled) => {
        const done = withForeign(shuffled, foreign);
        expect(new Set(done.map(({ spanId, parentSpanId, name }) => `${spanId} ${parentSpanId} ${name}`))).toEqual(reference);
        expect(buildTraces(done).unbrokenShare).toBe(1);
        for (const { spanId } of all) expect(done.some((each) => each.spanId === spanId)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});
