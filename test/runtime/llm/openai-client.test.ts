import { createServer } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { CallError, type PlannedModel } from '../../../compiler/contracts/index.ts';
import type { ChatRequest } from '../../../runtime/llm/backend.ts';
import { openaiCompatible } from '../../../runtime/llm/openai-compatible.ts';
import { withRetries } from '../../../runtime/llm/retries.ts';
import { brokenEndpoint, urlOf } from './endpoints.ts';

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

/** Answers every request with `ok` and keeps what it was sent. */
async function recorder() {
  const seen: { url: string; authorization: string; body: Record<string, unknown> }[] = [];
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(pieces).toString('utf8'));
      seen.push({ url: request.url ?? '', authorization: request.headers.authorization ?? '', body });
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ choices: [{ message: { content: 'ok' }, finish_reason: 'stop' }] }));
    });
  });
  const url = await urlOf(server);
  cleanUps.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  return { url, seen };
}

async function connect(url: string, options: PlannedModel['options'], key?: string) {
  const backend = await openaiCompatible.load();
  return backend.connect({ backend: 'openai-compatible', address: url, model: 'gpt-x', options }, `${url}/v1`, key);
}
const request: ChatRequest = { messages: [{ role: 'user', content: 'x' }], tools: [], maxTokens: 9 };
const signal = () => new AbortController().signal;

describe('client of OpenAI-compatible endpoints', () => {
  it('sends the model’s wire name, the key and the options, and nothing that was not asked for', async () => {
    const { url, seen } = await recorder();
    await (await connect(url, {}, 'sk-1')).chat(request, signal());
    await (await connect(url, { maxTokensParameter: 'max_tokens', temperature: 0 })).chat(request, signal());
    const messages = [{ role: 'user', content: 'x' }];
    expect(seen[0]).toEqual({
      url: '/v1/chat/completions',
      authorization: 'Bearer sk-1',
      body: { model: 'gpt-x', messages, max_completion_tokens: 9, stream: false },
    });
    expect(seen[1]?.body).toEqual({ model: 'gpt-x', messages, max_tokens: 9, temperature: 0, stream: false });
    // What the agent asks for wins over the binding, and neither replaces what the request is.
    const asked = { ...request, parameters: { temperature: 0.7, tool_choice: 'required', model: 'other' } };
    await (await connect(url, { temperature: 0 })).chat(asked, signal());
    expect(seen[2]?.body).toMatchObject({ model: 'gpt-x', messages, temperature: 0.7, tool_choice: 'required' });
  });

  it('never shows the key in an error', async () => {
    const endpoint = await brokenEndpoint('unauthorized');
    cleanUps.push(endpoint.close);
    const error: unknown = await (await connect(endpoint.url, { retries: 0 }, 'sk-secret'))
      .chat(request, signal())
      .catch((reason: unknown) => reason);
    expect((error as CallError).message).toContain('wrong key ***');
    expect(JSON.stringify((error as CallError).value)).not.toContain('sk-secret');
  });

  it('does not repeat refusals', async () => {
    const endpoint = await brokenEndpoint('unauthorized');
    cleanUps.push(endpoint.close);
    await expect((await connect(endpoint.url, { retries: 3 })).chat(request, signal())).rejects.toMatchObject({ code: 'failed' });
    expect(endpoint.requests()).toBe(1);
  });
});

describe('repeating a model call', () => {
  const overloaded = (retryAfterMs: number) => new CallError({ code: 'overloaded', message: 'busy', details: { retryAfterMs } });

  it('gives up after the last retry with the last error', async () => {
    let calls = 0;
    const failing = withRetries(2, signal(), async () => {
      throw new CallError({ code: 'overloaded', message: `call ${++calls}`, details: { retryAfterMs: 1 } });
    });
    await expect(failing).rejects.toThrow('call 3');
  });

  it('ends its wait when aborted', async () => {
    const controller = new AbortController();
    const waiting = withRetries(1, controller.signal, async () => {
      setTimeout(() => controller.abort(), 5);
      throw overloaded(50_000);
    });
    await expect(waiting).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('does not wait for a server that asks for more than a minute', async () => {
    let calls = 0;
    const asked = withRetries(5, signal(), async () => {
      calls++;
      throw overloaded(3_600_000);
    });
    await expect(asked).rejects.toMatchObject({ code: 'overloaded' });
    expect(calls).toBe(1);
  });
});
