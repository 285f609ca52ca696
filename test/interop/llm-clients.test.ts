import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { AIMessage, HumanMessage, type ToolCall, ToolMessage } from '@langchain/core/messages';
import { tool as langchainTool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { APICallError, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import OpenAI, { type APIError, BadRequestError, NotFoundError, RateLimitError } from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createModelServer, type ModelServer } from '../../runtime/llm/server/model-server.ts';
import { urlOf } from '../runtime/llm/endpoints.ts';

/** Clients that nobody here wrote, unchanged, against the engine server. */
let server: ModelServer;
let crowded: ModelServer;
let baseURL: string;
let crowdedURL: string;
beforeAll(async () => {
  server = createModelServer('model-main', { models: ['main'] });
  baseURL = `${await urlOf(server.server)}/v1`;
  crowded = createModelServer('model-main', { models: ['main'], queueLimit: 1, maxNumSeqs: 1 });
  crowdedURL = `${await urlOf(crowded.server)}/v1`;
});
afterAll(async () => {
  await server.close(0);
  await crowded.close(0);
});

const forecast = { city: z.string(), days: z.number().int().min(1).default(3) };
const rating = z.object({ city: z.string(), rating: z.number().int().min(1).max(5) });
const trip = '{"city":"Oslo","days":2}';
const long = 'a rather long prompt '.repeat(300_000);

describe('the OpenAI SDK', () => {
  const client = (url = baseURL) => new OpenAI({ baseURL: url, apiKey: 'sk-test', maxRetries: 0 });
  const ask = (content: string) => ({ model: 'main', messages: [{ role: 'user' as const, content }] });

  it('chats, and streams the same with usage in the last chunk', async () => {
    const whole = await client().chat.completions.create(ask('Tell me about the harbour.'));
    const text = whole.choices[0]?.message.content ?? '';
    expect(text).not.toBe('');
    expect(whole.usage?.total_tokens).toBe((whole.usage?.prompt_tokens ?? 0) + (whole.usage?.completion_tokens ?? 0));
    const stream = client().chat.completions.stream({ ...ask('Tell me about the harbour.'), stream_options: { include_usage: true } });
    const deltas: string[] = [];
    stream.on('content', (delta) => deltas.push(delta));
    const final = await stream.finalChatCompletion();
    expect(deltas.length).toBeGreaterThan(1);
    expect(deltas.join('')).toBe(text);
    expect(final.choices[0]?.message.content).toBe(text);
    expect(final.usage?.completion_tokens).toBe(whole.usage?.completion_tokens);
    expect((await client().models.list()).data.map(({ id }) => id)).toEqual(['main']);
    expect((await client().models.retrieve('main')).id).toBe('main');
  });

  it('runs its own loop of tools', async () => {
    const asked: unknown[] = [];
    const runner = client().chat.completions.runTools({
      ...ask(trip),
      tools: [
        {
          type: 'function',
          function: {
            name: 'forecast',
            description: 'Weather forecast for a city',
            parameters: z.toJSONSchema(z.object(forecast)) as Record<string, unknown>,
            parse: JSON.parse,
            function: async (input: object) => {
              asked.push(input);
              return '{"sky":"rain"}';
            },
          },
        },
      ],
    });
    expect(await runner.finalContent()).toContain('rain');
    expect(asked).toEqual([{ city: 'Oslo', days: 2 }]);
  });

  it('parses structured output', async () => {
    const { choices } = await client().chat.completions.parse({ ...ask(trip), response_format: zodResponseFormat(rating, 'rating') });
    expect(choices[0]?.message.parsed?.city).toBe('Oslo');
    expect(rating.safeParse(choices[0]?.message.parsed).success).toBe(true);
  });

  it('gets errors of its own classes', async () => {
    await expect(client().chat.completions.create({ ...ask('x'), model: 'nobody' })).rejects.toBeInstanceOf(NotFoundError);
    const tooLong: unknown = await client()
      .chat.completions.create(ask(long))
      .catch((error: unknown) => error);
    expect(tooLong).toBeInstanceOf(BadRequestError);
    expect((tooLong as APIError).code).toBe('context_length_exceeded');
    const many = Array.from({ length: 12 }, (_, index) => client(crowdedURL).chat.completions.create(ask(`Question ${index}`)));
    const refused = (await Promise.allSettled(many)).flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    expect(refused.length).toBeGreaterThan(0);
    for (const error of refused) expect(error).toBeInstanceOf(RateLimitError);
  });

  it('waits as it is told after 429, and gets through', async () => {
    const patient = new OpenAI({ baseURL: crowdedURL, apiKey: 'sk-test', maxRetries: 8 });
    const many = Array.from({ length: 5 }, (_, index) => patient.chat.completions.create({ ...ask(`Again ${index}`), max_tokens: 5 }));
    expect((await Promise.all(many)).every(({ choices }) => choices[0]?.finish_reason === 'length')).toBe(true);
  });

  it('stops a stream', async () => {
    const stream = await client().chat.completions.create({ ...ask('Tell me a long story.'), stream: true });
    for await (const _ of stream) stream.controller.abort();
    expect(stream.controller.signal.aborted).toBe(true);
  });
});

describe('the ai package', () => {
  const provider = (url = baseURL) =>
    createOpenAICompatible({ name: 'engine', baseURL: url, apiKey: 'sk-test', includeUsage: true, supportsStructuredOutputs: true });
  const model = () => provider()('main');

  it('chats, and streams the same with usage', async () => {
    const whole = await generateText({ model: model(), prompt: 'Tell me about the castle.' });
    expect(whole.text).not.toBe('');
    expect(whole.finishReason).toBe('stop');
    const stream = streamText({ model: model(), prompt: 'Tell me about the castle.' });
    const pieces: string[] = [];
    for await (const piece of stream.textStream) pieces.push(piece);
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.join('')).toBe(whole.text);
    expect((await stream.usage).outputTokens).toBe(whole.usage.outputTokens);
    expect(whole.usage.inputTokens).toBeGreaterThan(0);
  });

  it.each([
    ['whole', generateText],
    ['streamed', streamText],
  ] as const)('runs its own loop of tools, %s', async (_how, run) => {
    const asked: unknown[] = [];
    const tools = {
      forecast: tool({
        description: 'Weather forecast for a city',
        inputSchema: z.object(forecast),
        execute: async (input) => {
          asked.push(input);
          return { sky: 'rain' };
        },
      }),
    };
    const done = await run({ model: model(), prompt: trip, tools, stopWhen: stepCountIs(4) });
    expect(await done.text).toContain('rain');
    expect((await done.steps).length).toBe(2);
    expect(asked).toEqual([{ city: 'Oslo', days: 2 }]);
  });

  it('makes objects of a schema', async () => {
    const { output } = await generateText({ model: model(), prompt: trip, output: Output.object({ schema: rating }) });
    expect(rating.parse(output).city).toBe('Oslo');
  });

  it('gets errors as its own', async () => {
    const failed: unknown = await generateText({ model: provider()('nobody'), prompt: 'x', maxRetries: 0 }).catch(
      (error: unknown) => error,
    );
    expect(APICallError.isInstance(failed)).toBe(true);
    expect((failed as APICallError).statusCode).toBe(404);
    expect((failed as APICallError).message).toContain('nobody');
  });
});

