import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { llmBackends } from '../../cli/registry.ts';
import {
  CallError,
  type CallErrorCode,
  type LlmTraits,
  type ModelFault,
  modelFaultOf,
  modelFaults,
  type PlannedModel,
} from '../../compiler/contracts/index.ts';
import type { ChatModel, LlmBackendDescriptor, SendGate } from '../../runtime/llm/backend.ts';
import { createModelServer, type ModelServer } from '../../runtime/llm/server/model-server.ts';
import { type Behaviour, type BrokenEndpoint, brokenEndpoint, urlOf } from '../runtime/llm/endpoints.ts';
import { ask, codeOf, errorOf, llmAnswers, scriptedReplies, signal, tools } from './llm-suite.ts';

const backends: readonly LlmBackendDescriptor[] = llmBackends;

const kindOf = (error: CallError) => modelFaultOf(error.value.details)?.kind;

async function withEndpoint<T>(behaviour: Parameters<typeof brokenEndpoint>[0], use: (endpoint: BrokenEndpoint) => Promise<T>): Promise<T> {
  const endpoint = await brokenEndpoint(behaviour);
  try {
    return await use(endpoint);
  } finally {
    await endpoint.close();
  }
}

type FaultRow = readonly [Behaviour, CallErrorCode, ModelFault, 'yes' | 'no'];
const inBoth = (behaviour: Behaviour, kind: ModelFault): FaultRow[] =>
  (['no', 'yes'] as const).map((streamed) => [behaviour, modelFaults[kind], kind, streamed]);
const inWhole = (behaviour: Behaviour, kind: ModelFault): FaultRow => [behaviour, modelFaults[kind], kind, 'no'];
const inStream = (behaviour: Behaviour, kind: ModelFault): FaultRow => [behaviour, modelFaults[kind], kind, 'yes'];

const faults: readonly FaultRow[] = [
  ...inBoth('busy', 'rateLimited'),
  ...inBoth('outOfQuota', 'outOfQuota'),
  ...inBoth('crashing', 'serverError'),
  ...inBoth('gatewayPage', 'serverError'),
  ...inBoth('unauthorized', 'refused'),
  ...inBoth('dying', 'unreachable'),
  ...inBoth('tooLongOpenAi', 'contextTooLong'),
  ...inBoth('tooLongVllm', 'contextTooLong'),
  ...inBoth('tooLongLlama', 'contextTooLong'),
  inStream('tooLongInStream', 'contextTooLong'),
  inWhole('dyingInBody', 'brokenOff'),
  inStream('dyingInStream', 'brokenOff'),
  inStream('dyingInCharacter', 'brokenOff'),
  inStream('endsEarly', 'brokenOff'),
  inStream('endsWithoutReason', 'brokenOff'),
  inStream('emptyStream', 'brokenOff'),
  inStream('malformedChunk', 'malformed'),
  inStream('garbage', 'malformed'),
  inStream('nullChunk', 'malformed'),
  inStream('choicesNoList', 'malformed'),
  inStream('deltaNoObject', 'malformed'),
  inStream('contentNoText', 'malformed'),
  inStream('callsNoList', 'malformed'),
  inStream('errorInStream', 'serverError'),
  inStream('busyInStream', 'rateLimited'),
  inWhole('notJson', 'malformed'),
  inWhole('noChoice', 'malformed'),
  inWhole('noObject', 'malformed'),
  inWhole('noMessage', 'malformed'),
  inWhole('textNoText', 'malformed'),
];

