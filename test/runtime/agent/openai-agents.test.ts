import { Agent, handoff, RunContext, Runner, setTracingDisabled, tool, Usage } from '@openai/agents';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CallError, type PausedAnswer } from '../../../compiler/contracts/call-errors.ts';
import { readAgents } from '../../../compiler/frontends/openai-agents/agents.ts';
import type { Sdk, SdkAgent, SdkModel } from '../../../compiler/frontends/openai-agents/sdk.ts';
import { chatRequestOf, outputItemsOf } from '../../../runtime/agent/openai/items.ts';
import { openaiAgent } from '../../../runtime/agent/openai-agents.ts';
import type { ChatMessage, ChatModel, ChatReply, ChatRequest } from '../../../runtime/llm/backend.ts';
import { type Answer, type Application, type Deployed, deploy, errorOf, until } from './harness.ts';

const sdk = { Runner, RunContext, Usage, setTracingDisabled } as unknown as Sdk;
const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** What a model says, by the system message it gets; a string is text, a pair is a call of a tool. */
type Says = string | readonly [tool: string, input: object];
type Script = (system: string, turn: number, request: ChatRequest) => Says | readonly Says[];

const asked: ChatRequest[] = [];
const scripted = (script: Script): ChatModel => ({
  chat: async (request, _signal, emit) => {
    asked.push(request);
    const { messages } = request;
    const system = messages.find(({ role }) => role === 'system')?.content ?? '';
    const lastUser = messages.findLastIndex(({ role }) => role === 'user');
    const turn = messages.slice(lastUser).filter(({ role }) => role === 'assistant').length;
    const given = script(system, turn, request);
    const said = (Array.isArray(given) && !isCall(given) ? given : [given]) as Says[];
    const text = said.filter((each) => typeof each === 'string').join('');
    for (const word of emit ? (text.match(/\S+\s*/g) ?? []) : []) emit?.(word);
    const toolCalls = said.flatMap((each, index) =>
      typeof each === 'string' ? [] : [{ id: `c${turn}-${index}`, name: each[0], arguments: JSON.stringify(each[1]) }],
    );
    const usage = { tokensIn: 10, tokensOut: 5, tokensCached: 2 };
    return { text, toolCalls, finish: 'stop', usage, firstChunkMs: 1 } satisfies ChatReply;
  },
});
const isCall = (said: unknown) => Array.isArray(said) && typeof said[0] === 'string' && typeof said[1] === 'object';

/** The SDK alone, as its documentation runs it: what we have to agree with. */
async function alone(entry: object, script: Script, input: unknown, context?: object) {
  const chat = scripted(script);
  const model: SdkModel = {
    getResponse: async (request) => {
      const reply = await chat.chat(chatRequestOf(request), new AbortController().signal);
      return { usage: new Usage({ requests: 1, inputTokens: 1, outputTokens: 1, totalTokens: 2 }), output: outputItemsOf(reply) };
    },
    getStreamedResponse: () => {
      throw new Error('not streamed');
    },
  };
  const runner = new Runner({ modelProvider: { getModel: () => model as never }, tracingDisabled: true });
  return (await runner.run(entry as never, input as never, { context: context ?? {} })) as unknown as {
    finalOutput: unknown;
    lastAgent?: { name: string };
  };
}

async function run(entry: object, script: Script, apart: boolean, more: Partial<Application> = {}): Promise<Deployed> {
  const names = (await readAgents(entry as unknown as SdkAgent, sdk.Runner, sdk.RunContext)).map(({ name }) => name);
  const parts = [];
  for (const name of names) parts.push(await openaiAgent(name, entry as unknown as SdkAgent, sdk));
  const first = parts[0];
  if (first === undefined) throw new Error('no agent');
  const model = scripted(script);
  const deployed = await deploy({
    parts,
    entry: first.ref,
    groups: apart ? names.map((name) => [name]) : [names],
    model: { chat: (request, signal, emit) => model.chat(request, signal, emit) },
    ...more,
  });
  cleanups.push(deployed.close);
  asked.length = 0;
  return deployed;
}

