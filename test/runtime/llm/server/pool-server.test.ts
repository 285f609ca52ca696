import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import type { Json } from '../../../../compiler/contracts/index.ts';
import { createModelServer, type ModelServer } from '../../../../runtime/llm/server/model-server.ts';
import { urlOf } from '../endpoints.ts';
import { readMetricsText, type TextFamily } from './metrics-text.ts';

const started: ModelServer[] = [];
async function serve(options: { readonly [option: string]: Json }) {
  const model = createModelServer('model-main', options);
  started.push(model);
  const url = await urlOf(model.server);
  const metrics = async () => readMetricsText(await (await fetch(`${url}/metrics`)).text());
  return { url, metrics, client: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: 0 }) };
}
afterEach(async () => {
  await Promise.all(started.splice(0).map((model) => model.close(0)));
});

const ask = (content: string, more: object = {}) => ({ model: 'main', messages: [{ role: 'user' as const, content }], ...more });
const metric = (families: ReadonlyMap<string, TextFamily>, name: string, labels: { readonly [label: string]: string } = {}) =>
  families
    .get(name.replace(/_(count|sum|bucket)$/, ''))
    ?.samples.find((sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    ?.value ??
  families.get(name)?.samples.find((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))?.value;
const sumOf = (families: ReadonlyMap<string, TextFamily>, name: string) =>
  (families.get(name)?.samples ?? []).reduce((sum, { value }) => sum + value, 0);

describe('a pool behind one server', () => {
  it('says of each engine what vLLM says of it', async () => {
    const { client, metrics } = await serve({ model: 'main', engineReplicas: 2, router: 'round-robin' });
    const replies = await Promise.all(['One', 'Two', 'Three', 'Four'].map((text) => client.chat.completions.create(ask(text))));
    const families = await metrics();
    for (const engine of ['0', '1']) {
      const of = (name: string, more = {}) => metric(families, `vllm:${name}`, { engine, ...more });
      expect(of('num_requests_running')).toBe(0);
      expect(of('num_requests_waiting')).toBe(0);
      expect(of('kv_cache_usage_perc')).toBe(0);
      expect(of('num_preemptions_total')).toBe(0);
      expect(of('request_success_total', { finished_reason: 'stop' })).toBe(2);
      expect(of('request_success_total', { finished_reason: 'abort' })).toBe(0);
      for (const name of [
        'time_to_first_token',
        'e2e_request_latency',
        'request_queue_time',
        'request_prefill_time',
        'request_decode_time',
      ])
        expect(of(`${name}_seconds_count`)).toBe(2);
      expect(families.get('vllm:cache_config_info')?.samples[Number(engine)]?.labels).toMatchObject({
        block_size: '16',
        num_gpu_blocks: '16384',
      });
    }
    const tokens = (count: (usage: OpenAI.CompletionUsage) => number) =>
      replies.reduce((sum, { usage }) => sum + (usage === undefined ? 0 : count(usage)), 0);
    const out = tokens((usage) => usage.completion_tokens);
    expect(sumOf(families, 'vllm:prompt_tokens_total')).toBe(tokens((usage) => usage.prompt_tokens));
    expect(sumOf(families, 'vllm:generation_tokens_total')).toBe(out);
    // A gap for each token but the first of each reply; and a step's tokens are the prompts' and all replies' but one each.
    const counted = (name: string) => ['0', '1'].reduce((sum, engine) => sum + (metric(families, name, { engine }) ?? 0), 0);
    expect(counted('vllm:inter_token_latency_seconds_count')).toBe(out - 4);
    expect(counted('vllm:iteration_tokens_total_sum')).toBe(tokens((usage) => usage.prompt_tokens) + out - 4);
    for (const [name, { help }] of families) expect([name, help]).toEqual([name, expect.stringContaining('imulated')]);
    // The model has no GPU that anything could be said of.
    expect([...families.keys()].some((name) => name.startsWith('DCGM'))).toBe(false);
  });

  it('says of each GPU what DCGM says, of hardware that is known', async () => {
    const { client, metrics } = await serve({
      model: 'llama-3.1-8b',
      ...{ profile: 'estimate', gpu: 'h100', tensorParallelSize: 2, engineReplicas: 2, router: 'round-robin' },
    });
    await client.chat.completions.create({ ...ask('Hello there'), model: 'llama-3.1-8b' });
    const families = await metrics();
    const used = families.get('DCGM_FI_DEV_FB_USED')?.samples ?? [];
    expect(used.map(({ labels }) => `${labels.gpu} ${labels.engine} ${labels.modelName}`)).toEqual([
      '0 0 h100',
      '1 0 h100',
      '2 1 h100',
      '3 1 h100',
    ]);
    // Half of eight billion 16-bit weights and the cache, of 80 GB.
    expect(used[0]?.value).toBeGreaterThan(8_000);
    expect((used[0]?.value ?? 0) + (families.get('DCGM_FI_DEV_FB_FREE')?.samples[0]?.value ?? 0)).toBe(80 * 1024);
    const busy = families.get('DCGM_FI_DEV_GPU_UTIL')?.samples.map(({ value }) => value) ?? [];
    expect(busy[0]).toBeGreaterThan(0);
    expect(busy[0]).toBe(busy[1]);
    expect(busy.slice(2)).toEqual([0, 0]);
    expect(families.has('DCGM_FI_DEV_POWER_USAGE')).toBe(false);
  });

  it('finds what prompts share inside a message, and replies that come back', async () => {
    const { client, metrics } = await serve({ model: 'main' });
    const long = 'Once upon a time there was a very long beginning. '.repeat(20);
    const first = await client.chat.completions.create(ask(`${long}And then?`));
    expect(first.usage?.prompt_tokens_details?.cached_tokens).toBe(0);
    const second = await client.chat.completions.create(ask(`${long}Or else?`));
    const shared = Math.floor(`user\n${long}`.length / 4 / 16) * 16;
    expect(second.usage?.prompt_tokens_details?.cached_tokens).toBe(shared);
    const content = first.choices[0]?.message.content ?? '';
    const turn = await client.chat.completions.create({
      model: 'main',
      messages: [
        { role: 'user', content: `${long}And then?` },
        { role: 'assistant', content },
        { role: 'user', content: 'Go on.' },
      ],
    });
    const cached = turn.usage?.prompt_tokens_details?.cached_tokens ?? 0;
    expect(cached).toBeGreaterThan(first.usage?.prompt_tokens ?? 0);
    const families = await metrics();
    expect(metric(families, 'vllm:prefix_cache_hits_total')).toBe(shared + cached);
    expect(metric(families, 'vllm:prefix_cache_queries_total')).toBe(sumOf(families, 'vllm:prompt_tokens_total'));
    const { client: without } = await serve({ model: 'main', prefixCaching: false });
    await without.chat.completions.create(ask(`${long}And then?`));
    const again = await without.chat.completions.create(ask(`${long}And then?`));
    expect(again.usage?.prompt_tokens_details?.cached_tokens).toBe(0);
  });

  it('keeps conversations together with prefix affinity, and spreads them in turns', async () => {
    const cachedWith = async (router: string) => {
      const { client } = await serve({ model: 'main', engineReplicas: 3, router });
      let cached = 0;
      for (let turn = 1; turn <= 3; turn++) {
        for (const name of ['anna', 'bert', 'carl', 'dora']) {
          const { usage } = await client.chat.completions.create(ask(`${name} asks. `.repeat(60 * turn), { max_tokens: 1 }));
          cached += usage?.prompt_tokens_details?.cached_tokens ?? 0;
        }
      }
      return cached;
    };
    expect(await cachedWith('prefix-affinity')).toBeGreaterThan(2 * (await cachedWith('round-robin')));
  });

  it('preempts when replies outgrow the cache, and answers everybody all the same', async () => {
    const { client, metrics } = await serve({
      model: 'main',
      kvBlocks: 8,
      maxNumSeqs: 8,
      prefixCaching: false,
      replies: [{ text: 'x', tokensOut: 100 }],
    });
    const replies = await Promise.all(Array.from({ length: 4 }, (_, index) => client.chat.completions.create(ask(`Number ${index}`))));
    expect(replies.map(({ usage }) => usage?.completion_tokens)).toEqual([100, 100, 100, 100]);
    expect(metric(await metrics(), 'vllm:num_preemptions_total')).toBeGreaterThan(0);
  });

  it('counts what a client that went away had got, and frees its place', async () => {
    const { client, metrics } = await serve({ model: 'main', stepFixedMs: 20, replies: [{ text: 'word '.repeat(400) }] });
    const stream = await client.chat.completions.create({ ...ask('Tell me'), stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    await expect.poll(async () => metric(await metrics(), 'vllm:request_success_total', { finished_reason: 'abort' })).toBe(1);
    // Its place is free when the step under way is over.
    await expect.poll(async () => metric(await metrics(), 'vllm:num_requests_running')).toBe(0);
    const families = await metrics();
    expect(metric(families, 'vllm:generation_tokens_total')).toBeGreaterThan(0);
    expect(metric(families, 'vllm:generation_tokens_total')).toBeLessThan(400);
  });

  it('turns everybody away until its engines have started, and says for how long', async () => {
    const { url, client } = await serve({ model: 'main', coldStartMs: 400 });
    const health = await fetch(`${url}/health`);
    expect(health.status).toBe(503);
    expect(health.headers.get('retry-after')).toBe('1');
    expect(Number(health.headers.get('retry-after-ms'))).toBeLessThanOrEqual(400);
    await expect(client.chat.completions.create(ask('Hello'))).rejects.toMatchObject({ status: 503 });
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
    // The client of OpenAI waits as long as it is told to.
    const patient = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: 2 });
    expect((await patient.chat.completions.create(ask('Hello'))).choices.length).toBe(1);
    expect((await fetch(`${url}/health`)).status).toBe(200);
  });

  it.each([
    [{ n: 2 }, 'n'],
    [{ logprobs: true }, 'logprobs'],
    [{ top_logprobs: 3 }, 'top_logprobs'],
    [{ modalities: ['text', 'audio'] }, 'modalities'],
    [{ audio: { voice: 'alloy', format: 'wav' } }, 'audio'],
    [{ functions: [] }, 'functions'],
    [{ web_search_options: {} }, 'web_search_options'],
  ])('refuses %j instead of ignoring it', async (more, param) => {
    const { client } = await serve({ model: 'main' });
    await expect(client.chat.completions.create(ask('x', more) as never)).rejects.toMatchObject({
      status: 400,
      code: 'unsupported_parameter',
      param,
    });
  });

  it('lets pass what asks for nothing else, and stops where it is told to', async () => {
    const { client } = await serve({ model: 'main', replies: [{ text: 'one two three four' }] });
    const plain = {
      n: 1,
      logprobs: false,
      modalities: ['text'],
      temperature: 0.3,
      top_p: 0.5,
      seed: 3,
      logit_bias: { 50256: -100 },
      user: 'u',
    };
    const all = await client.chat.completions.create(ask('x', plain) as OpenAI.ChatCompletionCreateParamsNonStreaming);
    expect(all.choices[0]?.message.content).toBe('one two three four');
    const cut = await client.chat.completions.create(ask('x', { stop: ['four', ' three'] }));
    expect(cut.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'one two' } });
    expect(cut.usage?.completion_tokens).toBe(2);
    const tooLong = client.chat.completions.create(ask('x'.repeat(4 * 300_000)));
    await expect(tooLong).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });

  it.each([
    [{ router: 'random' }, /router/],
    [{ profile: 'no-such-profile' }, /no-such-profile/],
    [{ engineReplicas: 0 }, /engineReplicas/],
    [{ profile: 'estimate', gpu: 'l4', model: 'llama-3.1-70b' }, /GB/],
  ])('refuses %j before it starts', (options, message) => {
    expect(() => createModelServer('m', options)).toThrow(message);
  });
});
