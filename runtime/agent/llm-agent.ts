import { z } from 'zod';
import type { AgentRef, LlmAgent, LlmAgentOptions, ToolRef, ToolServerDefinition } from '../../compiler/api/definitions.ts';
import { CallError, type CallErrorValue, toCallError } from '../../compiler/contracts/call-errors.ts';
import type { JsonSchema } from '../../compiler/contracts/json.ts';
import type { ChatMessage, ChatReply, ChatRequest, ToolCall } from '../llm/backend.ts';
import type { AgentHandler, AgentTurn } from './agent-turn.ts';
import { discoverTools, useServerTool } from './discovery.ts';
import { hop } from './hop.ts';
import type { Runtime } from './runtime.ts';
import { useTool } from './tools.ts';

/** Default of `LlmAgentOptions.maxRounds`. */
const defaultMaxRounds = 4;
/** Where a remembering agent keeps its conversation in its session state. */
const historyKey = 'conversation';

/** What the model may ask for, under the name it is offered by. */
interface Offer {
  readonly function: ChatRequest['tools'][number];
  run(input: unknown, runtime: Runtime, turn: AgentTurn): Promise<unknown>;
}

/** The loop of an agent that lets a model decide: ask, run what it calls for, ask again, until it answers. */
export function llmHandler(runtime: () => Runtime, part: LlmAgent): AgentHandler {
  const { ref, options } = part;
  const offers = offersOf(ref.name, options);
  const responseSchema = responseSchemaOf(ref, options);
  return async (input, turn) => {
    const present = runtime();
    const question: ChatMessage = { role: 'user', content: options.prompt?.(input as never) ?? JSON.stringify(input) };
    const session = options.remembers ? present.state.session(ref.name, turn.scope.sessionId) : undefined;
    const history = ((await session?.get(historyKey)) ?? []) as readonly ChatMessage[];
    const messages: ChatMessage[] = [{ role: 'system', content: options.system }, ...history, question];
    const text = await converse(present, part, offers, responseSchema, messages, turn);
    const output = answerOf(ref, options, text, input);
    const exchange: ChatMessage[] = [question, { role: 'assistant', content: text }];
    await session?.update(historyKey, (before) => [...((before ?? []) as ChatMessage[]), ...exchange]);
    return output;
  };
}

async function converse(
  runtime: Runtime,
  { ref, options }: LlmAgent,
  offers: ReadonlyMap<string, Offer>,
  responseSchema: JsonSchema | undefined,
  messages: ChatMessage[],
  turn: AgentTurn,
): Promise<string> {
  const servers = options.toolServers ?? [];
  const maxRounds = offers.size === 0 && servers.length === 0 ? 0 : (options.maxRounds ?? defaultMaxRounds);
  const emit = turn.emit === undefined ? undefined : textEmitter(ref, turn.emit);
  for (let round = 0; ; round++) {
    // After the last round of calls nothing is offered, so the model has to answer with what it has.
    const last = round >= maxRounds;
    // Asked for at every turn: a tool that is new on its server is offered from the next turn on.
    const offered = last || servers.length === 0 ? offers : await withServers(runtime, ref.name, offers, servers, turn);
    const tools = last ? [] : [...offered.values()].map((offer) => offer.function);
    const reply = await runtime.models.chat(options.model, requestOf(options, messages, tools, responseSchema), turn.scope, emit);
    if (last || reply.toolCalls.length === 0) return finalText(ref, reply);
    messages.push({ role: 'assistant', content: reply.text, toolCalls: reply.toolCalls });
    // All at once; results stand in the order the model asked for them, not in the order they came.
    const results = await Promise.allSettled(reply.toolCalls.map((call) => runCall(runtime, offered, call, turn)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    messages.push(...results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])));
  }
}

function requestOf(
  options: LlmAgentOptions,
  messages: readonly ChatMessage[],
  tools: ChatRequest['tools'],
  responseSchema: JsonSchema | undefined,
): ChatRequest {
  return {
    messages: [...messages],
    tools,
    ...(responseSchema === undefined ? {} : { responseSchema }),
    ...(options.maxTokens === undefined ? {} : { maxTokens: options.maxTokens }),
  };
}

function finalText(ref: AgentRef, reply: ChatReply): string {
  if (reply.text !== '' || reply.toolCalls.length === 0) return reply.text;
  throw new CallError({
    code: 'failed',
    message: 'the model asked for more calls after its last round instead of answering',
    component: ref.name,
  });
}

/**
 * A call that fails becomes a text the model can read, and the agent goes on with the rest. Only the end of the request
 * ends it, and a pause: its question is for a person, not for the model.
 */
