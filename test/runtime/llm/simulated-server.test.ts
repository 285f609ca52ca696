import OpenAI from 'openai';
import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { httpUrl, type Json, type PlannedService, type ProcessBinding } from '../../../compiler/contracts/index.ts';
import { engineOf } from '../../../runtime/llm/engine/options.ts';
import { simulateArrivals } from '../../../runtime/llm/engine/simulate.ts';
import { createModelServer, type ModelServer } from '../../../runtime/llm/server/model-server.ts';
import { startModelService } from '../../../runtime/llm/simulated-server.ts';
import { urlOf } from './endpoints.ts';

const started: ModelServer[] = [];
async function serve(options: { readonly [option: string]: Json }) {
  const model = createModelServer('model-main', options);
  started.push(model);
  const url = await urlOf(model.server);
  return { url, client: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: 0 }) };
}
afterEach(async () => {
  await Promise.all(started.splice(0).map((model) => model.close(0)));
});

const post = (url: string, body: unknown) =>
  fetch(`${url}/v1/chat/completions`, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });
const question = (content: string, more: object = {}) => ({ model: 'main', messages: [{ role: 'user' as const, content }], ...more });
const forecast = {
  type: 'function' as const,
  function: { name: 'forecast', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
};
const hours = { type: 'function' as const, function: { name: 'hours', parameters: { type: 'object', properties: {} } } };

describe('simulated model server and the unchanged openai package', () => {
  it('lists models', async () => {
    const { client } = await serve({ models: ['main', 'large'] });
    expect((await client.models.list()).data.map((model) => model.id)).toEqual(['main', 'large']);
    expect((await client.models.retrieve('large')).id).toBe('large');
    await expect(client.models.retrieve('other')).rejects.toMatchObject({ status: 404 });
  });

  it('chats, streams and goes through a round of tools', async () => {
    const { client } = await serve({ model: 'main' });
    const messages: ChatCompletionMessageParam[] = [{ role: 'user', content: 'city: Oslo' }];
    const first = await client.chat.completions.create({ model: 'main', messages, tools: [forecast, hours] });
    const message = first.choices[0]?.message;
    expect(first.choices[0]?.finish_reason).toBe('tool_calls');
    expect(message?.tool_calls?.map((call) => call.type === 'function' && [call.function.name, call.function.arguments])).toEqual([
      ['forecast', '{"city":"Oslo"}'],
      ['hours', '{}'],
    ]);
    if (!message) return;
    messages.push(message);
    for (const call of message.tool_calls ?? []) messages.push({ role: 'tool', tool_call_id: call.id, content: '{"sky":"clear"}' });
    const answer = await client.chat.completions.create({ model: 'main', messages, tools: [forecast, hours] });
    expect(answer.choices[0]?.message.content).toContain('sky clear');

    const stream = client.chat.completions.stream({
      model: 'main',
      messages,
      tools: [forecast, hours],
      stream_options: { include_usage: true },
    });
    const final = await stream.finalChatCompletion();
    expect(final.choices[0]?.message.content).toBe(answer.choices[0]?.message.content);
    expect(final.usage?.completion_tokens).toBe(answer.usage?.completion_tokens);
    expect(final.usage?.total_tokens).toBe((final.usage?.prompt_tokens ?? 0) + (final.usage?.completion_tokens ?? 0));
  });

  it('calls tools one by one when asked to, none when told not to, and the one that is named', async () => {
    const { client } = await serve({});
    const ask = async (more: object) => {
      const reply = await client.chat.completions.create({ ...question('city: Oslo'), tools: [forecast, hours], ...more });
      return reply.choices[0]?.message.tool_calls?.map((call) => call.type === 'function' && call.function.name) ?? [];
    };
    expect(await ask({ parallel_tool_calls: false })).toEqual(['forecast']);
    expect(await ask({ tool_choice: 'none' })).toEqual([]);
    expect(await ask({ tool_choice: { type: 'function', function: { name: 'hours' } } })).toEqual(['hours']);
  });

  it('leaves the usage chunk out unless asked for, and ends the stream with [DONE]', async () => {
    const { url } = await serve({});
    const plain = await (await post(url, question('Hello', { stream: true }))).text();
    const asked = await (await post(url, question('Hello', { stream: true, stream_options: { include_usage: true } }))).text();
    expect(plain).not.toContain('usage');
    expect(plain.trimEnd().endsWith('data: [DONE]')).toBe(true);
    const chunks = asked.split('\n\n').flatMap((line) => (line.startsWith('data: {') ? [JSON.parse(line.slice(6))] : []));
    expect(chunks.slice(0, -1).every((chunk) => chunk.usage === null && chunk.choices.length === 1)).toBe(true);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens_details: { cached_tokens: expect.any(Number) } } });
    expect(chunks.at(-1).x_dmas.queue_ms).toBeGreaterThanOrEqual(0);
    expect(chunks[0].choices[0].delta).toEqual({ role: 'assistant', content: '' });
  });
});

