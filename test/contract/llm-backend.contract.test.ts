import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { llmBackends } from '../../cli/registry.ts';
import { CallError, type Json, type LlmTraits, type PlannedModel } from '../../compiler/contracts/index.ts';
import type { ChatMessage, ChatModel, ChatRequest, LlmBackendDescriptor } from '../../runtime/llm/backend.ts';
import { createModelServer, type ModelServer } from '../../runtime/llm/server/model-server.ts';
import { brokenEndpoint, urlOf } from '../runtime/llm/endpoints.ts';

const backends: readonly LlmBackendDescriptor[] = llmBackends;

const scriptedReplies: Json = [
  { when: { user: 'script: weather' }, text: 'It rains in {{user.city}}.' },
  { when: { user: 'script: call', turn: 1 }, toolCalls: [{ name: 'forecast', arguments: { city: '{{user.city}}', days: 2 } }] },
  { when: { user: 'script: missing' }, toolCalls: [{ name: 'teleport' }] },
];
const signal = () => new AbortController().signal;
const user = (content: string): ChatMessage => ({ role: 'user', content });
const ask = (content: string, more: Partial<ChatRequest> = {}): ChatRequest => ({ messages: [user(content)], tools: [], ...more });
const tools: ChatRequest['tools'] = [
  {
    name: 'forecast',
    description: 'Weather forecast for a city',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1, default: 3 } },
      required: ['city', 'days'],
    },
  },
  {
    name: 'search-guides',
    description: 'Searches guides',
    parameters: { type: 'object', properties: { query: { type: 'string' } }, required: ['query'] },
  },
];
const trip = user('{"city":"Oslo","query":"boats"}');

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CallError);
  return (error as CallError).code;
}

