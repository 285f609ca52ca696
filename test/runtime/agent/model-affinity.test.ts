import { describe, expect, it } from 'vitest';
import type { Peers, PlannedModel } from '../../../compiler/contracts/index.ts';
import { Cancellation } from '../../../runtime/agent/cancellation.ts';
import { Models } from '../../../runtime/agent/models.ts';
import type { Scope } from '../../../runtime/agent/scope.ts';
import { emptyClock } from '../../../runtime/agent/scope.ts';
import { type Tracing, untraced } from '../../../runtime/agent/tracing.ts';
import type { ChatRequest, LlmBackend } from '../../../runtime/llm/backend.ts';

const address = 'service://model-main';
const peers: Peers = {
  [address]: [0, 1, 2].map((replica) => ({ replica, instanceId: `m.${replica}`, at: { host: '127.0.0.1', port: 9_000 + replica } })),
};
const scope = (sessionId: string, requestId = 'r'): Scope => ({
  requestId,
  requestClass: undefined,
  sessionId,
  origin: undefined,
  cancellation: new Cancellation(new AbortController().signal, performance.now() + 10_000),
  ancestors: ['desk', 'writer'],
  trace: untraced,
  clock: emptyClock,
});
const asking: ChatRequest = { messages: [], tools: [] };

function models(planned: Pick<PlannedModel, 'address' | 'options'>) {
  const asked: { readonly url: string; readonly request: ChatRequest }[] = [];
  const backend: LlmBackend = {
    connect: (_, url) => ({
      chat: async (request) => {
        asked.push({ url, request });
        return { text: '', toolCalls: [], finish: 'stop', usage: { tokensIn: 0, tokensCached: 0, tokensOut: 0 }, firstChunkMs: 0 };
      },
    }),
  };
  const main: PlannedModel = { backend: 'replay', model: 'main', ...planned };
  const made = new Models({ models: { main } }, new Map([['replay', backend]]), { start: () => undefined } as unknown as Tracing);
  made.update(peers);
  return { made, asked };
}

describe('which replica of a model is asked', () => {
  it('always the same one for a session where the model says so, and different ones for different sessions', async () => {
    const { made, asked } = models({ address, options: { affinity: 'session' } });
    const sessions = Array.from({ length: 30 }, (_, index) => `s${index}`);
    for (const session of [...sessions, ...sessions]) await made.chat('main', asking, scope(session));
    const urls = asked.map(({ url }) => url);
    expect(urls.slice(30)).toEqual(urls.slice(0, 30));
    expect(new Set(urls).size).toBe(3);
  });

  it('servers of ours are told who asks; endpoints of others are not', async () => {
    const ours = models({ address, options: {} });
    await ours.made.chat('main', asking, scope('s', 'request-7'));
    expect(ours.asked[0]?.request.asker).toEqual({ agent: 'writer', conversation: 'request-7' });
    const theirs = models({ address: 'https://api.example/v1', options: {} });
    await theirs.made.chat('main', asking, scope('s'));
    expect(theirs.asked[0]?.request.asker).toBeUndefined();
  });
});
