import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import { cassetteText, type Json } from '../../../compiler/contracts/index.ts';
import { chat, createStage, entriesOf, modelEntry, said, startUpstream } from './support.ts';

const stage = createStage();
afterEach(() => stage.close());

const question = (content: string): Json => ({ role: 'user', content });
const now = () => `It is ${new Date().toISOString()}, request ${crypto.randomUUID()}.`;
const tools = ['weather', 'hotels'].map((name) => ({ type: 'function', function: { name, parameters: {} } }));

async function record(content: 'hash' | 'replies' | 'full' = 'replies') {
  const folder = await stage.folder();
  const upstream = stage.keep(await startUpstream());
  const recorder = await stage.recorder(upstream.url, folder, content);
  const cassette = async () => {
    await recorder.close();
    return readFile(recorder.file, 'utf8');
  };
  return { upstream, recorder, cassette };
}

/** A loop with two tools, whose results come back in a given order. */
async function loop(url: string, city: string, reversed: boolean, conversation: string) {
  const headers = { 'x-dmas-agent': 'planner', 'x-dmas-conversation': conversation };
  const messages: Json[] = [{ role: 'system', content: now() }, question(`Plan ${city}`)];
  const first = await chat(url, messages, { tools }, headers);
  const calls = first.body.choices[0]?.message.tool_calls ?? [];
  const results = calls.map(({ id }, index) => ({
    role: 'tool',
    tool_call_id: id,
    content: `result ${index} at ${new Date().toISOString()}`,
  }));
  if (reversed) results.reverse();
  const last = await chat(url, [...messages, first.body.choices[0]?.message as Json, ...results], { tools }, headers);
  return said(last);
}

describe('a recording proxy', () => {
  it('passes everything on as it is, and writes down what was asked and answered', async () => {
    const { upstream, recorder, cassette } = await record('full');
    const client = new OpenAI({ baseURL: recorder.url, apiKey: 'sk-proj-abcdefghijklmnop', maxRetries: 0 });
    const whole = await client.chat.completions.create({ model: 'gpt-x', messages: [{ role: 'user', content: 'Hi' }] });
    const pieces: string[] = [];
    const stream = await client.chat.completions.create({ model: 'gpt-x', stream: true, messages: [{ role: 'user', content: 'Hello' }] });
    for await (const chunk of stream) {
      // A usage nobody asked for would be a chunk without a choice.
      expect(chunk.choices).toHaveLength(1);
      pieces.push(chunk.choices[0]?.delta.content ?? '');
    }
    await client.embeddings.create({ model: 'embed-x', input: 'text' });
    await client.responses.create({ model: 'gpt-x', input: 'text' });
    expect(upstream.seen.map(({ path }) => path)).toEqual([
      '/v1/chat/completions',
      '/v1/chat/completions',
      '/v1/embeddings',
      '/v1/responses',
    ]);
    expect(upstream.seen[0]?.headers.authorization).toBe('Bearer sk-proj-abcdefghijklmnop');
    const entries = entriesOf(await cassette());
    expect(entries.map(({ kind }) => kind)).toEqual(['model', 'model', 'opaque', 'opaque']);
    const [first, second] = entries;
    expect(first?.reply).toMatchObject({ usage: { tokensIn: 101, tokensCached: 64, tokensOut: 7 }, shape: { finish: 'stop' } });
    expect(whole.choices[0]?.message.content).toContain('Reply 1');
    expect(second?.reply).toMatchObject({ usage: { tokensIn: 102 } });
    expect(pieces.join('')).toContain('Reply 2');
    expect(second?.timing.gapsMs?.length).toBeGreaterThan(3);
    expect(second?.timing.firstMs).toBeLessThan(second?.timing.totalMs ?? 0);
    expect(first?.request.content).toMatchObject({ messages: [{ content: 'Hi' }] });
  });

  it('keeps headers of ours from strangers, and failures off the cassette', async () => {
    const { upstream, recorder, cassette } = await record();
    await chat(recorder.url, [question('Hi')], {}, { 'x-dmas-agent': 'a', 'x-dmas-conversation': 'c' });
    expect(Object.keys(upstream.seen[0]?.headers ?? {}).filter((name) => name.startsWith('x-dmas'))).toEqual([]);
    await upstream.close();
    expect((await chat(recorder.url, [question('Hi again')])).status).toBe(502);
    const entries = entriesOf(await cassette());
    expect(entries).toHaveLength(1);
    expect(entries[0]).toMatchObject({ caller: 'a', occurrence: 1 });
  });

  it.each(['hash', 'replies', 'full'] as const)('never stores a secret, nor more than %s allows', async (content) => {
    process.env.PLANTED_API_KEY = 'swordfish-in-the-environment';
    try {
      const { recorder, cassette } = await record(content);
      const secrets = [
        'swordfish-in-the-environment',
        'sk-proj-0123456789abcdefghij',
        'AKIAIOSFODNN7EXAMPLE',
        'ghp_0123456789abcdefghijklmnopqrstuvwxyz',
        'hunter2hunter2',
      ];
      const prompt = `Confidential plan. Use ${secrets.slice(0, 4).join(' or ')} at https://me:${secrets[4]}@host/x`;
      await chat(
        recorder.url,
        [question(prompt)],
        { metadata: { key: secrets[1] } },
        { authorization: `Bearer ${secrets[0]}`, 'x-dmas-agent': 'a' },
      );
      const text = await cassette();
      for (const secret of [...secrets, 'sk-live-abcdefghijklmnop1234', 'Bearer']) expect(text, secret).not.toContain(secret);
      expect(text.includes('Confidential plan')).toBe(content === 'full');
      expect(text.includes('Reply 1')).toBe(content !== 'hash');
      expect(entriesOf(text)[0]?.reply.shape?.textLength).toBeGreaterThan(10);
    } finally {
      delete process.env.PLANTED_API_KEY;
    }
  });
});

