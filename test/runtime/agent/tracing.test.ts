import { SpanKind, trace } from '@opentelemetry/api';
import type { InMemorySpanExporter, ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { afterEach, describe, expect, it } from 'vitest';
import { agent, codeAgent, codeTool, graphAgent, llmAgent, tool, toolServer, topic, z } from '../../../compiler/api/index.ts';
import { attr } from '../../../compiler/contracts/trace-attributes.ts';
import { sampledAt } from '../../../runtime/agent/hashing.ts';
import type { ChatModel } from '../../../runtime/llm/backend.ts';
import { type Application, control, type Deployed, deploy, until } from './harness.ts';

const Text = z.object({ text: z.string() });
const front = agent('front', { input: Text, output: Text });
const back = agent('back', { input: Text, output: Text });
const helper = agent('helper', { input: Text, output: Text });
const search = tool('search', { description: 'Search', input: Text, output: Text, effect: 'readOnly' });
const library = toolServer('library', [search]);

let deployed: Deployed | undefined;
afterEach(async () => {
  await deployed?.close();
  deployed = undefined;
});
async function run(application: Application) {
  deployed = await deploy({ samplingRatio: 1, ...application });
  return deployed;
}

/** Each span as `name < parent's name`, sorted. */
function tree(spans: InMemorySpanExporter): string[] {
  const all = spans.getFinishedSpans();
  const byId = new Map(all.map((span) => [span.spanContext().spanId, span]));
  return all.map((span) => `${span.name} < ${byId.get(span.parentSpanContext?.spanId ?? '')?.name ?? '-'}`).sort();
}
const traceIds = (spans: InMemorySpanExporter) => new Set(spans.getFinishedSpans().map((span) => span.spanContext().traceId));
const find = (spans: InMemorySpanExporter, name: string) => spans.getFinishedSpans().find((span) => span.name === name) as ReadableSpan;

describe('the trace of a request', () => {
  it('is one tree over units, tools, models and sub-agents', async () => {
    let round = 0;
    const usage = { tokensIn: 7, tokensCached: 1, tokensOut: 2 };
    const model: ChatModel = {
      chat: async () =>
        round++ === 0
          ? {
              text: '',
              toolCalls: [
                { id: '1', name: 'search', arguments: '{"text":"x"}' },
                { id: '2', name: 'back', arguments: '{"text":"y"}' },
              ],
              finish: 'tool_calls',
              usage,
              firstChunkMs: 12,
              queueMs: 3,
            }
          : { text: 'done', toolCalls: [], finish: 'stop', usage, firstChunkMs: 12 },
    };
    const { ask, spans } = await run({
      entry: front,
      groups: [['front'], ['back', 'helper'], ['library']],
      toolServers: [library],
      model,
      parts: [
        llmAgent(front, { model: 'main', system: '', tools: [search], agents: [back] }),
        codeAgent(back, async ({ text }, ctx) => ctx.call(helper, { text }), { calls: [helper] }),
        codeAgent(helper, async (input) => input),
        codeTool(search, async (input) => input),
      ],
    });
    expect(
      (await ask({ text: 'hi' }, { 'x-dmas-class': 'interactive', 'x-dmas-block': 'b1', 'x-dmas-session': 's1', 'x-dmas-request': 'r1' }))
        .status,
    ).toBe(200);
    await until(() => spans.getFinishedSpans().some(({ name }) => name === 'ingress'));
    expect(tree(spans)).toEqual(
      [
        'ingress < -',
        'call front < ingress',
        'invoke_agent front < call front',
        'chat main < invoke_agent front',
        'chat main < invoke_agent front',
        'call library < invoke_agent front',
        'serve library < call library',
        'execute_tool search < serve library',
        'call back < invoke_agent front',
        'serve back < call back',
        'invoke_agent back < serve back',
        'call helper < invoke_agent back',
        'invoke_agent helper < call helper',
      ].sort(),
    );
    expect(traceIds(spans).size).toBe(1);
    expect(find(spans, 'ingress').attributes).toMatchObject({
      [attr.requestId]: 'r1',
      [attr.requestClass]: 'interactive',
      [attr.blockId]: 'b1',
      [attr.conversationId]: 's1',
      [attr.outcome]: 'ok',
    });
    const call = find(spans, 'call back');
    expect(call.kind).toBe(SpanKind.CLIENT);
    expect(call.attributes).toMatchObject({
      [attr.rpcSystem]: 'http-json',
      [attr.channel]: 'front->back',
      [attr.from]: 'front',
      [attr.to]: 'back',
      [attr.attempt]: 1,
      [attr.requestBytes]: '{"text":"y"}'.length,
    });
    expect(call.attributes[attr.responseBytes]).toBeGreaterThan(0);
    expect(find(spans, 'call helper').attributes).toMatchObject({
      [attr.rpcSystem]: 'inproc',
      [attr.requestBytes]: 0,
      [attr.responseBytes]: 0,
    });
    expect(find(spans, 'serve back')).toMatchObject({
      kind: SpanKind.SERVER,
      attributes: { [attr.rpcMethod]: 'request', [attr.requestBytes]: 12 },
    });
    expect(find(spans, 'chat main').attributes).toMatchObject({
      [attr.tokensIn]: 7,
      [attr.tokensOut]: 2,
      [attr.tokensCached]: 1,
      [attr.timeToFirstChunkS]: 0.012,
      [attr.queueMs]: 3,
    });
    expect(find(spans, 'execute_tool search').attributes).toMatchObject({
      [attr.toolName]: 'search',
      [attr.queueMs]: 0,
      [attr.concurrency]: expect.any(Number),
    });
    const turn = find(spans, 'invoke_agent back');
    expect(turn.attributes).toMatchObject({ [attr.operation]: 'invoke_agent', [attr.agentName]: 'back', [attr.queueMs]: 0 });
    expect(turn.attributes[attr.activeMs]).toBeGreaterThanOrEqual(0);
    expect(turn.attributes[attr.concurrency]).toBeGreaterThanOrEqual(1);
    expect(turn.resource.attributes).toMatchObject({ [attr.unit]: 'unit1', [attr.replica]: 0, [attr.deploymentId]: 'test' });
  });

  it('follows one-way messages, topics and graphs', async () => {
    const news = topic('news', Text);
    const State = z.object({ text: z.string() });
    const graph = agent('graph', { input: Text, output: Text });
    const first = agent('first', { input: State, output: State });
    const second = agent('second', { input: State, output: State });
    const { ask, spans } = await run({
      entry: front,
      groups: [['front', 'graph'], ['back'], ['helper'], ['first'], ['second']],
      topics: [{ ref: news, subscribers: ['helper'] }],
      parts: [
        codeAgent(
          front,
          async (input, ctx) => {
            await ctx.send(back, input);
            return ctx.call(graph, input);
          },
          { calls: [back, graph] },
        ),
        codeAgent(back, async (input, ctx) => ctx.publish(news, input).then(() => input), { publishes: [news] }),
        codeAgent(helper, async (input) => input),
        graphAgent(graph, { state: { text: { initial: '' } }, nodes: [first, second], start: first, edges: [{ from: first, to: second }] }),
        codeAgent(first, async (input) => input),
        codeAgent(second, async (input) => input),
      ],
    });
    await ask({ text: 'x' });
    await until(() =>
      ['ingress', 'invoke_agent helper', 'serve back'].every((name) => spans.getFinishedSpans().some((span) => span.name === name)),
    );
    await until(() => spans.getFinishedSpans().some((span) => span.name === 'serve helper'));
    expect(tree(spans)).toEqual(
      [
        'ingress < -',
        'call front < ingress',
        'invoke_agent front < call front',
        'call back < invoke_agent front',
        'serve back < call back',
        'invoke_agent back < serve back',
        'call helper < invoke_agent back',
        'serve helper < call helper',
        'invoke_agent helper < serve helper',
        'call graph < invoke_agent front',
        'invoke_agent graph < call graph',
        'call first < invoke_agent graph',
        'serve first < call first',
        'invoke_agent first < serve first',
        'call second < serve first',
        'serve second < call second',
        'invoke_agent second < serve second',
      ].sort(),
    );
    expect(traceIds(spans).size).toBe(1);
    expect([find(spans, 'call back').kind, find(spans, 'serve back').kind]).toEqual([SpanKind.PRODUCER, SpanKind.CONSUMER]);
    expect(find(spans, 'serve helper').attributes[attr.topic]).toBe('news');
    expect([find(spans, 'invoke_agent first').attributes[attr.step], find(spans, 'invoke_agent second').attributes[attr.step]]).toEqual([
      1, 2,
    ]);
  });

  it('takes in spans of user code, and what is called inside them', async () => {
    const { ask, spans } = await run({
      entry: front,
      groups: [['front'], ['back']],
      parts: [
        codeAgent(
          front,
          (input, ctx) =>
            trace.getTracer('user').startActiveSpan('my work', async (span) => {
              const reply = await ctx.call(back, input);
              span.end();
              return reply;
            }),
          { calls: [back] },
        ),
        codeAgent(back, async (input) => input),
      ],
    });
    await ask({ text: 'x' });
    await until(() => spans.getFinishedSpans().some(({ name }) => name === 'ingress'));
    expect(tree(spans)).toContain('my work < invoke_agent front');
    expect(tree(spans)).toContain('call back < my work');
  });

  it('shows errors where they happened and where they went', async () => {
    const { ask, spans } = await run({
      entry: front,
      groups: [['front'], ['back']],
      parts: [
        codeAgent(front, async (input, ctx) => ctx.call(back, input), { calls: [back] }),
        codeAgent(back, async () => {
          throw new Error('broken');
        }),
      ],
    });
    await ask({ text: 'x' });
    await until(() => spans.getFinishedSpans().some(({ name }) => name === 'ingress'));
    expect(
      spans
        .getFinishedSpans()
        .map(({ name, attributes }) => [name, attributes[attr.errorType]])
        .sort(),
    ).toEqual(
      ['ingress', 'call front', 'invoke_agent front', 'call back', 'serve back', 'invoke_agent back']
        .sort()
        .map((name) => [name, 'failed']),
    );
    expect(find(spans, 'ingress').attributes[attr.outcome]).toBe('failed');
  });

  it('continues a sampled trace of the user and passes on baggage', async () => {
    let baggage: unknown;
    const { ask, spans } = await run({
      entry: front,
      groups: [['front'], ['back']],
      samplingRatio: 0,
      parts: [
        codeAgent(front, async (input, ctx) => ctx.call(back, input), { calls: [back] }),
        codeAgent(back, async (input) => {
          const { propagation, context } = await import('@opentelemetry/api');
          baggage = propagation.getBaggage(context.active())?.getEntry('tenant')?.value;
          return input;
        }),
      ],
    });
    const traceId = '0af7651916cd43dd8448eb211c80319c';
    await ask({ text: 'x' }, { traceparent: `00-${traceId}-b7ad6b7169203331-01`, baggage: 'tenant=blue' });
    await until(() => spans.getFinishedSpans().some(({ name }) => name === 'ingress'));
    expect([...traceIds(spans)]).toEqual([traceId]);
    expect(find(spans, 'ingress').parentSpanContext?.spanId).toBe('b7ad6b7169203331');
    expect(spans.getFinishedSpans().length).toBe(6);
    expect(baggage).toBe('blue');
  });

  it('is kept or not as the request id says, and the share can be changed live', async () => {
    const { ask, spans, replicas } = await run({
      entry: front,
      groups: [['front'], ['back']],
      samplingRatio: 0.5,
      parts: [codeAgent(front, async (input, ctx) => ctx.call(back, input), { calls: [back] }), codeAgent(back, async (input) => input)],
    });
    const ids = Array.from({ length: 20 }, (_, i) => `block-1-${i}`);
    for (const id of ids) await ask({ text: id }, { 'x-dmas-request': id });
    const kept = () =>
      spans
        .getFinishedSpans()
        .filter(({ name }) => name === 'ingress')
        .map(({ attributes }) => attributes[attr.requestId]);
    const expected = ids.filter((id) => sampledAt(id, 0.5));
    await until(() => kept().length >= expected.length);
    expect(kept()).toEqual(expected);
    expect(expected.length).toBeGreaterThan(0);
    expect(expected.length).toBeLessThan(20);
    expect(spans.getFinishedSpans().length).toBe(expected.length * 6);
    for (const replica of replicas) expect((await control(replica, 'PUT', '/sampling', { ratio: 0 })).status).toBe(200);
    spans.reset();
    for (const id of ids) await ask({ text: id }, { 'x-dmas-request': id });
    expect(spans.getFinishedSpans()).toEqual([]);
  });
});

describe('sampling by id', () => {
  it('keeps the asked share of ids that differ little', () => {
    for (const ratio of [0.01, 0.1, 0.5]) {
      const kept = Array.from({ length: 20_000 }, (_, i) => sampledAt(`block-7-${i}`, ratio)).filter(Boolean).length;
      expect(kept / 20_000).toBeGreaterThan(ratio * 0.8);
      expect(kept / 20_000).toBeLessThan(ratio * 1.2);
    }
  });
});
