import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpUrl, type Json, type PlannedService, type ProcessBinding } from '../../../../compiler/contracts/index.ts';
import { createLlamaCppServer, type LlamaCppServer } from '../../../../runtime/llm/llama-cpp/http-server.ts';
import { randomModelPieces } from '../../../../runtime/llm/llama-cpp/random-model.ts';
import { startModelService } from '../../../../runtime/llm/llama-cpp-server.ts';
import { urlOf } from '../endpoints.ts';
import { hasLlama } from './support.ts';

interface Served {
  readonly url: string;
  readonly client: OpenAI;
  readonly close: LlamaCppServer['close'];
}

async function serve(options: { readonly [option: string]: Json }): Promise<Served> {
  const model = await createLlamaCppServer('model-main', { contextTokens: 512, ...options });
  const url = await urlOf(model.server);
  return { url, client: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: 0 }), close: model.close };
}

type Completion = OpenAI.ChatCompletion & {
  readonly x_dmas: { readonly queue_ms: number; readonly prefill_ms: number; readonly decode_ms: number };
};
const user = (content: string) => ({ role: 'user' as const, content });
const ask = (client: OpenAI, content: string, more: object = {}) =>
  client.chat.completions.create({ model: 'main', messages: [user(content)], ...more }) as unknown as Promise<Completion>;
const textOf = (reply: OpenAI.ChatCompletion | undefined) => reply?.choices[0]?.message.content ?? '';
const cachedIn = (reply: OpenAI.ChatCompletion) => reply.usage?.prompt_tokens_details?.cached_tokens;