describe.each(backends.map((backend) => [backend.id, backend] as const))('LLM backend %s', (_id, backend) => {
  let server: ModelServer;
  let chatModel: ChatModel;
  let baseUrl: string;
  const pathOf = (traits: LlmTraits) => (traits.deployed ? '' : '/v1');

  async function connect(url: string, model = 'main', options: PlannedModel['options'] = { retries: 0 }, key?: string): Promise<ChatModel> {
    const address = backend.traits.deployed ? 'service://model-main' : url;
    return (await backend.load()).connect({ backend: backend.id, address, model, options }, `${url}${pathOf(backend.traits)}`, key);
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

  it.each(llmAnswers.map((answer) => [answer.name, answer] as const))('%s', (_name, { check }) =>
    check(chatModel, { cachedAtFirstMax: 0, cachedLostMax: 15 }),
  );

  it('fails with a message when the script calls a tool nobody offers', async () => {
    await expect(chatModel.chat(ask('script: missing', { tools }), signal())).rejects.toThrow(/teleport.*forecast, search-guides/);
  });

  it('tells refusals and unreachable endpoints apart', async () => {
    expect(await codeOf((await connect(baseUrl, 'nobody')).chat(ask('x'), signal()))).toBe('failed');
    expect(await codeOf((await connect('http://127.0.0.1:1')).chat(ask('x'), signal()))).toBe('unavailable');
  });

  it.each(faults)('turns a %s endpoint into `%s` (%s), asked for a stream: %s', async (behaviour, code, kind, streamed) => {
    await withEndpoint(behaviour, async ({ url, requests }) => {
      const error = await errorOf((await connect(url)).chat(ask('x'), signal(), streamed === 'yes' ? () => {} : undefined));
      expect([error.code, kindOf(error)]).toEqual([code, kind]);
      expect(error.message.length).toBeLessThan(2_000);
      expect(requests()).toBe(1);
    });
  });

  it.each(['leaking', 'unauthorized'] as const)('shows no key in what comes of a %s endpoint', async (behaviour) => {
    await withEndpoint(behaviour, async ({ url }) => {
      for (const emit of [undefined, () => {}]) {
        const error = await errorOf((await connect(url, 'main', { retries: 0 }, 'sk-secret')).chat(ask('x'), signal(), emit));
        expect(error.message).toContain('***');
        expect(JSON.stringify([error.value, error.message, error.stack])).not.toContain('sk-secret');
      }
    });
  });

  it.each(['recovering', 'recoveringInSeconds', 'recoveringByDate'] as const)('tries again after 429 as a %s server asks', async (how) => {
    await withEndpoint(how, async ({ url, requests }) => {
      const reply = await (await connect(url, 'main', { retries: 2 })).chat(ask('x'), signal());
      expect([reply.text, reply.attempts, requests()]).toEqual(['back again', 3, 3]);
    });
  });

  it('gives up in a storm of 429 after its last retry, and says how often it tried', async () => {
    await withEndpoint(
      (turn) => (turn < 3 ? 'recovering' : 'busy'),
      async ({ url, requests }) => {
        const error = await errorOf((await connect(url, 'main', { retries: 2 })).chat(ask('x'), signal()));
        expect(error.value).toMatchObject({ code: 'overloaded', details: { kind: 'rateLimited', status: 429, attempts: 3 } });
        expect(requests()).toBe(3);
      },
    );
  });

  it('never repeats what would not fit again, nor what was passed on already', async () => {
    for (const behaviour of ['tooLongVllm', 'outOfQuota'] as const)
      await withEndpoint(behaviour, async ({ url, requests }) => {
        await errorOf((await connect(url, 'main', { retries: 3 })).chat(ask('x'), signal()));
        expect(requests()).toBe(1);
      });
    await withEndpoint('dyingInStream', async ({ url, requests }) => {
      const pieces: string[] = [];
      const chat = (await connect(url, 'main', { retries: 2 })).chat(ask('x'), signal(), (text) => pieces.push(text));
      expect(await codeOf(chat)).toBe('unavailable');
      expect([pieces, requests()]).toEqual([['half'], 1]);
    });
  });

  it('reads what is odd but whole: split characters, calls without an index, arguments that are no text', async () => {
    const streamed = async (behaviour: Behaviour) => {
      const texts: string[] = [];
      const reply = await withEndpoint(behaviour, async ({ url }) =>
        (await connect(url)).chat(ask('x', { tools }), signal(), (text) => texts.push(text)),
      );
      expect(texts.join('')).toBe(reply.text);
      return reply;
    };
    expect((await streamed('splitCharacters')).text).toBe('dobrý den, čau 🙂');
    expect((await streamed('callsWithoutIndex')).toolCalls).toEqual([
      { id: 'a', name: 'tool-a', arguments: '{"x"' },
      { id: 'b', name: 'tool-b', arguments: '{"x":1}' },
    ]);
    expect((await streamed('argumentsAsObject')).toolCalls[0]?.arguments).toBe('{"query":"boats"}');
    // What the model wrote is for its agent to judge.
    expect((await streamed('argumentsNoJson')).toolCalls[0]?.arguments).toBe('{"query": boats');
    expect((await streamed('unknownTool')).toolCalls[0]?.name).toBe('teleport');
  });

  it('counts tokens from the text where nobody reports them, and says so; never more cached than there were', async () => {
    for (const emit of [undefined, () => {}])
      await withEndpoint('noUsage', async ({ url }) => {
        const reply = await (await connect(url)).chat(ask('y'.repeat(400)), signal(), emit);
        expect(reply).toMatchObject({ usageEstimated: true, usage: { tokensCached: 0, tokensOut: 3 } });
        expect(reply.usage.tokensIn).toBeGreaterThanOrEqual(100);
      });
    await withEndpoint('oddUsage', async ({ url }) => {
      const reply = await (await connect(url)).chat(ask('x'), signal());
      expect(reply.usage).toEqual({ tokensIn: 5, tokensCached: 5, tokensOut: 1 });
      expect(reply.usageEstimated).toBeUndefined();
    });
  });

  const stalling = 'stallTimeoutMs' in (backend.options.parse({}) as object);
  // A server of ours is started and ended with the units, and how long its queue is is what is measured: the deadline bounds it.
  it.skipIf(!stalling)('gives a silent stream up, and asks again if nothing was passed on', async () => {
    const impatient = { retries: 0, stallTimeoutMs: 150 };
    for (const behaviour of ['silent', 'stalls', 'stallsLate'] as const)
      await withEndpoint(behaviour, async ({ url }) => {
        const error = await errorOf((await connect(url, 'main', impatient)).chat(ask('x'), signal(), () => {}));
        expect([error.code, kindOf(error)]).toEqual(['unavailable', 'stalled']);
      });
    await withEndpoint('stallsOnce', async ({ url, requests }) => {
      const reply = await (await connect(url, 'main', { ...impatient, retries: 1 })).chat(ask('x'), signal(), () => {});
      expect([reply.text, reply.attempts, requests()]).toEqual(['back again', 2, 2]);
    });
    await withEndpoint('stallsLate', async ({ url, requests }) => {
      await errorOf((await connect(url, 'main', { ...impatient, retries: 2 })).chat(ask('x'), signal(), () => {}));
      expect(requests()).toBe(1);
    });
    // Half a second of nothing but comments: somebody is there.
    await withEndpoint('keepsAlive', async ({ url }) => {
      expect((await (await connect(url, 'main', impatient)).chat(ask('x'), signal(), () => {})).text).toBe('patience');
    });
  });

  it('ends a silent call at its deadline, whatever else', async () => {
    await withEndpoint('silent', async ({ url }) => {
      for (const emit of [undefined, () => {}])
        expect(await codeOf((await connect(url)).chat(ask('x'), AbortSignal.timeout(40), emit))).toBe('deadline');
    });
  });

  it('waits for a permit before every attempt, and gives each back with what the reply took', async () => {
    const log: string[] = [];
    const gate: SendGate = {
      enter: async () => {
        log.push('enter');
        return { sent: () => log.push('sent'), leave: (tokens) => log.push(`leave ${tokens}`) };
      },
    };
    await withEndpoint('recovering', async ({ url }) => {
      await (await connect(url, 'main', { retries: 2 })).chat(ask('x'), signal(), undefined, gate);
    });
    const refused = ['enter', 'sent', 'leave undefined'];
    expect(log).toEqual([...refused, ...refused, 'enter', 'sent', 'leave 10']);
    const shut: SendGate = { enter: () => Promise.reject(new CallError({ code: 'unavailable', message: 'no limiter' })) };
    await withEndpoint('silent', async ({ url, requests }) => {
      await expect((await connect(url)).chat(ask('x'), signal(), undefined, shut)).rejects.toThrow('no limiter');
      expect(requests()).toBe(0);
    });
  });
});