/** Triage with two hand-offs, one of them through an agent used as a tool, as the documentation has it. */
function shop(more: { needsApproval?: boolean; onHandoff?: () => void } = {}) {
  const model = 'main';
  const price = tool({
    name: 'price_of',
    description: 'The price of an order',
    parameters: z.object({ order: z.string() }),
    needsApproval: more.needsApproval ?? false,
    execute: async ({ order }) => `${order} costs 7`,
  });
  const policy = new Agent({ name: 'Policy', model, instructions: 'policy', tools: [price] });
  const orders = new Agent({ name: 'OrderDesk', model, instructions: 'orders', handoffDescription: 'Orders' });
  const refunds = new Agent({
    name: 'Refund Agent',
    model,
    instructions: 'refunds',
    tools: [policy.asTool({ toolName: 'ask_policy', toolDescription: 'The policy' })],
  });
  const onHandoff = more.onHandoff ?? (() => {});
  const triage = new Agent({ name: 'Triage', model, instructions: 'triage', handoffs: [orders, handoff(refunds, { onHandoff })] });
  return { triage, orders, refunds, policy };
}
const last = (messages: readonly ChatMessage[]) => messages.at(-1)?.content ?? '';
const shopScript: Script = (system, turn, { messages }) => {
  const question = messages.find(({ role }) => role === 'user')?.content ?? '';
  if (system === 'triage') return [question.includes('refund') ? 'transfer_to_Refund_Agent' : 'transfer_to_OrderDesk', {}];
  if (system === 'orders') return `Orders heard ${messages.map(({ role }) => role).join(',')}: ${question}`;
  if (system === 'policy') return turn === 0 ? ['price_of', { order: 'A1' }] : `allowed, ${last(messages)}`;
  return turn === 1 ? ['ask_policy', { input: question }] : `Refunded (${last(messages)}) after ${messages.length} messages`;
};