/** The value of one sample, whatever its labels. */
async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `) || one.startsWith(`${name}{`));
  return Number(line?.split(' ').at(-1));
}
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 2));
}

const forecast = {
  type: 'function' as const,
  function: {
    name: 'forecast',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1, maximum: 5 } },
      required: ['city', 'days'],
    },
  },
};
const rating = {
  type: 'json_schema' as const,
  json_schema: {
    name: 'rating',
    schema: {
      type: 'object',
      properties: { city: { type: 'string' }, stars: { enum: [1, 2, 3] }, tags: { type: 'array', items: { type: 'string' } } },
      required: ['city', 'stars', 'tags'],
    },
  },
};

describe.skipIf(!hasLlama)('llama.cpp behind the unchanged openai package', () => {
  let served: Served;
  beforeAll(async () => {
    served = await serve({
      model: 'main',
      slots: 4,
      replies: [{ when: { user: 'script' }, text: 'It rains in {{user.city}}.' }],
    });
  });
  afterAll(() => served.close(0));

  it('lists its model and is healthy', async () => {
    expect((await served.client.models.list()).data.map(({ id }) => id)).toEqual(['main']);
    await expect(served.client.models.retrieve('other')).rejects.toMatchObject({ status: 404 });
    await expect(ask(served.client, 'x', { model: 'other' })).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
    expect((await fetch(`${served.url}/health`)).status).toBe(200);
  });

  it('says the same whole and streamed, one chunk a token', async () => {
    const whole = await ask(served.client, 'Tell me about the harbour.');
    const chunks = [];
    for await (const chunk of await served.client.chat.completions.create({
      model: 'main',
      messages: [user('Tell me about the harbour.')],
      stream: true,
      stream_options: { include_usage: true },
    })) {
      chunks.push(chunk);
    }
    expect(textOf(whole)).toContain('harbour');
    expect(whole.choices[0]?.finish_reason).toBe('stop');
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(textOf(whole));
    const last = chunks.at(-1) as unknown as Completion;
    expect(last.usage?.completion_tokens).toBe(whole.usage?.completion_tokens);
    expect(last.x_dmas.decode_ms).toBeGreaterThan(0);
    // The role, the tokens, the end and the usage.
    expect(Math.abs(chunks.length - 3 - (whole.usage?.completion_tokens ?? 0))).toBeLessThanOrEqual(1);
  });

  it('follows a script', async () => {
    expect(textOf(await ask(served.client, '{"note":"script","city":"Bergen"}'))).toBe('It rains in Bergen.');
  });

  it('calls tools with what is known, then answers from their results, all of it decoded by the engine', async () => {
    const first = await ask(served.client, 'city: Oslo', { tools: [forecast] });
    const message = first.choices[0]?.message;
    expect(first.choices[0]?.finish_reason).toBe('tool_calls');
    const call = message?.tool_calls?.[0];
    expect(call?.type === 'function' && JSON.parse(call.function.arguments)).toMatchObject({ city: 'Oslo' });
    expect(first.usage?.completion_tokens).toBeGreaterThan(5);
    const messages = [user('city: Oslo'), message, { role: 'tool', tool_call_id: call?.id, content: '{"sky":"clear"}' }] as never;
    const answer = await served.client.chat.completions.create({ model: 'main', messages, tools: [forecast] });
    expect(textOf(answer)).toContain('sky clear');
    // Tools, question and the call itself were there already.
    const before = (first.usage?.prompt_tokens ?? 0) + (first.usage?.completion_tokens ?? 0);
    expect(cachedIn(answer)).toBeGreaterThanOrEqual(before - 8);
  });

  it('is as long as asked', async () => {
    const cut = await ask(served.client, 'Tell me more.', { max_tokens: 5 });
    expect([cut.usage?.completion_tokens, cut.choices[0]?.finish_reason]).toEqual([5, 'length']);
    const drawn = await ask(served.client, 'Tell me more.', { max_tokens: 150, ignore_eos: true });
    expect([drawn.usage?.completion_tokens, drawn.choices[0]?.finish_reason]).toEqual([150, 'length']);
    const least = await ask(served.client, 'Tell me more.', { min_tokens: 140 });
    expect([least.usage?.completion_tokens, least.choices[0]?.finish_reason]).toEqual([140, 'stop']);
  });

  it('computes only what a conversation adds, in the slot that knows it', async () => {
    const question = `Only here: ${'many words '.repeat(30)}`;
    const first = await ask(served.client, question);
    expect(cachedIn(first)).toBeLessThan(10);
    await Promise.all(['Other one', 'Other two', 'Other three'].map((text) => ask(served.client, text)));
    const messages = [user(question), { role: 'assistant' as const, content: textOf(first) }, user('And now?')];
    const next = await served.client.chat.completions.create({ model: 'main', messages });
    // The last token of a reply is never computed: nothing follows it.
    const held = (first.usage?.prompt_tokens ?? 0) + (first.usage?.completion_tokens ?? 0) - 1;
    expect(cachedIn(next)).toBe(held);
    const again = await ask(served.client, question);
    expect(cachedIn(again)).toBe((first.usage?.prompt_tokens ?? 0) - 1);
  });

  it('serves more callers than slots, each with its own answer, several in one batch', async () => {
    const [stepsBefore, tokensBefore] = [
      await metric(served.url, 'llamacpp:n_decode_total'),
      await metric(served.url, 'vllm:generation_tokens_total'),
    ];
    const alone = await ask(served.client, 'Question number 3');
    const [stepsAlone, tokensAlone] = [
      await metric(served.url, 'llamacpp:n_decode_total'),
      await metric(served.url, 'vllm:generation_tokens_total'),
    ];
    const replies = await Promise.all(Array.from({ length: 12 }, (_, index) => ask(served.client, `Question number ${index}`)));
    const [steps, tokens] = [await metric(served.url, 'llamacpp:n_decode_total'), await metric(served.url, 'vllm:generation_tokens_total')];
    for (const [index, reply] of replies.entries()) expect(textOf(reply)).toContain(`Question number ${index}`);
    expect(textOf(replies[3])).toBe(textOf(alone));
    expect(tokensAlone - tokensBefore).toBe(stepsAlone - stepsBefore);
    expect(tokens - tokensAlone).toBeGreaterThan(2 * (steps - stepsAlone));
    expect(replies.filter((reply) => reply.x_dmas.queue_ms > 5).length).toBeGreaterThan(0);
  });

  it('stops computing for a client that has gone', async () => {
    const before = await metric(served.url, 'vllm:generation_tokens_total');
    const controller = new AbortController();
    const gone = served.client.chat.completions.create(
      { model: 'main', messages: [user('Tell me a long story.')], max_tokens: 450, ...({ ignore_eos: true } as object) },
      { signal: controller.signal },
    );
    await until(async () => (await metric(served.url, 'llamacpp:requests_processing')) === 1);
    controller.abort();
    await expect(gone).rejects.toThrow(/abort/i);
    await until(async () => (await metric(served.url, 'llamacpp:requests_processing')) === 0);
    expect((await metric(served.url, 'vllm:generation_tokens_total')) - before).toBeLessThan(450);
    expect(textOf(await ask(served.client, 'Still there?'))).not.toBe('');
  });

  it('refuses what does not fit its context, with the code OpenAI has for it', async () => {
    await expect(ask(served.client, 'word '.repeat(600))).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
    const full = await ask(served.client, 'word '.repeat(220), { max_tokens: 450, ignore_eos: true });
    expect([full.usage?.total_tokens, full.choices[0]?.finish_reason]).toEqual([512, 'length']);
    await expect(ask(served.client, 'x', { temperature: 'hot' })).rejects.toMatchObject({ status: 400, param: 'temperature' });
  });

  it('shows its state under the names of llama.cpp and of vLLM', async () => {
    const text = await (await fetch(`${served.url}/metrics`)).text();
    for (const name of ['llamacpp:prompt_tokens_total', 'llamacpp:tokens_predicted_total', 'llamacpp:kv_cache_usage_ratio']) {
      expect(await metric(served.url, name)).toBeGreaterThan(0);
    }
    expect(await metric(served.url, 'llamacpp:requests_deferred')).toBe(0);
    expect(await metric(served.url, 'vllm:prefix_cache_hits_total')).toBeGreaterThan(0);
    const finished = await metric(served.url, 'vllm:e2e_request_latency_seconds_count');
    expect(finished).toBeGreaterThan(10);
    expect(await metric(served.url, 'vllm:time_to_first_token_seconds_count')).toBe(finished);
    // Every sample is of a metric that was introduced.
    const introduced = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
    const samples = [...text.matchAll(/^([a-z:_]+)[ {]/gm)].map(([, name]) => name?.replace(/_(bucket|sum|count)$/, ''));
    expect(samples.filter((name) => !introduced.has(name))).toEqual([]);
  });
});

describe.skipIf(!hasLlama)('a model that speaks for itself', () => {
  let served: Served;
  beforeAll(async () => {
    served = await serve({ text: 'model', slots: 2, queueLimit: 1, temperature: 0.8 });
  });
  afterAll(() => served.close(0));

  it('is the same for a seed, and readable', async () => {
    const said = await ask(served.client, 'Hello', { max_tokens: 30, seed: 4 });
    expect(textOf(said)).toMatch(/^[a-z ]+$/);
    expect(textOf(await ask(served.client, 'Hello', { max_tokens: 30, seed: 4 }))).toBe(textOf(said));
    expect(textOf(await ask(served.client, 'Hello', { max_tokens: 30, seed: 5 }))).not.toBe(textOf(said));
    expect(said.usage?.completion_tokens).toBe(30);
  });

  it('is held to schemas and tools by a grammar', async () => {
    const value = JSON.parse(textOf(await ask(served.client, 'Rate it', { response_format: rating })));
    expect(Object.keys(value).sort()).toEqual(['city', 'stars', 'tags']);
    expect([1, 2, 3]).toContain(value.stars);
    let streamed = '';
    for await (const chunk of await served.client.chat.completions.create({
      model: 'any',
      messages: [user('Rate it')],
      response_format: rating,
      stream: true,
    }))
      streamed += chunk.choices[0]?.delta.content ?? '';
    expect(JSON.parse(streamed)).toEqual(value);
    const [call] = (await ask(served.client, 'x', { tools: [forecast] })).choices[0]?.message.tool_calls ?? [];
    const given = call?.type === 'function' ? JSON.parse(call.function.arguments) : {};
    expect([typeof given.city, [1, 2, 3, 4, 5].includes(given.days)]).toEqual(['string', true]);
  });

  it('says when its queue is full', async () => {
    const options = { max_tokens: 120, ignore_eos: true };
    const busy = [1, 2, 3].map((number) => ask(served.client, `Number ${number}`, options));
    await until(async () => (await metric(served.url, 'llamacpp:requests_deferred')) === 1);
    await expect(ask(served.client, 'One too many')).rejects.toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
    expect((await Promise.all(busy)).map((reply) => reply.usage?.completion_tokens)).toEqual([120, 120, 120]);
  });
});

describe.skipIf(!hasLlama)('a GGUF file of somebody else', () => {
  let folder: string;
  let served: Served;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dmas-gguf-'));
    const shape = { layers: 1, width: 64, feedForward: 96, heads: 2, keyValueHeads: 1, vocabulary: 2048, contextTokens: 2048 };
    const template = '{% for m in messages %}<|im_start|>{{m.role}}\n{{m.content}}<|im_end|>\n{% endfor %}<|im_start|>assistant\n';
    const weights = join(folder, 'other.gguf');
    writeFileSync(weights, Buffer.concat(randomModelPieces('other', shape, 9, { 'tokenizer.chat_template': { string: template } })));
    served = await serve({ weights, slots: 1 });
  });
  afterAll(async () => {
    await served.close(0);
    rmSync(folder, { recursive: true });
  });

  it('is asked by its own chat template and may choose between tools and an answer', async () => {
    const plain = await ask(served.client, 'Hello', { max_tokens: 10 });
    expect(plain.usage?.completion_tokens).toBe(10);
    // The marks of the template are in the prompt: more tokens than our own form has.
    expect(plain.usage?.prompt_tokens).toBeGreaterThan(20);
    const reply = await ask(served.client, 'x', { tools: [forecast], max_tokens: 300 });
    const [choice] = reply.choices;
    expect(choice?.message.tool_calls?.length === 1 || textOf(reply) !== '' || choice?.finish_reason === 'length').toBe(true);
  });
});

describe.skipIf(!hasLlama)('the process of a llama.cpp model', () => {
  it('listens where the binding says and ends', async () => {
    const service: PlannedService = {
      id: 'model-main',
      kind: 'model',
      replicas: 1,
      resources: { vcpu: 1, memoryMb: 256 },
      options: { backend: 'llama-cpp', model: 'main', slots: 1, contextTokens: 256 },
    };
    const binding = {
      listen: { 'service://model-main': { host: '127.0.0.1', port: 0 } },
      control: { host: '127.0.0.1', port: 0 },
      peers: {},
      drainMs: 100,
    } as unknown as ProcessBinding;
    const started = await startModelService(service, binding);
    const at = started.report.listen['service://model-main'];
    if (at === undefined) throw new Error('nothing listens');
    const url = httpUrl(at);
    expect((await fetch(`${url}/health`)).status).toBe(200);
    await started.close();
    await expect(fetch(`${url}/health`)).rejects.toThrow();
  });
});

describe('options of llama.cpp', () => {
  it('are refused with their names', async () => {
    await expect(createLlamaCppServer('m', { slots: 0 })).rejects.toThrow(/slots/);
    await expect(createLlamaCppServer('m', { slots: 8, batchTokens: 4 })).rejects.toThrow(/batchTokens: 4 is less than slots: 8/);
    await expect(createLlamaCppServer('m', { weights: 'mine.gguf' })).rejects.toThrow(/absolute path/);
    await expect(createLlamaCppServer('m', { maxNumSeqs: 0 })).rejects.toThrow(/slots/);
    await expect(createLlamaCppServer('m', { contextTokens: 1e9 })).rejects.toThrow(/contextTokens/);
  });

  it.skipIf(!hasLlama)('that name a file which is no model are refused with a reason', async () => {
    await expect(createLlamaCppServer('m', { weights: import.meta.filename })).rejects.toThrow(/cannot load .*server\.test\.ts/);
  });
});