describe.each(backends.map((backend) => [backend.id, backend] as const))('LLM backend %s', (_id, backend) => {
  let server: ModelServer;
  let chatModel: ChatModel;
  let baseUrl: string;
  const pathOf = (traits: LlmTraits) => (traits.deployed ? '' : '/v1');

  async function connect(url: string, model = 'main', options: PlannedModel['options'] = { retries: 0 }): Promise<ChatModel> {
    const address = backend.traits.deployed ? 'service://model-main' : url;
    return (await backend.load()).connect({ backend: backend.id, address, model, options }, `${url}${pathOf(backend.traits)}`, undefined);
  }

  beforeAll(async () => {
    server = createModelServer('model-main', { models: ['main'], replies: scriptedReplies });
    baseUrl = await urlOf(server.server);
    chatModel = await connect(baseUrl);
  });
  afterAll(() => server.close(0));

  it('describes itself: every option has a default', () => {
    expect(backend.kind).toBe('llmBackend');
    expect(() => backend.options.parse({})).not.toThrow();
  });

  it('says the same twice, streamed or not', async () => {
    const request = ask('Tell me about the harbour.');
    const first = await chatModel.chat(request, signal());
    const again = await chatModel.chat(request, signal());
    const pieces: string[] = [];
    const streamed = await chatModel.chat(request, signal(), (text) => pieces.push(text));
    expect(first.text).not.toBe('');
    expect(again.text).toBe(first.text);
    expect(streamed.text).toBe(first.text);
    expect(pieces.join('')).toBe(first.text);
    expect(pieces.length).toBeGreaterThan(1);
    expect(streamed.finish).toBe('stop');
    expect(streamed.usage.tokensOut).toBe(first.usage.tokensOut);
    expect(streamed.firstChunkMs).toBeGreaterThan(0);
    expect((await chatModel.chat(ask('Tell me about the castle.'), signal())).text).not.toBe(first.text);
  });

  it('calls all tools at once, then answers from their results', async () => {
    const request: ChatRequest = { messages: [{ role: 'system', content: 'You plan trips.' }, trip], tools };
    const whole = await chatModel.chat(request, signal());
    const streamed = await chatModel.chat(request, signal(), () => {});
    expect(whole.finish).toBe('tool_calls');
    expect(whole.toolCalls.map(({ name, arguments: args }) => [name, JSON.parse(args)])).toEqual([
      ['forecast', { city: 'Oslo', days: 3 }],
      ['search-guides', { query: 'boats' }],
    ]);
    expect(streamed.toolCalls).toEqual(whole.toolCalls);
    expect(new Set(whole.toolCalls.map((call) => call.id)).size).toBe(2);

    const results: ChatMessage[] = whole.toolCalls.map((call, index) => ({
      role: 'tool',
      content: index === 0 ? '{"city":"Oslo","celsius":17}' : 'The Viking hall is open.',
      toolCallId: call.id,
    }));
    const messages: ChatMessage[] = [...request.messages, { role: 'assistant', content: '', toolCalls: whole.toolCalls }, ...results];
    const answer = await chatModel.chat({ messages, tools }, signal());
    expect(answer.finish).toBe('stop');
    expect(answer.text).toContain('celsius 17');
    expect(answer.text).toContain('Viking hall');
  });

  it('answers in the form asked for', async () => {
    const responseSchema = {
      type: 'object',
      properties: { city: { type: 'string' }, rating: { type: 'integer', minimum: 1, maximum: 5 } },
      required: ['city', 'rating'],
      additionalProperties: false,
    };
    const reply = await chatModel.chat({ messages: [trip], tools: [], responseSchema }, signal());
    const value = JSON.parse(reply.text);
    expect(value.city).toBe('Oslo');
    expect([1, 2, 3, 4, 5]).toContain(value.rating);
    expect(Object.keys(value)).toHaveLength(2);
  });

  it('follows a script', async () => {
    expect((await chatModel.chat(ask('{"note":"script: weather","city":"Bergen"}'), signal())).text).toBe('It rains in Bergen.');
    const call = await chatModel.chat(ask('{"note":"script: call","city":"Bergen"}', { tools }), signal());
    expect(call.toolCalls.map((one) => [one.name, one.arguments])).toEqual([['forecast', '{"city":"Bergen","days":2}']]);
  });

  it('fails with a message when the script calls a tool nobody offers', async () => {
    await expect(chatModel.chat(ask('script: missing', { tools }), signal())).rejects.toThrow(/teleport.*forecast, search-guides/);
  });

  it('counts tokens: more text is more, a known prefix is cached', async () => {
    const long = `Only here: ${'many words '.repeat(50)}${backend.id}`;
    const first = await chatModel.chat(ask(long), signal());
    expect(first.usage.tokensIn).toBeGreaterThan(long.length / 5);
    expect(first.usage.tokensCached).toBe(0);
    const next = await chatModel.chat(
      { messages: [user(long), { role: 'assistant', content: first.text }, user('And now?')], tools: [] },
      signal(),
    );
    // Engines cache whole blocks, 16 tokens as a rule, and may find the reply again.
    expect(next.usage.tokensCached).toBeGreaterThan(first.usage.tokensIn - 16);
    expect(next.usage.tokensIn).toBeGreaterThan(next.usage.tokensCached);
    expect(first.queueMs).toBeGreaterThanOrEqual(0);
  });

  it('stops at the token limit', async () => {
    const reply = await chatModel.chat(ask('Tell me more.', { maxTokens: 5 }), signal());
    expect(reply.finish).toBe('length');
    expect(reply.usage.tokensOut).toBe(5);
  });

  it('ends when cancelled and at the deadline, streamed or not', async () => {
    for (const emit of [undefined, () => {}]) {
      const controller = new AbortController();
      const running = chatModel.chat(ask('Tell me a long story.'), controller.signal, emit);
      setTimeout(() => controller.abort(), 15);
      expect(await codeOf(running)).toBe('cancelled');
      expect(await codeOf(chatModel.chat(ask('Tell me a long story.'), AbortSignal.timeout(15), emit))).toBe('deadline');
    }
    expect(await codeOf(chatModel.chat(ask('x'), AbortSignal.abort()))).toBe('cancelled');
  });

  it('tells refusals and unreachable endpoints apart', async () => {
    expect(await codeOf((await connect(baseUrl, 'nobody')).chat(ask('x'), signal()))).toBe('failed');
    expect(await codeOf((await connect('http://127.0.0.1:1')).chat(ask('x'), signal()))).toBe('unavailable');
  });

  it.each([
    ['busy', 'overloaded'],
    ['crashing', 'unavailable'],
    ['unauthorized', 'failed'],
    ['dying', 'unavailable'],
    ['dyingInStream', 'unavailable'],
    ['endsEarly', 'unavailable'],
    ['malformedChunk', 'failed'],
    ['errorInStream', 'unavailable'],
    ['notJson', 'failed'],
    ['noChoice', 'failed'],
  ] as const)('turns a %s endpoint into `%s`', async (behaviour, code) => {
    const endpoint = await brokenEndpoint(behaviour);
    try {
      const emit = ['dyingInStream', 'endsEarly', 'malformedChunk', 'errorInStream'].includes(behaviour) ? () => {} : undefined;
      expect(await codeOf((await connect(endpoint.url)).chat(ask('x'), signal(), emit))).toBe(code);
    } finally {
      await endpoint.close();
    }
  });

  it('tries again after 429 as the server asks, and not after text was passed on', async () => {
    const recovering = await brokenEndpoint('recovering');
    const dying = await brokenEndpoint('dyingInStream');
    try {
      const reply = await (await connect(recovering.url, 'main', { retries: 2 })).chat(ask('x'), signal());
      expect(reply.text).toBe('back again');
      expect(recovering.requests()).toBe(3);
      const pieces: string[] = [];
      const repeated = (await connect(dying.url, 'main', { retries: 2 })).chat(ask('x'), signal(), (text) => pieces.push(text));
      expect(await codeOf(repeated)).toBe('unavailable');
      expect(pieces).toEqual(['half']);
      expect(dying.requests()).toBe(1);
    } finally {
      await recovering.close();
      await dying.close();
    }
  });

  it('serves fifty callers at once, each with its own answer', async () => {
    const requests = Array.from({ length: 50 }, (_, index) => ask(`Question number ${index}`));
    const replies = await Promise.all(
      requests.map((request, index) => chatModel.chat(request, signal(), index % 2 === 0 ? () => {} : undefined)),
    );
    replies.forEach((reply, index) => {
      expect(reply.text).toContain(`Question number ${index}`);
    });
  });
});
