import OpenAI from 'openai';
import { createLlamaCppServer } from '../../runtime/llm/llama-cpp/http-server.ts';

/**
 * `tsx test/bench/llama-cpp.ts [weights]`: one llama.cpp server in this process and the official client, in a closed loop at several
 * concurrencies. Prints a line for each and a JSON object last.
 */
const weights = process.argv[2] ?? 'random-8m';
const promptWords = Number(process.argv[3] ?? 150);
const tokensOut = Number(process.argv[4] ?? 64);
const perClient = 8;

const { server, close } = await createLlamaCppServer('model-main', { weights, slots: 4, contextTokens: 2048 });
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const at = server.address();
if (at === null || typeof at === 'string') throw new Error('no port');
const client = new OpenAI({ baseURL: `http://127.0.0.1:${at.port}/v1`, apiKey: 'none', maxRetries: 0 });

interface Asked {
  readonly ttftMs: number;
  readonly totalMs: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
}

async function ask(number: number): Promise<Asked> {
  const content = `Number ${number}: ${'tell me about the weather in the city please '.repeat(promptWords / 9)}`;
  const startMs = performance.now();
  let firstMs = 0;
  let usage = { prompt_tokens: 0, completion_tokens: 0 };
  const extra = { ignore_eos: true } as object;
  const chunks = await client.chat.completions.create({
    model: 'any',
    messages: [{ role: 'user', content }],
    max_completion_tokens: tokensOut,
    stream: true,
    stream_options: { include_usage: true },
    ...extra,
  });
  for await (const chunk of chunks) {
    if (firstMs === 0) firstMs = performance.now();
    if (chunk.usage) usage = chunk.usage;
  }
  return {
    ttftMs: firstMs - startMs,
    totalMs: performance.now() - startMs,
    tokensIn: usage.prompt_tokens,
    tokensOut: usage.completion_tokens,
  };
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const round = (value: number) => Math.round(value * 100) / 100;

let number = 0;
for (let warm = 0; warm < 4; warm++) await ask(number++);
const levels = [];
for (const concurrency of [1, 2, 4, 8]) {
  const startMs = performance.now();
  const asked: Asked[] = [];
  const loop = async () => {
    for (let index = 0; index < perClient; index++) asked.push(await ask(number++));
  };
  await Promise.all(Array.from({ length: concurrency }, loop));
  const seconds = (performance.now() - startMs) / 1000;
  const tokens = asked.reduce((sum, one) => sum + one.tokensOut, 0);
  const level = {
    concurrency,
    tokensIn: asked[0]?.tokensIn ?? 0,
    ttftP50Ms: round(median(asked.map((one) => one.ttftMs))),
    tpotP50Ms: round(median(asked.map((one) => (one.totalMs - one.ttftMs) / (one.tokensOut - 1)))),
    tokensPerSecond: round(tokens / seconds),
  };
  levels.push(level);
  console.log(
    `${concurrency} at once: first token ${level.ttftP50Ms} ms, then ${level.tpotP50Ms} ms a token, together ${level.tokensPerSecond} tokens/s`,
  );
}
await close(0);
console.log(JSON.stringify({ weights, levels }));
process.exit(0);
