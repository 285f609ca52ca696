import { ApiError, type ChatCall } from '../server/chat-request.ts';
import { createDeltas } from '../server/deltas.ts';
import { promptOf } from '../server/prompt.ts';
import type { ReplyRule } from '../server/replies.ts';
import { replyTo } from '../server/reply.ts';
import type { AnsweredCall } from './answer.ts';
import type { CallOptions } from './call-options.ts';
import { type Bounds, grammarSchema } from './grammar-schema.ts';
import type { LlamaModel, Token } from './peer.ts';
import { callsText } from './prompt-tokens.ts';

/** What is to be computed for one request, and what becomes of its tokens. */
export interface ReplyPlan {
  readonly tokensOut: number;
  /** The whole reply where it is decided beforehand. */
  readonly given?: readonly Token[];
  /** The form the model is held to. */
  readonly schema?: unknown;
  /** Text that can be shown once token `index` is there; undefined: the reply ends before this token. */
  readonly read: (token: Token, index: number) => string | undefined;
  /** Asked after `read`: nothing more is to come. */
  readonly isOver: () => boolean;
  readonly finish: () => {
    readonly finish: 'stop' | 'length' | 'tool_calls';
    readonly toolCalls: readonly AnsweredCall[];
  };
}

interface Limits {
  /** Tokens left in the context of a slot after the prompt. */
  readonly room: number;
  /** Where the request sets none. */
  readonly maxTokens: number;
}

/** Room a reply rule leaves for our tokens, which are shorter than its four characters. Measured on English text: 2.7 characters. */
const ruleTokensPerToken = 0.6;
const shortestFitted = 32;

/** The reply a simulated model would give, to be put through the model: same answer in every placement, same work as any other reply. */
export function givenReply(
  model: LlamaModel,
  call: ChatCall,
  options: CallOptions,
  rules: readonly ReplyRule[],
  limits: Limits,
): ReplyPlan {
  const prompt = promptOf(call);
  const asked =
    call.maxTokens !== undefined && call.maxTokens >= shortestFitted ? Math.floor(call.maxTokens * ruleTokensPerToken) : undefined;
  const reply = replyTo({ ...call, maxTokens: asked }, prompt, rules);
  const calls = reply.toolCalls;
  const tokens = model.tokenize(calls.length > 0 ? callsText(calls) : reply.text);
  const limit = Math.min(call.maxTokens ?? Infinity, limits.room);
  // A call or a form that was cut is worth nothing, so as with the simulated model only the context cuts it.
  const whole = calls.length > 0 || call.responseSchema !== undefined;
  const least = whole ? 0 : options.ignoreEnd ? limit : Math.min(options.minTokens, limit);
  const drawnOut = repeated(tokens, Math.max(least === Infinity ? limits.maxTokens : least, tokens.length));
  const given = drawnOut.slice(0, whole ? limits.room : limit);
  const text = calls.length > 0 ? '' : given.length === tokens.length ? reply.text : model.detokenize(given);
  const deltas = createDeltas({ ...reply, text, toolCalls: [], tokensVisible: given.length });
  const cut = given.length < tokens.length || (options.ignoreEnd && !whole);
  return {
    tokensOut: given.length,
    given,
    read: (_token, index) => deltas.next(index + 1)[0]?.content ?? '',
    isOver: () => false,
    finish: () => ({ finish: calls.length > 0 ? 'tool_calls' : cut ? 'length' : 'stop', toolCalls: calls }),
  };
}

const repeated = (tokens: readonly Token[], length: number): readonly Token[] =>
  tokens.length >= length || tokens.length === 0 ? tokens : Array.from({ length }, (_, index) => tokens[index % tokens.length] ?? 0);

/** What a model may do by itself. */
interface OwnWays {
  /** Whether it can choose between tools and an answer; with random weights the course is given, see `toolsToCall`. */
  readonly chooses: boolean;
  readonly bounds: Bounds;
}

/** What the model says by itself; tools and forms by a grammar it is held to. */
export function ownReply(model: LlamaModel, call: ChatCall, options: CallOptions, ways: OwnWays, limits: Limits): ReplyPlan {
  const form = formOf(call, ways);
  const limit = Math.min(call.maxTokens ?? limits.maxTokens, limits.room);
  const reader = textReader(model);
  let ended = false;
  const read = (token: Token, index: number): string | undefined => {
    if (ended) return undefined;
    if (model.isEogToken(token)) {
      ended = form !== undefined || (!options.ignoreEnd && index >= options.minTokens);
      return ended ? undefined : '';
    }
    const piece = reader.next(token);
    if (form === undefined) return piece;
    // After a complete value these grammars ask for empty lines without an end.
    ended = piece.endsWith('\n') && parsed(reader.text()) !== undefined;
    if (form.kind === 'json') return ended ? piece.trimEnd() : piece;
    return ended && form.kind === 'choice' ? answerIn(reader.text()) : '';
  };
  return {
    tokensOut: limit,
    ...(form === undefined ? {} : { schema: form.schema }),
    read,
    isOver: () => ended,
    finish: () => {
      const calls = form === undefined ? [] : callsIn(form.kind, reader.text());
      const hash = promptOf(call).hash.slice(0, 16);
      return {
        finish: calls.length > 0 ? 'tool_calls' : ended ? 'stop' : 'length',
        toolCalls: calls.map(({ name, given }, index) => ({ id: `call_${hash}_${index}`, name, arguments: JSON.stringify(given) })),
      };
    },
  };
}

