import { afterAll, describe, expect, it } from 'vitest';
import type { PlannedModel } from '../../../compiler/contracts/index.ts';
import { attr } from '../../../compiler/contracts/trace-attributes.ts';
import { Cancellation } from '../../../runtime/agent/cancellation.ts';
import { Models } from '../../../runtime/agent/models.ts';
import { emptyClock, type Scope } from '../../../runtime/agent/scope.ts';
import { type Tracing, untraced } from '../../../runtime/agent/tracing.ts';
import type { ChatReply, ChatRequest, LlmBackend } from '../../../runtime/llm/backend.ts';
import { modelFault } from '../../../runtime/llm/openai-errors.ts';

const planned = (pool: string): PlannedModel => ({ backend: 'x', address: `http://${pool}/v1`, model: `wire-${pool}`, options: {}, pool });
const scopeOf = (...ancestors: string[]): Scope => ({
  requestId: 'r',
  requestClass: undefined,
  sessionId: 's',
  origin: undefined,
  cancellation: new Cancellation(new AbortController().signal, performance.now() + 10_000),
  ancestors,
  trace: untraced,
  clock: emptyClock,
});
const asking: ChatRequest = { messages: [{ role: 'user', content: 'hello there' }], tools: [] };
const answered: ChatReply = {
  text: 'ok',
  toolCalls: [],
  finish: 'stop',
  usage: { tokensIn: 40, tokensCached: 0, tokensOut: 2 },
  firstChunkMs: 1,
};

/** Spans as they end: attributes alone. */
function unit(reply: () => Promise<ChatReply>) {
  const asked: string[] = [];
  let connections = 0;
  const spans: Record<string, unknown>[] = [];
  const backend: LlmBackend = {
    connect: (_, url) => {
      connections++;
      return {
        chat: async () => {
          asked.push(url);
          return reply();
        },
      };
    },
  };
  const span = () => {
    const attributes: Record<string, unknown> = {};
    const end = () => spans.push(attributes);
    const set = (more: object) => Object.assign(attributes, more);
    return {
      span: { setAttributes: set, setAttribute: (k: string, v: unknown) => set({ [k]: v }), setStatus: () => {}, end },
      trace: untraced,
    };
  };
  const own = { writer: { main: planned('writers') }, critic: { main: planned('writers') }, judge: { main: planned('large') } };
  const models = new Models({ models: { main: planned('shared') }, agentModels: own }, new Map([['x', backend]]), {
    start: span,
  } as unknown as Tracing);
  afterAll(() => models.close());
  return { models, asked, spans, connections: () => connections };
}

describe('the models of a unit', () => {
  it('are those of the agent at work: its own pool before the shared one, connected to once', async () => {
    const { models, asked, spans, connections } = unit(async () => answered);
    for (const agent of ['desk', 'writer', 'critic', 'judge']) await models.chat('main', asking, scopeOf('desk', agent));
    expect(asked).toEqual(['http://shared/v1', 'http://writers/v1', 'http://writers/v1', 'http://large/v1']);
    expect(connections()).toBe(3);
    expect(spans.map((each) => each[attr.pool])).toEqual(['shared', 'writers', 'writers', 'large']);
    expect(spans.map((each) => each[attr.requestModel])).toEqual(['main', 'main', 'main', 'main']);
    const direct = (agent: string | undefined, name: string) =>
      models.direct({ asked: name, agent, parts: [], maxTokens: undefined }, async ({ url }) => url);
    expect(await direct('judge', 'gpt-of-the-user')).toBe('http://large/v1');
    expect(await direct('judge', 'main')).toBe('http://large/v1');
    expect(await direct(undefined, 'main')).toBe('http://shared/v1');
  });

  it('tell of a call how often it was sent, what went wrong, and which prefixes its prompt has', async () => {
    const good = unit(async () => ({ ...answered, attempts: 3, usageEstimated: true }));
    await good.models.chat('main', asking, scopeOf('desk'));
    expect(good.spans[0]).toMatchObject({ [attr.attempt]: 3, [attr.usageEstimated]: true });
    expect(good.spans[0]?.[attr.prefix]).toMatch(/^[0-9a-f]{12}:40$/);
    expect(JSON.stringify(good.spans)).not.toContain('hello');
    const bad = unit(() => Promise.reject(modelFault('stalled', 'silent')));
    await expect(bad.models.chat('main', asking, scopeOf('desk'))).rejects.toMatchObject({ code: 'unavailable' });
    expect(bad.spans[0]).toMatchObject({ [attr.modelFault]: 'stalled', [attr.errorType]: 'unavailable', [attr.pool]: 'shared' });
  });
});