describe.each([
  ['one unit', false],
  ['one unit per agent', true],
] as const)('agents of the OpenAI Agents SDK in %s', (_where, apart) => {
  it.each([['Where is my order?'], ['I want a refund']])('say what they say without us: %s', async (question) => {
    const expected = await alone(shop().triage, shopScript, question);
    const { ask } = await run(shop().triage, shopScript, apart);
    const answer = await ask(JSON.stringify(question));
    expect([answer.status, answer.body]).toEqual([
      200,
      { output: expected.finalOutput, agent: expected.lastAgent?.name === 'OrderDesk' ? 'order-desk' : 'refund-agent' },
    ]);
  });

  it('are asked by the same messages and offered the same tools as without us', async () => {
    asked.length = 0;
    await alone(shop().triage, shopScript, 'I want a refund');
    const expected = structuredClone(asked);
    const { ask } = await run(shop().triage, shopScript, apart);
    await ask('"I want a refund"');
    expect(asked).toEqual(expected);
    expect(expected.length).toBe(5);
  });

  it('keep requests apart that run at once', async () => {
    const { ask } = await run(shop().triage, shopScript, apart);
    const questions = Array.from({ length: 24 }, (_, n) => (n % 2 === 0 ? `refund ${n}` : `order ${n}`));
    const answers = await Promise.all(questions.map((question) => ask(JSON.stringify(question))));
    for (const [n, { body }] of answers.entries()) {
      const { output, agent } = body as { output: string; agent: string };
      expect(agent).toBe(n % 2 === 0 ? 'refund-agent' : 'order-desk');
      if (n % 2 === 1) expect(output).toContain(`order ${n}`);
    }
  });

  it('give structured output, and what a tool’s own extractor makes of it', async () => {
    const build = () => {
      const judge = new Agent({
        name: 'Judge',
        model: 'main',
        instructions: 'judge',
        outputType: z.object({ verdict: z.string(), points: z.number() }),
      });
      return new Agent({
        name: 'Host',
        model: 'main',
        handoffOutputTypeWarningEnabled: false,
        instructions: 'host',
        tools: [
          judge.asTool({
            toolName: 'judge_it',
            customOutputExtractor: ({ finalOutput }) => `${(finalOutput as { points: number } | undefined)?.points} points`,
          }),
        ],
        handoffs: [judge],
      });
    };
    const script: Script = (system, turn, { messages }) => {
      if (system === 'judge') return '{"verdict":"fine","points":3}';
      if (turn === 0) return ['judge_it', { input: 'x' }];
      return last(messages) === '3 points' ? ['transfer_to_Judge', {}] : `no: ${last(messages)}`;
    };
    const expected = await alone(build(), script, 'go');
    expect(expected.finalOutput).toEqual({ verdict: 'fine', points: 3 });
    const { ask } = await run(build(), script, apart);
    expect((await ask('"go"')).body).toEqual({ output: expected.finalOutput, agent: 'judge' });
  });

  it('run call-backs, filters and hooks of hand-offs once, and check the first agent’s input only', async () => {
    const seen: string[] = [];
    const build = () => {
      const guard = (name: string) => ({
        name,
        execute: async () => {
          seen.push(`guard ${name}`);
          return { tripwireTriggered: false, outputInfo: {} };
        },
      });
      const expert = new Agent({ name: 'Expert', model: 'main', instructions: 'expert', inputGuardrails: [guard('expert')] });
      expert.on('agent_start', () => void seen.push('expert starts'));
      return new Agent({
        name: 'Desk',
        model: 'main',
        instructions: 'desk',
        inputGuardrails: [guard('desk')],
        handoffs: [
          handoff(expert, {
            inputType: z.object({ why: z.string() }),
            onHandoff: (_context, input) => void seen.push(`handed over: ${input?.why}`),
            inputFilter: (data) => ({ ...data, inputHistory: 'filtered', preHandoffItems: [], newItems: [] }),
          }),
        ],
      });
    };
    const script: Script = (system, _turn, { messages }) =>
      system === 'desk' ? ['transfer_to_Expert', { why: 'hard' }] : `heard ${messages.map(({ content }) => content).join('|')}`;
    const expected = await alone(build(), script, 'go');
    const without = seen.splice(0).sort();
    const { ask } = await run(build(), script, apart);
    expect((await ask('"go"')).body).toEqual({ output: expected.finalOutput, agent: 'expert' });
    expect(expected.finalOutput).toBe('heard expert|filtered');
    expect(seen.sort()).toEqual(without);
    expect(without).toEqual(['expert starts', 'guard desk', 'handed over: hard']);
  });

  it('hand back and forth, as often as the SDK lets them', async () => {
    const build = () => {
      const one = new Agent({ name: 'One', model: 'main', instructions: 'one' });
      const two = new Agent({ name: 'Two', model: 'main', instructions: 'two', handoffs: [one] });
      one.handoffs = [two];
      return one;
    };
    const until7: Script = (system, _turn, { messages }) =>
      messages.filter(({ role }) => role === 'assistant').length >= 7
        ? `${system} has it after ${messages.length} messages`
        : [system === 'one' ? 'transfer_to_Two' : 'transfer_to_One', {}];
    const expected = await alone(build(), until7, 'go');
    const { ask } = await run(build(), until7, apart);
    expect((await ask('"go"')).body).toEqual({ output: expected.finalOutput, agent: 'two' });
    const forEver: Script = (system) => [system === 'one' ? 'transfer_to_Two' : 'transfer_to_One', {}];
    await expect(alone(build(), forEver, 'go')).rejects.toThrow('Max turns (10) exceeded');
    const withoutEnd = await run(build(), forEver, apart);
    const answer = await withoutEnd.ask('"go"');
    expect([answer.status, errorOf(answer).code, errorOf(answer).message]).toEqual([500, 'failed', expect.stringContaining('Max turns')]);
    expect(asked.length).toBe(10);
  });

  it('see the context of the request, and nobody else’s changes to it', async () => {
    const build = () => {
      const instructions = ({ context }: RunContext<unknown>) => {
        const shared = context as { user: string; visits?: number };
        shared.visits = (shared.visits ?? 0) + 1;
        return `for ${shared.user}, visit ${shared.visits}`;
      };
      const second = new Agent({ name: 'Second', model: 'main', instructions });
      return new Agent({ name: 'First', model: 'main', instructions, handoffs: [second] });
    };
    const script: Script = (system, turn) => (turn === 0 ? ['transfer_to_Second', {}] : system);
    const expected = await alone(build(), script, 'go', { user: 'Ada' });
    const { ask } = await run(build(), script, apart);
    const answer = await ask({ input: [{ role: 'user', content: 'go' }], context: { user: 'Ada' } });
    expect(answer.body).toEqual({ output: expected.finalOutput, agent: 'second' });
    expect(expected.finalOutput).toBe('for Ada, visit 2');
  });

  it('do not see what an agent used as a tool did to its context, in any layout', async () => {
    const instructions = ({ context }: RunContext<unknown>) => {
      const shared = context as { visits?: number };
      shared.visits = (shared.visits ?? 0) + 1;
      return `visit ${shared.visits}`;
    };
    const inner = new Agent({ name: 'Inner', model: 'main', instructions });
    let starts = 0;
    inner.on('agent_start', () => void starts++);
    const outer = new Agent({ name: 'Outer', model: 'main', instructions, tools: [inner.asTool({ toolName: 'inner' })] });
    const script: Script = (system, turn, { messages, tools }) =>
      tools.length > 0 && turn === 0 ? ['inner', { input: 'x' }] : tools.length > 0 ? `${last(messages)}, then ${system}` : system;
    const { ask } = await run(outer, script, apart);
    expect((await ask('"go"')).body).toEqual({ output: 'visit 2, then visit 2', agent: 'outer' });
    // Its hooks run where it runs, and not for what stands in for it.
    expect(starts).toBe(1);
  });

  it('ask a person where a call needs an approval, also deep inside a tool, and go on with the answer', async () => {
    const deployed = await run(shop({ needsApproval: true }).triage, shopScript, apart);
    const answer = await deployed.ask('"I want a refund"');
    expect(answer.status).toBe(428);
    const { details, session, request, pausedAtMs } = answer.body as PausedAnswer;
    expect(details).toMatchObject({ component: 'policy', prompt: { approve: { tool: 'price_of', arguments: { order: 'A1' } } } });
    const goOn = (reply: unknown): Promise<Answer> =>
      deployed.ask(
        { input: 'I want a refund', resume: { [details.id]: reply }, pausedAtMs },
        { 'x-dmas-resume': '1', 'x-dmas-session': session, 'x-dmas-request': request },
      );
    const approved = await alone(shop().triage, shopScript, 'I want a refund');
    expect((await goOn({ approve: true })).body).toEqual({ output: approved.finalOutput, agent: 'refund-agent' });
    const refused = (await goOn({ approve: false })).body as { output: string };
    expect(refused.output).toContain('allowed, ');
    expect(refused.output).not.toContain('costs 7');
  });

  it('are one trace: calls, turns, model calls with tokens, and functions', async () => {
    const deployed = await run(shop().triage, shopScript, apart, { samplingRatio: 1 });
    await deployed.ask('"I want a refund"');
    await until(() => deployed.spans.getFinishedSpans().some(({ name }) => name === 'ingress'));
    const spans = deployed.spans.getFinishedSpans();
    expect(new Set(spans.map((span) => span.spanContext().traceId)).size).toBe(1);
    const count = (name: string) => spans.filter((span) => span.name === name).length;
    expect(['triage', 'refund-agent', 'policy'].map((name) => count(`invoke_agent ${name}`))).toEqual([1, 1, 1]);
    expect([count('chat main'), count('execute_tool price_of'), count('serve policy')]).toEqual([5, 1, apart ? 1 : 0]);
    const chat = spans.find(({ name }) => name === 'chat main');
    expect(chat?.attributes).toMatchObject({ 'gen_ai.usage.input_tokens': 10, 'gen_ai.usage.output_tokens': 5 });
    const known = new Set(spans.map((span) => span.spanContext().spanId));
    expect(spans.filter(({ parentSpanContext: parent }) => parent !== undefined && !known.has(parent.spanId))).toEqual([]);
  });

  it('stream the words of who speaks to the user, and of nobody else', async () => {
    const { urls } = await run(shop().triage, shopScript, apart);
    const response = await fetch(`${urls[0]}/`, { method: 'POST', headers: { accept: 'text/event-stream' }, body: '"I want a refund"' });
    const events = (await response.text()).trim().split('\n\n');
    const said = events.map((event) => JSON.parse(event.slice('data: '.length)) as { chunk?: string; output?: { output: string } });
    const chunks = said.flatMap(({ chunk }) => chunk ?? []);
    expect(chunks.length).toBeGreaterThan(3);
    expect(chunks.join('')).toBe(said.at(-1)?.output?.output);
  });

  it('tell the model what failed, and the user what the model cannot mend', async () => {
    const build = () => {
      const broken = tool({
        name: 'broken',
        description: 'fails',
        parameters: z.object({}),
        execute: async () => Promise.reject(new Error('out of paper')),
      });
      return new Agent({ name: 'Clerk', model: 'main', instructions: 'clerk', tools: [broken] });
    };
    const script: Script = (_system, turn, { messages }) => (turn === 0 ? ['broken', {}] : `sorry: ${last(messages)}`);
    const expected = await alone(build(), script, 'go');
    const { ask } = await run(build(), script, apart);
    expect((await ask('"go"')).body).toEqual({ output: expected.finalOutput, agent: 'clerk' });
    expect(expected.finalOutput).toContain('out of paper');
    const picture = [{ role: 'user', content: [{ type: 'input_image', image: 'data:image/png;base64,AAAA' }] }];
    for (const input of [picture, 7, { question: 'x' }]) expect(errorOf(await ask(input)).code).toBe('invalid');
  });

  it('pass the errors of a model and the end of the request’s time on, typed', async () => {
    const busy: ChatModel = { chat: async () => Promise.reject(new CallError({ code: 'overloaded', message: 'no slot' })) };
    const full = await run(shop().triage, shopScript, apart, { model: busy });
    expect((await full.ask('"hello"')).status).toBe(429);
    const slow = scripted(shopScript);
    // The policy agent, two calls down and a tool at that, never gets an answer.
    const stuck: ChatModel = {
      chat: (request, signal) =>
        request.messages[0]?.content === 'policy'
          ? new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
          : slow.chat(request, signal),
    };
    const late = await run(shop().triage, shopScript, apart, { model: stuck });
    expect((await late.ask('"I want a refund"', { 'x-dmas-deadline-ms': '300' })).status).toBe(504);
  });

  it('do not run a function a study must not run', async () => {
    const { ask } = await run(shop().triage, shopScript, apart, { stubbedTools: ['price_of'] });
    const { output } = (await ask('"I want a refund"')).body as { output: string };
    expect(output).toContain('price_of was not run');
    expect(output).not.toContain('costs 7');
  });
});