async function runCall(runtime: Runtime, offers: ReadonlyMap<string, Offer>, call: ToolCall, turn: AgentTurn): Promise<ChatMessage> {
  const message = (content: string): ChatMessage => ({ role: 'tool', toolCallId: call.id, content });
  const offer = offers.get(call.name);
  if (offer === undefined) return message(errorText({ code: 'unknown', message: `there is no tool ${call.name}` }));
  try {
    const result = await offer.run(parseArguments(call), runtime, turn);
    return message(typeof result === 'string' ? result : JSON.stringify(result));
  } catch (thrown) {
    const error = toCallError(thrown);
    if (turn.scope.cancellation.aborted || error.code === 'inputRequired') throw error;
    return message(errorText(error.value));
  }
}

const errorText = ({ code, message, component }: CallErrorValue) =>
  JSON.stringify({ error: { code, message, ...(component === undefined ? {} : { component }) } });

function parseArguments(call: ToolCall): unknown {
  try {
    return call.arguments === '' ? {} : JSON.parse(call.arguments);
  } catch (error) {
    throw new CallError({ code: 'invalid', message: `the arguments of ${call.name} are not JSON: ${String(error)}` });
  }
}

/** Tools first, then sub-agents, in declared order. */
function offersOf(agent: string, options: LlmAgentOptions): Map<string, Offer> {
  const tools = (options.tools ?? []).map((ref) => ({
    function: functionOf(ref),
    run: (input: unknown, runtime: Runtime, turn: AgentTurn) => useTool(runtime, agent, ref, input, turn.scope),
  }));
  const agents = (options.agents ?? []).map((ref) => ({
    function: functionOf(ref),
    run: (body: unknown, runtime: Runtime, { scope }: AgentTurn) =>
      hop(runtime, { from: agent, to: ref.name, channel: `${agent}->${ref.name}`, pattern: 'request', body, scope }),
  }));
  return new Map([...tools, ...agents].map((offer) => [offer.function.name, offer]));
}

/**
 * The offers, and behind them the tools the servers have now, in the order their servers list them. A name that is taken
 * gets its server's before it.
 */
async function withServers(
  runtime: Runtime,
  agent: string,
  offers: ReadonlyMap<string, Offer>,
  servers: readonly ToolServerDefinition[],
  { scope }: AgentTurn,
): Promise<ReadonlyMap<string, Offer>> {
  const lists = await Promise.all(servers.map((server) => discoverTools(runtime, agent, server, scope)));
  const all = new Map(offers);
  for (const [index, server] of servers.entries()) {
    for (const tool of lists[index] ?? []) {
      const plain = functionName(tool.name);
      const name = all.has(plain) ? functionName(`${server.name}_${tool.name}`) : plain;
      if (all.has(name)) continue;
      all.set(name, {
        function: { name, description: tool.description, parameters: tool.input },
        run: (input, present, turn) => useServerTool(present, agent, server, tool, input, turn.scope),
      });
    }
  }
  return all;
}

/** OpenAI function names are letters, digits, `_` and `-`, at most 64. */
function functionOf(ref: AgentRef | ToolRef): ChatRequest['tools'][number] {
  return { name: functionName(ref.name), description: ref.description, parameters: jsonSchema(ref.input, 'input') };
}

const functionName = (name: string) => name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 64);

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest as JsonSchema;
}

const hasText = (ref: AgentRef) => 'text' in ((jsonSchema(ref.output, 'input').properties ?? {}) as object);

/** The model is held to the output's shape only where its answer is parsed as such. */
function responseSchemaOf(ref: AgentRef, options: LlmAgentOptions): JsonSchema | undefined {
  return options.parse !== undefined || hasText(ref) ? undefined : jsonSchema(ref.output, 'input');
}

function answerOf(ref: AgentRef, options: LlmAgentOptions, text: string, input: unknown): unknown {
  if (options.parse !== undefined) return options.parse(text, input as never);
  if (hasText(ref)) return { text };
  try {
    return JSON.parse(text);
  } catch {
    throw new CallError({ code: 'invalid', message: `the model's answer is not JSON: ${text.slice(0, 200)}`, component: ref.name });
  }
}

/** Text goes out as the chunk schema wants it: a string, or an object with a `text`. */
function textEmitter(ref: AgentRef, emit: (chunk: unknown) => void): (text: string) => void {
  const plain = ref.chunk === undefined || ref.chunk.safeParse('').success;
  return (text) => emit(plain ? text : { text });
}
