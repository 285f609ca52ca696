import { afterEach, describe, expect, it } from 'vitest';
import { agent, codeAgent, codeTool, llmAgent, tool, toolServer, z } from '../../../compiler/api/index.ts';
import { CallError } from '../../../compiler/contracts/call-errors.ts';
import type { ChatModel, ChatReply, ChatRequest } from '../../../runtime/llm/backend.ts';
import { type Application, type Deployed, deploy, errorOf } from './harness.ts';

const Question = z.object({ question: z.string() });
const Answer = z.object({ text: z.string() });
const planner = agent('planner', { input: Question, output: Answer, chunk: z.string() });
const expert = agent('expert', { description: 'Knows one thing', input: z.object({ topic: z.string() }), output: Answer });
const weather = tool('weather', {
  description: 'Weather of a city',
  input: z.object({ city: z.string() }),
  output: z.object({ sky: z.string() }),
  effect: 'readOnly',
});
const clock = tool('clock', { description: 'The time', input: z.object({}), output: z.string(), effect: 'readOnly' });
const station = toolServer('station', [weather]);

const usage = { tokensIn: 10, tokensCached: 2, tokensOut: 3 };
const says = (text: string): ChatReply => ({ text, toolCalls: [], finish: 'stop', usage, firstChunkMs: 1 });
const asks = (...calls: [name: string, args: unknown][]): ChatReply => ({
  text: '',
  toolCalls: calls.map(([name, args], i) => ({ id: `call-${i}`, name, arguments: typeof args === 'string' ? args : JSON.stringify(args) })),
  finish: 'tool_calls',
  usage,
  firstChunkMs: 1,
});

/** A model that gives the replies in turn, and remembers what it was asked. */
function scripted(...replies: ChatReply[]): ChatModel & { readonly requests: ChatRequest[] } {
  const requests: ChatRequest[] = [];
  return {
    requests,
    chat: async (request, _signal, emit) => {
      requests.push(request);
      const reply = replies[Math.min(requests.length, replies.length) - 1] ?? says('');
      for (const word of emit === undefined ? [] : reply.text.split(/(?<= )/)) emit?.(word);
      return reply;
    },
  };
}

const tools = [
  codeTool(weather, async ({ city }) => {
    if (city === 'Atlantis') throw new Error('no such city');
    await new Promise((resolve) => setTimeout(resolve, city === 'Rome' ? 20 : 0));
    return { sky: `sunny in ${city}` };
  }),
  codeTool(clock, async () => '12:00'),
];
const knows = codeAgent(expert, async ({ topic }) => ({ text: `all about ${topic}` }));

const layouts = [
  ['in one unit', [['planner', 'expert', 'station']]],
  ['in three units', [['planner'], ['expert'], ['station']]],
] as const;

let deployed: Deployed | undefined;
afterEach(async () => {
  await deployed?.close();
  deployed = undefined;
});
async function run(
  application: Partial<Application> & Pick<Application, 'groups' | 'model'>,
  options: Partial<Parameters<typeof llmAgent>[1]> = {},
) {
  const part = llmAgent(planner, { model: 'main', system: 'You plan.', tools: [weather, clock], agents: [expert], ...options } as never);
  deployed = await deploy({ entry: planner, parts: [part, knows, ...tools], toolServers: [station], ...application } as Application);
  return deployed;
}

const resultsIn = (request: ChatRequest | undefined) =>
  request?.messages.filter(({ role }) => role === 'tool').map(({ toolCallId, content }) => [toolCallId, content]);

describe.each(layouts)('an llm agent %s', (_, groups) => {
  it('offers tools and sub-agents, runs the calls of a turn at once and answers in the order of the calls', async () => {
    const model = scripted(asks(['weather', { city: 'Rome' }], ['expert', { topic: 'trains' }], ['clock', {}]), says('Go to Rome.'));
    const { ask } = await run({ groups, model });
    expect((await ask({ question: 'Where to?' })).body).toEqual({ text: 'Go to Rome.' });
    expect(model.requests[0]?.tools.map(({ name }) => name)).toEqual(['weather', 'clock', 'expert']);
    expect(model.requests[0]?.tools[0]?.parameters).toMatchObject({
      type: 'object',
      properties: { city: { type: 'string' } },
      required: ['city'],
    });
    expect(model.requests[0]?.messages.map(({ role }) => role)).toEqual(['system', 'user']);
    expect(resultsIn(model.requests[1])).toEqual([
      ['call-0', '{"sky":"sunny in Rome"}'],
      ['call-1', '{"text":"all about trains"}'],
      ['call-2', '12:00'],
    ]);
  });

  it('tells the model what failed, typed, and goes on', async () => {
    const model = scripted(
      asks(['weather', { city: 'Atlantis' }], ['weather', { town: 1 }], ['teleport', {}], ['clock', '{'], ['expert', { topic: 'x' }]),
      says('Sorry.'),
    );
    const { ask } = await run({ groups, model });
    expect((await ask({ question: '?' })).body).toEqual({ text: 'Sorry.' });
    const results = resultsIn(model.requests[1])?.map(([, content]) => JSON.parse(content ?? ''));
    expect(results).toMatchObject([
      { error: { code: 'failed', message: 'no such city' } },
      { error: { code: 'invalid' } },
      { error: { code: 'unknown' } },
      { error: { code: 'invalid' } },
      { text: 'all about x' },
    ]);
  });

  it('streams the text of the answer', async () => {
    const { urls } = await run({ groups, model: scripted(says('one two three')) });
    const response = await fetch(`${urls[0]}/`, {
      method: 'POST',
      headers: { accept: 'text/event-stream' },
      body: JSON.stringify({ question: '?' }),
    });
    const events = (await response.text())
      .split('\n\n')
      .filter(Boolean)
      .map((event) => JSON.parse(event.replace('data: ', '')));
    expect(response.headers.get('content-type')).toBe('text/event-stream');
    expect(events).toEqual([{ chunk: 'one ' }, { chunk: 'two ' }, { chunk: 'three' }, { output: { text: 'one two three' } }]);
  });
});