describe('reading an application', () => {
  it('never runs one of its agents, however many are read at once', async () => {
    let ran = 0;
    const counted = (name: string) =>
      new Agent({
        name,
        model: 'main',
        instructions: () => `${++ran}`,
        inputGuardrails: [
          {
            name: 'g',
            execute: async () => {
              ran++;
              return { tripwireTriggered: false, outputInfo: {} };
            },
          },
        ],
      });
    const entries = Array.from({ length: 5 }, (_, n) => {
      const tools = [counted(`inner ${n} a`), counted(`inner ${n} b`)].map((each) => each.asTool({}));
      return new Agent({ name: `outer ${n}`, model: 'main', tools });
    });
    const { run: real } = Runner.prototype;
    const all = await Promise.all(entries.map((entry) => readAgents(entry as unknown as SdkAgent, sdk.Runner, sdk.RunContext)));
    expect(all.map((facts) => facts.map(({ name }) => name))).toEqual(
      entries.map((_, n) => [`outer-${n}`, `inner-${n}-a`, `inner-${n}-b`]),
    );
    expect([ran, Runner.prototype.run === real]).toEqual([0, true]);
  });
});

describe('a model request of the SDK', () => {
  const request = { input: 'x', modelSettings: {}, tools: [], handoffs: [], outputType: 'text' } as const;

  it('becomes a chat completion with the settings that have a name there', () => {
    const settings = {
      temperature: 0.5,
      topP: 0.9,
      maxTokens: 7,
      toolChoice: 'look_up',
      parallelToolCalls: false,
      reasoning: { effort: 'low' },
    };
    const tools = [{ type: 'function', name: 'look_up', description: 'd', parameters: { type: 'object' } }];
    const schema = { type: 'object', properties: {} };
    const made = chatRequestOf({
      ...request,
      systemInstructions: 's',
      modelSettings: settings,
      tools,
      outputType: { type: 'json_schema', schema },
    });
    expect(made).toEqual({
      messages: [
        { role: 'system', content: 's' },
        { role: 'user', content: 'x' },
      ],
      tools: [{ name: 'look_up', description: 'd', parameters: { type: 'object' } }],
      responseSchema: schema,
      maxTokens: 7,
      parameters: {
        temperature: 0.5,
        top_p: 0.9,
        tool_choice: { type: 'function', function: { name: 'look_up' } },
        parallel_tool_calls: false,
      },
    });
    // A choice without tools is an error at the providers.
    expect(chatRequestOf({ ...request, modelSettings: { toolChoice: 'required' } })).not.toHaveProperty('parameters');
  });

  it('puts calls of one turn into one message, and leaves reasoning out', () => {
    const input = [
      {
        role: 'user',
        content: [
          { type: 'input_text', text: 'a' },
          { type: 'input_text', text: 'b' },
        ],
      },
      { type: 'reasoning', content: [] },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'let me see' }] },
      { type: 'function_call', callId: '1', name: 'f', arguments: '{}' },
      { type: 'function_call', callId: '2', name: 'g', arguments: '{"x":1}' },
      { type: 'function_call_result', callId: '1', name: 'f', output: { type: 'text', text: 'one' } },
      { type: 'function_call_result', callId: '2', name: 'g', output: 'two' },
    ];
    expect(chatRequestOf({ ...request, input }).messages).toEqual([
      { role: 'user', content: 'ab' },
      {
        role: 'assistant',
        content: 'let me see',
        toolCalls: [
          { id: '1', name: 'f', arguments: '{}' },
          { id: '2', name: 'g', arguments: '{"x":1}' },
        ],
      },
      { role: 'tool', toolCallId: '1', content: 'one' },
      { role: 'tool', toolCallId: '2', content: 'two' },
    ]);
  });

  it('refuses what a chat completion cannot carry', () => {
    expect(() => chatRequestOf({ ...request, input: [{ type: 'computer_call' }] })).toThrow('computer_call');
    expect(() => chatRequestOf({ ...request, tools: [{ type: 'hosted_tool', name: 'web_search' }] })).toThrow('web_search');
  });
});