/** `calls`: one property per tool to call; `choice`: one tool or an answer; `json`: what the request asks for. */
interface Form {
  readonly kind: 'calls' | 'choice' | 'json';
  readonly schema: unknown;
}

function formOf(call: ChatCall, { chooses, bounds }: OwnWays): Form | undefined {
  const argumentsOf = ({ parameters }: ChatCall['tools'][number]) => grammarSchema(parameters, bounds);
  if (chooses && call.tools.length > 0 && call.toolChoice.kind === 'auto') {
    const answer = { type: 'object', properties: { answer: grammarSchema({ type: 'string' }, bounds) } };
    const calls = call.tools.map((tool) => ({ type: 'object', properties: { tool: { const: tool.name }, arguments: argumentsOf(tool) } }));
    return { kind: 'choice', schema: { oneOf: [...calls, answer] } };
  }
  const tools = toolsToCall(call);
  if (tools.length > 0) {
    return {
      kind: 'calls',
      schema: { type: 'object', properties: Object.fromEntries(tools.map((tool) => [tool.name, argumentsOf(tool)])) },
    };
  }
  const { responseSchema } = call;
  if (responseSchema === undefined) return undefined;
  return { kind: 'json', schema: grammarSchema(Object.keys(responseSchema).length > 0 ? responseSchema : anyAnswer, bounds) };
}

const answerIn = (text: string): string => {
  const { answer } = (parsed(text) ?? {}) as { readonly answer?: unknown };
  return typeof answer === 'string' ? answer : '';
};

function callsIn(kind: Form['kind'], text: string): { readonly name: string; readonly given: unknown }[] {
  const value = parsed(text);
  if (kind === 'json' || typeof value !== 'object' || value === null) return [];
  if (kind === 'calls') return Object.entries(value).map(([name, given]) => ({ name, given }));
  const { tool, arguments: given } = value as { readonly tool?: unknown; readonly arguments?: unknown };
  return typeof tool === 'string' ? [{ name: tool, given }] : [];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const anyAnswer = { type: 'object', properties: { answer: { type: 'string' } }, required: ['answer'] };

/**
 * A model of random weights cannot choose, so the course is the simulated model's: offered tools are called once after a user message, all
 * at once or, without `parallel_tool_calls`, one per turn; then it answers.
 */
function toolsToCall(call: ChatCall): ChatCall['tools'] {
  const { toolChoice, tools } = call;
  if (toolChoice.kind === 'none') return [];
  if (toolChoice.kind === 'named') {
    const named = tools.filter((tool) => tool.name === toolChoice.name);
    if (named.length > 0) return named;
    throw new ApiError(400, null, `tool_choice names ${toolChoice.name}, which is not among the tools`, 'tool_choice');
  }
  const required = toolChoice.kind === 'required';
  if (required && tools.length === 0) throw new ApiError(400, null, 'tool_choice is required, but there are no tools', 'tool_choice');
  const since = call.messages.slice(call.messages.findLastIndex((message) => message.role === 'user') + 1);
  const turn = since.filter((message) => message.role === 'assistant').length;
  if (call.parallelToolCalls) return turn === 0 || required ? tools : [];
  const next = tools[turn] ?? (required ? tools[0] : undefined);
  return next ? [next] : [];
}

const contextTokens = 4;

/** Tokens to text, a letter in several tokens shown once it is whole. */
function textReader(model: LlamaModel): { next(token: Token): string; text(): string } {
  const last: Token[] = [];
  let held: Token[] = [];
  let text = '';
  return {
    next: (token) => {
      held.push(token);
      const piece = model.detokenize(held, false, last);
      // A letter of more than four bytes does not exist, so what is broken by then stays so.
      if (piece.endsWith('\uFFFD') && held.length < contextTokens) return '';
      last.push(...held);
      last.splice(0, Math.max(0, last.length - contextTokens));
      held = [];
      text += piece;
      return piece;
    },
    text: () => text,
  };
}
