import { expect } from 'vitest';
import { CallError, type Json } from '../../compiler/contracts/index.ts';
import type { ChatMessage, ChatModel, ChatRequest } from '../../runtime/llm/backend.ts';

export const scriptedReplies: Json = [
  { when: { user: 'script: weather' }, text: 'It rains in {{user.city}}.' },
  { when: { user: 'script: call', turn: 1 }, toolCalls: [{ name: 'forecast', arguments: { city: '{{user.city}}', days: 2 } }] },
  { when: { user: 'script: missing' }, toolCalls: [{ name: 'teleport' }] },
];
export const signal = () => new AbortController().signal;
export const user = (content: string): ChatMessage => ({ role: 'user', content });
export const ask = (content: string, more: Partial<ChatRequest> = {}): ChatRequest => ({ messages: [user(content)], tools: [], ...more });
export const tools: ChatRequest['tools'] = [
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

export async function errorOf(call: Promise<unknown>): Promise<CallError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(CallError);
  return error as CallError;
}
export const codeOf = async (call: Promise<unknown>) => (await errorOf(call)).code;
export const askedTwice = 'Tell me about the harbour.';
export const askedOnce = 'Tell me about the castle.';
export const saysTheSame = 'says the same twice, streamed or not';
/** The reply to it takes far longer than what it is given. */
export const cancelled = 'Tell me a long story.';

const streamTriesMax = 5;

export interface CachingTraits {
  /** Most tokens of a prompt nobody has sent before that may be found: a header that all of them have. */
  readonly cachedAtFirstMax: number;
  /** Most tokens of a prompt that its continuation may not find: less than a block, or those never computed. */
  readonly cachedLostMax: number;
}

/** One thing that holds of the answers of every model that follows `scriptedReplies`, whatever serves it. */
export interface LlmAnswer {
  readonly name: string;
  check(chatModel: ChatModel, caching: CachingTraits): Promise<void>;
}

export const llmAnswers: readonly LlmAnswer[] = [
  {
    name: saysTheSame,
    check: async (chatModel) => {
      const request = ask(askedTwice);
      const first = await chatModel.chat(request, signal());
      const again = await chatModel.chat(request, signal());
      let pieces: string[] = [];
      let streamed = await chatModel.chat(request, signal(), (text) => pieces.push(text));
      // A server that a busy machine has kept waiting sends what is due by then at once: one that streams does so sometimes.
      for (let tries = 1; pieces.length === 1 && tries < streamTriesMax; tries++) {
        pieces = [];
        streamed = await chatModel.chat(request, signal(), (text) => pieces.push(text));
      }
      expect(first.text).not.toBe('');
      expect(again.text).toBe(first.text);
      expect(streamed.text).toBe(first.text);
      expect(pieces.join('')).toBe(first.text);
      expect(pieces.length).toBeGreaterThan(1);
      expect(streamed.finish).toBe('stop');
      expect(streamed.usage.tokensOut).toBe(first.usage.tokensOut);
      expect(streamed.firstChunkMs).toBeGreaterThan(0);
      expect((await chatModel.chat(ask(askedOnce), signal())).text).not.toBe(first.text);
    },
  },
  {
    name: 'calls all tools at once, then answers from their results',
    check: async (chatModel) => {
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
    },
  },
  {
    name: 'answers in the form asked for',
    check: async (chatModel) => {
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
    },
  },
  {
    name: 'follows a script',
    check: async (chatModel) => {
      expect((await chatModel.chat(ask('{"note":"script: weather","city":"Bergen"}'), signal())).text).toBe('It rains in Bergen.');
      const call = await chatModel.chat(ask('{"note":"script: call","city":"Bergen"}', { tools }), signal());
      expect(call.toolCalls.map((one) => [one.name, one.arguments])).toEqual([['forecast', '{"city":"Bergen","days":2}']]);
    },
  },
  {
    name: 'counts tokens: more text is more, a known prefix is cached',
    check: async (chatModel, { cachedAtFirstMax, cachedLostMax }) => {
      const long = `Only here: ${'many words '.repeat(50)}`;
      const first = await chatModel.chat(ask(long), signal());
      expect(first.usage.tokensIn).toBeGreaterThan(long.length / 5);
      expect(first.usage.tokensCached).toBeLessThanOrEqual(cachedAtFirstMax);
      const next = await chatModel.chat(
        { messages: [user(long), { role: 'assistant', content: first.text }, user('And now?')], tools: [] },
        signal(),
      );
      // Engines cache whole blocks, 16 tokens as a rule, and may find the reply again.
      expect(next.usage.tokensCached).toBeGreaterThanOrEqual(first.usage.tokensIn - cachedLostMax);
      expect(next.usage.tokensIn).toBeGreaterThan(next.usage.tokensCached);
      expect(first.queueMs).toBeGreaterThanOrEqual(0);
    },
  },
  {
    name: 'stops at the token limit',
    check: async (chatModel) => {
      const reply = await chatModel.chat(ask('Tell me more.', { maxTokens: 5 }), signal());
      expect(reply.finish).toBe('length');
      expect(reply.usage.tokensOut).toBe(5);
    },
  },
  {
    name: 'ends when cancelled and at the deadline, streamed or not',
    check: async (chatModel) => {
      for (const emit of [undefined, () => {}]) {
        const controller = new AbortController();
        const running = chatModel.chat(ask(cancelled), controller.signal, emit);
        setTimeout(() => controller.abort(), 15);
        expect(await codeOf(running)).toBe('cancelled');
        expect(await codeOf(chatModel.chat(ask(cancelled), AbortSignal.timeout(15), emit))).toBe('deadline');
      }
      expect(await codeOf(chatModel.chat(ask('x'), AbortSignal.abort()))).toBe('cancelled');
    },
  },
  {
    name: 'serves fifty callers at once, each with its own answer',
    check: async (chatModel) => {
      const requests = Array.from({ length: 50 }, (_, index) => ask(`Question number ${index}`));
      const replies = await Promise.all(
        requests.map((request, index) => chatModel.chat(request, signal(), index % 2 === 0 ? () => {} : undefined)),
      );
      replies.forEach((reply, index) => {
        expect(reply.text).toContain(`Question number ${index}`);
      });
    },
  },
];