describe('LangChain.js', () => {
  const model = (more: object = {}) =>
    new ChatOpenAI({ model: 'main', apiKey: 'sk-test', maxRetries: 0, configuration: { baseURL }, ...more });
  const weather = langchainTool(async () => '{"sky":"rain"}', {
    name: 'forecast',
    description: 'Weather forecast for a city',
    schema: z.object(forecast),
  });

  it('chats, and streams the same with usage', async () => {
    const whole = await model().invoke('Tell me about the market.');
    expect(whole.text).not.toBe('');
    let text = '';
    let chunks = 0;
    let tokensOut = 0;
    for await (const chunk of await model().stream('Tell me about the market.')) {
      text += chunk.text;
      chunks++;
      tokensOut += outputTokens(chunk);
    }
    expect(text).toBe(whole.text);
    expect(chunks).toBeGreaterThan(1);
    expect(tokensOut).toBe(outputTokens(whole));
    expect(tokensOut).toBeGreaterThan(0);
  });

  /** Its types know no usage on a message of any kind. */
  const outputTokens = (message: object) => (message as { usage_metadata?: { output_tokens?: number } }).usage_metadata?.output_tokens ?? 0;

  it('calls a tool and answers from its result', async () => {
    const bound = model().bindTools([weather]);
    const question = new HumanMessage(trip);
    const first = await bound.invoke([question]);
    expect(first.tool_calls?.map(({ name, args }) => ({ name, args }))).toEqual([{ name: 'forecast', args: { city: 'Oslo', days: 2 } }]);
    const [call] = first.tool_calls as ToolCall[];
    const result = (await weather.invoke(call as never)) as ToolMessage;
    const answer = await bound.invoke([
      question,
      first,
      new ToolMessage({ content: result.content as string, tool_call_id: call?.id ?? '' }),
    ]);
    expect(answer).toBeInstanceOf(AIMessage);
    expect(answer.text).toContain('rain');
  });

  it.each(['jsonSchema', 'functionCalling'] as const)('gives structured output by %s', async (method) => {
    const value = await model().withStructuredOutput(rating, { name: 'rating', method }).invoke(trip);
    expect(rating.parse(value).city).toBe('Oslo');
  });

  it('gets errors with their status', async () => {
    await expect(model({ model: 'nobody' }).invoke('x')).rejects.toMatchObject({ status: 404 });
  });
});