describe('an llm agent', () => {
  const groups = [['planner', 'expert', 'station']];

  it('offers no tools after its last round, so that the model has to answer', async () => {
    const model = scripted(asks(['clock', {}]), asks(['clock', {}]), says('Enough.'));
    const { ask } = await run({ groups, model }, { maxRounds: 2 });
    expect((await ask({ question: '?' })).body).toEqual({ text: 'Enough.' });
    expect(model.requests.map(({ tools: offered }) => offered.length)).toEqual([3, 3, 0]);
  });

  it('fails when the model never answers', async () => {
    const { ask } = await run({ groups, model: scripted(asks(['clock', {}])) }, { maxRounds: 1 });
    expect(errorOf(await ask({ question: '?' }))).toMatchObject({ code: 'failed', component: 'planner' });
  });

  it('remembers the conversation of a session, and of no other', async () => {
    const model = scripted(says('one'), says('two'), says('three'));
    const { ask } = await run({ groups, model }, { remembers: true });
    await ask({ question: 'first' }, { 'x-dmas-session': 's' });
    await ask({ question: 'second' }, { 'x-dmas-session': 's' });
    await ask({ question: 'other' }, { 'x-dmas-session': 't' });
    expect(model.requests[1]?.messages.map(({ content }) => content)).toEqual([
      'You plan.',
      '{"question":"first"}',
      'one',
      '{"question":"second"}',
    ]);
    expect(model.requests[2]?.messages.map(({ content }) => content)).toEqual(['You plan.', '{"question":"other"}']);
  });

  it('makes its output by parse, by text, or as JSON of the output shape', async () => {
    const typed = agent('planner', { input: Question, output: z.object({ days: z.number() }) });
    const model = scripted(says('{"days":3}'));
    const { ask } = await run({ groups, model, entry: typed, parts: [llmAgent(typed, { model: 'main', system: '' }), knows, ...tools] });
    expect((await ask({ question: '?' })).body).toEqual({ days: 3 });
    expect(model.requests[0]?.responseSchema).toMatchObject({ properties: { days: { type: 'number' } } });
    await deployed?.close();
    const parsed = await run(
      { groups, model: scripted(says('7 days')) },
      {
        parse: ((text: string) => ({ text: text.slice(0, 1) })) as never,
        prompt: (({ question }: { question: string }) => question) as never,
      },
    );
    expect((await parsed.ask({ question: '?' })).body).toEqual({ text: '7' });
  });

  it('refuses an answer that does not fit', async () => {
    const typed = agent('planner', { input: Question, output: z.object({ days: z.number() }) });
    const { ask } = await run({
      groups,
      model: scripted(says('many')),
      entry: typed,
      parts: [llmAgent(typed, { model: 'main', system: '' }), knows, ...tools],
    });
    expect(errorOf(await ask({ question: '?' }))).toMatchObject({ code: 'invalid', component: 'planner' });
  });

  it('passes on a typed error of the model, and ends the call with the request', async () => {
    const down: ChatModel = {
      chat: () => Promise.reject(new CallError({ code: 'overloaded', message: 'the engine is full', neverStarted: true })),
    };
    const { ask } = await run({ groups, model: down });
    const answer = await ask({ question: '?' });
    expect([answer.status, answer.body]).toEqual([429, { code: 'overloaded', message: 'the engine is full', component: 'planner' }]);
    await deployed?.close();
    const signals: AbortSignal[] = [];
    const hangs: ChatModel = { chat: (_request, signal) => new Promise(() => signals.push(signal)) };
    const late = await run({ groups, model: hangs, deadlineMs: 50, drainMs: 50 });
    expect((await late.ask({ question: '?' })).status).toBe(504);
    expect(signals[0]?.aborted).toBe(true);
  });
});