describe('a replayed model', () => {
  it('gives recorded answers again, to prompts with other times and ids and results in another order', async () => {
    const { recorder, cassette } = await record();
    const recorded = [await loop(recorder.url, 'Oslo', false, 'r1'), await loop(recorder.url, 'Rome', true, 'r2')];
    const text = await cassette();
    const replay = await stage.replay(text);
    const url = replay.urls[0] ?? '';
    const replayed = () => Promise.all([loop(url, 'Oslo', true, crypto.randomUUID()), loop(url, 'Rome', false, crypto.randomUUID())]);
    // Keys that stand in a reply are not on the tape.
    const clean = recorded.map((answer) => answer?.replace('sk-live-abcdefghijklmnop1234', '<secret:api-key>'));
    expect(await replayed()).toEqual(clean);
    expect(await replayed()).toEqual(clean);
    expect(new Set(recorded).size).toBe(2);
    expect(await replay.tape()).toEqual({
      main: { requests: 8, hits: { exact: 0, near: 8, loose: 0 }, misses: {}, throttled: 0, ambiguous: 0, synthetic: 0 },
    });
  });

  it.skipIf(process.env.DMAS_OPT_PYTHON === undefined)(
    'gives a Python agent without any package the same answers twice (DMAS_OPT_PYTHON names the python)',
    async () => {
      const python = async (url: string) => {
        const file = join(import.meta.dirname, '../../fixtures/replay/agent.py');
        const { stdout } = await promisify(execFile)(process.env.DMAS_OPT_PYTHON ?? '', [file, 'Oslo?', 'Rome?'], {
          env: { OPENAI_BASE_URL: url },
        });
        return JSON.parse(stdout) as { [question: string]: unknown };
      };
      const { recorder, cassette } = await record();
      const live = await python(recorder.url);
      const text = await cassette();
      expect(text).not.toContain('sk-python');
      const replay = await stage.replay(text);
      const [first, second] = [await python(replay.urls[0] ?? ''), await python(replay.urls[0] ?? '')];
      expect(second).toEqual(first);
      expect(JSON.stringify(first)).toBe(JSON.stringify(live).replaceAll('sk-live-abcdefghijklmnop1234', '<secret:api-key>'));
      expect(await replay.tape()).toMatchObject({ main: { requests: 14, misses: {}, ambiguous: 0 } });
    },
    30_000,
  );

  it('streams, embeds and answers other calls as recorded, to the unchanged openai package', async () => {
    const { recorder, cassette } = await record();
    const use = async (baseURL: string) => {
      const client = new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
      const stream = await client.chat.completions.create({
        model: 'gpt-x',
        stream: true,
        stream_options: { include_usage: true },
        messages: [{ role: 'user', content: 'Hello' }],
      });
      let text = '';
      let usage: OpenAI.CompletionUsage | null | undefined;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? '';
        usage = chunk.usage ?? usage;
      }
      const embedding = (await client.embeddings.create({ model: 'e', input: 'text', encoding_format: 'float' })).data[0]?.embedding;
      const response = (await client.responses.create({ model: 'gpt-x', input: 'text' })) as { id: string };
      return {
        text: text.replace('sk-live-abcdefghijklmnop1234', '<secret:api-key>'),
        tokens: (usage?.prompt_tokens ?? 0) + (usage?.completion_tokens ?? 0),
        embedding,
        response: response.id,
      };
    };
    const live = await use(recorder.url);
    const replay = await stage.replay(await cassette());
    expect(await use(replay.urls[0] ?? '')).toEqual(live);
    expect(live.tokens).toBe(108);
  });

  it('fails what nobody recorded, and counts it for who asked', async () => {
    const replay = await stage.replay(cassetteText([modelEntry('k', 'x')]));
    const answer = await chat(replay.urls[0] ?? '', [question('Never asked')], {}, { 'x-dmas-agent': 'billing' });
    expect(answer).toMatchObject({ status: 422, body: { error: { code: 'replay_miss', message: expect.stringContaining('billing') } } });
    expect(await replay.tape()).toMatchObject({ main: { requests: 1, misses: { billing: 1 } } });
  });

  it('makes up a reply where the scenario wants that, of the recorded size where only that was kept', async () => {
    const { recorder, cassette } = await record('hash');
    const live = await chat(recorder.url, [question('Tell me')]);
    const replay = await stage.replay(await cassette(), { tape: { simulate: ['main'] }, model: { onMiss: 'simulate' } });
    const url = replay.urls[0] ?? '';
    const made = said(await chat(url, [question('Tell me')]));
    expect(made).toHaveLength(said(live)?.length ?? 0);
    expect(made).not.toBe(said(live));
    expect(said(await chat(url, [question('Tell me')]))).toBe(made);
    expect((await chat(url, [question('Something else')], {}, { 'x-dmas-agent': 'a' })).status).toBe(200);
    expect(await replay.tape()).toMatchObject({ main: { misses: { a: 1 }, synthetic: 3 } });
  });

  it('enforces one quota over all its replicas, and says when to come again', async () => {
    const { recorder, cassette } = await record();
    await chat(recorder.url, [question('Hi')]);
    const text = await cassette();
    for (const replicas of [1, 3]) {
      const replay = await stage.replay(text, { replicas, tape: { limits: { main: { requestsPerMinute: 30, windowMs: 10_000 } } } });
      const answers = await Promise.all(
        Array.from({ length: 12 }, (_, index) => chat(replay.urls[index % replicas] ?? '', [question('Hi')])),
      );
      const refused = answers.filter(({ status }) => status === 429);
      // Five fit into ten seconds; a refill is 2 s away.
      expect(refused, `${replicas} replicas`).toHaveLength(7);
      expect(Number(refused[0]?.headers.get('retry-after-ms'))).toBeGreaterThan(0);
      expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(refused[0]?.body.error?.code).toBe('rate_limit_exceeded');
      expect(await replay.tape()).toMatchObject({ main: { requests: 5, throttled: 7 } });
    }
  });

  it('counts cached tokens of this layout, never those of the tape', async () => {
    const { recorder, cassette } = await record();
    const long: Json = { role: 'system', content: 'You are careful. '.repeat(40) };
    const ask = (url: string, text: string) => chat(url, [long, question(text)]);
    for (const text of ['a', 'b']) await ask(recorder.url, text);
    const text = await cassette();
    const cached = (answer: Awaited<ReturnType<typeof ask>>) => answer.body.usage.prompt_tokens_details.cached_tokens;
    const layout = async (replicas: number, model: { [option: string]: Json }) => {
      const replay = await stage.replay(text, { replicas, model });
      const first = await ask(replay.urls[0] ?? '', 'a');
      const second = await ask(replay.urls.at(-1) ?? '', 'b');
      expect(first.body.usage.prompt_tokens).toBe(101);
      return { cached: [cached(first), cached(second)], tokens: await replay.tokens() };
    };
    const together = await layout(1, { cacheMinTokens: 0 });
    expect(together.cached[0]).toBe(0);
    expect(together.cached[1]).toBeGreaterThan(90);
    expect(together.tokens).toEqual([{ tokensIn: 203, tokensCached: together.cached[1], tokensOut: 14 }]);
    expect((await layout(2, { cacheMinTokens: 0 })).cached).toEqual([0, 0]);
    // Providers cache long prompts only; an engine of one's own any.
    expect((await layout(1, {})).cached).toEqual([0, 0]);
    expect((await layout(1, { profile: 'generic-small' })).cached[1]).toBeGreaterThan(90);
  });
});