describe('simulated model server', () => {
  it.each([
    ['not JSON', '{', 400, null],
    ['no messages', { model: 'main', messages: [] }, 400, 'messages'],
    ['a wrong role', { model: 'main', messages: [{ role: 'robot', content: 'x' }] }, 400, 'messages.0.role'],
    [
      'a tool answer without a call',
      { model: 'main', messages: [{ role: 'tool', content: 'x', tool_call_id: 'a' }] },
      400,
      'messages.0.tool_call_id',
    ],
    ['an unknown model', question('x', { model: 'other' }), 404, 'model'],
    ['a prompt longer than the context', question('x'.repeat(40_000)), 400, 'messages'],
  ])('refuses %s in the form of OpenAI', async (_what, body, status, param) => {
    const { url } = await serve({ model: 'main', kvTokens: 4096 });
    const response = await post(url, body);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error', message: expect.any(String), param } });
  });

  it('answers 429 with a time to wait when its queue is full, and serves those it took', async () => {
    const { url } = await serve({ maxNumSeqs: 1, queueLimit: 1 });
    const responses = await Promise.all(Array.from({ length: 4 }, (_, index) => post(url, question(`Number ${index}`))));
    const statuses = responses.map((response) => response.status).sort();
    expect(statuses).toEqual([200, 200, 429, 429]);
    const refused = responses.find((response) => response.status === 429);
    expect(refused?.headers.get('retry-after')).toBe('1');
    const queued = responses
      .filter((response) => response.status === 200)
      .map((response) => Number(response.headers.get('x-dmas-queue-ms')));
    expect(Math.max(...queued)).toBeGreaterThan(Math.min(...queued));
  });

  it('frees the room of a caller that goes away', async () => {
    const { url } = await serve({ maxNumSeqs: 1, queueLimit: 1, stepFixedMs: 200 });
    const controller = new AbortController();
    const body = JSON.stringify(question('A long one'));
    const gone = fetch(`${url}/v1/chat/completions`, { method: 'POST', body, signal: controller.signal }).catch(() => 'aborted');
    await expect.poll(async () => /num_requests_running\S+ 1\b/.test(await (await fetch(`${url}/metrics`)).text())).toBe(true);
    controller.abort();
    expect(await gone).toBe('aborted');
    await expect.poll(async () => /num_requests_running\S+ 0\b/.test(await (await fetch(`${url}/metrics`)).text())).toBe(true);
  });

  it('counts with vLLM’s metric names', async () => {
    const { url } = await serve({ model: 'main' });
    const reply = (await (await post(url, question('Hello'))).json()) as OpenAI.ChatCompletion;
    const text = await (await fetch(`${url}/metrics`)).text();
    const value = (name: string) => Number(new RegExp(`^vllm:${name}\\{[^}]*\\} (\\S+)$`, 'm').exec(text)?.[1]);
    expect(value('num_requests_running')).toBe(0);
    expect(value('num_requests_waiting')).toBe(0);
    expect(value('kv_cache_usage_perc')).toBe(0);
    expect(value('prompt_tokens_total')).toBe(reply.usage?.prompt_tokens);
    expect(value('generation_tokens_total')).toBe(reply.usage?.completion_tokens);
    expect(value('time_to_first_token_seconds_count')).toBe(1);
    expect(value('time_per_output_token_seconds_sum')).toBeGreaterThan(0.002);
    const buckets = [...text.matchAll(/time_to_first_token_seconds_bucket\{[^}]*\} (\d+)/g)].map((match) => Number(match[1]));
    expect(buckets).toEqual([...buckets].sort((a, b) => a - b));
    expect(buckets.at(-1)).toBe(1);
  });

  // Wide on purpose: it finds a wrong unit or drift, not a busy machine.
  it('takes about as long as the engine predicts', async () => {
    const options = { prefixCacheTokens: 0, stepFixedMs: 4 };
    const { url } = await serve(options);
    await post(url, question('warm up'));
    const replies = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const startMs = performance.now();
        const reply = (await (await post(url, question(`Question ${index}`))).json()) as OpenAI.ChatCompletion;
        return { tookMs: performance.now() - startMs, usage: reply.usage };
      }),
    );
    const arrivals = replies.map(({ usage }) => ({
      atMs: 0,
      tokensIn: usage?.prompt_tokens ?? 0,
      tokensOut: usage?.completion_tokens ?? 0,
    }));
    const predictedMs = simulateArrivals(engineOf(options), arrivals).reduce((sum, timing) => sum + timing.totalMs, 0);
    const tookMs = replies.reduce((sum, reply) => sum + reply.tookMs, 0);
    expect(tookMs / predictedMs).toBeGreaterThan(0.9);
    expect(tookMs / predictedMs).toBeLessThan(3);
  });

  it('answers what is in flight before it closes, and does not wait for idle connections', async () => {
    const model = createModelServer('model-main', { stepFixedMs: 5 });
    const url = await urlOf(model.server);
    const answer = post(url, question('Quick'));
    await expect.poll(async () => /num_requests_running\S+ 1\b/.test(await (await fetch(`${url}/metrics`)).text())).toBe(true);
    const drainMs = 10 * 60_000;
    const closed = model.close(drainMs);
    expect((await answer).status).toBe(200);
    await closed;
  });

  it('refuses options and replies that are not valid before it starts', () => {
    expect(() => createModelServer('m', { maxNumSeqs: 0 })).toThrow(/maxNumSeqs/);
    expect(() => createModelServer('m', { maxNumSeqs: 4096 })).toThrow(/maxBatchedTokens/);
    expect(() => createModelServer('m', { replies: [{ text: 'a', when: { user: '(' } }] })).toThrow(/replies\.0\.when\.user/);
    expect(() => createModelServer('m', { replies: [{}] })).toThrow(/exactly one of/);
  });
});

describe('model service process', () => {
  const service: PlannedService = {
    id: 'model-main',
    kind: 'model',
    replicas: 1,
    resources: { vcpu: 1, memoryMb: 256 },
    options: { models: ['main'] },
  };
  const anywhere = { host: '127.0.0.1', port: 0 };
  const binding: ProcessBinding = {
    deploymentId: 'd1',
    id: 'model-main',
    replica: 0,
    instanceId: 'model-main-0-1',
    control: anywhere,
    listen: { 'service://model-main': anywhere },
    peers: {},
    otlpEndpoints: [],
    samplingRatio: 0,
    stateDir: '',
    queueLimit: 64,
    drainMs: 100,
  };
  let running: Awaited<ReturnType<typeof startModelService>>;
  beforeAll(async () => {
    running = await startModelService(service, binding);
  });
  afterAll(() => running.close());

  it('serves on the address of the binding and is ready', async () => {
    const at = running.report.listen['service://model-main'];
    if (!at) throw new Error('no address reported');
    expect((await post(httpUrl(at), question('Hello'))).status).toBe(200);
    expect((await fetch(`${httpUrl(running.report.control)}/readyz`)).status).toBe(200);
  });
});
