import { ApiError, type ChatCall } from '../server/chat-request.ts';
import { createDeltas } from '../server/deltas.ts';
import { promptOf } from '../server/prompt.ts';
import type { ReplyRule } from '../server/replies.ts';
import { replyTo } from '../server/reply.ts';
import type { AnsweredCall } from './answer.ts';
import type { CallOptions } from './call-options.ts';
import { grammarSchema } from './grammar-schema.ts';
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
  readonly finish: (tokensOut: number) => {
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
    finish: () => ({ finish: calls.length > 0 ? 'tool_calls' : cut ? 'length' : 'stop', toolCalls: calls }),
  };
}

const repeated = (tokens: readonly Token[], length: number): readonly Token[] =>
  tokens.length >= length || tokens.length === 0 ? tokens : Array.from({ length }, (_, index) => tokens[index % tokens.length] ?? 0);

/** What the model says by itself; tools and forms by a grammar it is held to. */
export function ownReply(
  model: LlamaModel,
  call: ChatCall,
  options: CallOptions,
  bounds: Parameters<typeof grammarSchema>[1],
  limits: Limits,
): ReplyPlan {
  const tools = toolsToCall(call);
  const form =
    tools.length > 0
      ? { type: 'object', properties: Object.fromEntries(tools.map(({ name, parameters }) => [name, grammarSchema(parameters, bounds)])) }
      : call.responseSchema === undefined
        ? undefined
        : grammarSchema(Object.keys(call.responseSchema).length > 0 ? call.responseSchema : anyAnswer, bounds);
  const limit = Math.min(call.maxTokens ?? limits.maxTokens, limits.room);
  const reader = textReader(model);
  let ended = false;
  let complete = false;
  const read = (token: Token, index: number): string | undefined => {
    const isEnd = model.isEogToken(token);
    if (isEnd && (form !== undefined || (!options.ignoreEnd && index >= options.minTokens))) ended = true;
    if (ended) return undefined;
    if (isEnd) return '';
    const piece = reader.next(token);
    if (form === undefined) return piece;
    // After a complete value these grammars ask for empty lines without an end.
    complete = piece.endsWith('\n') && isJson(reader.text());
    if (complete) ended = true;
    return tools.length > 0 ? '' : complete ? piece.trimEnd() : piece;
  };
  return {
    tokensOut: limit,
    ...(form === undefined ? {} : { schema: form }),
    read: (token, index) => (complete ? undefined : read(token, index)),
    finish: (tokensOut) => {
      if (tools.length === 0) return { finish: ended || tokensOut < limit ? 'stop' : 'length', toolCalls: [] };
      const calls = parsedCalls(reader.text());
      const hash = promptOf(call).hash.slice(0, 16);
      return {
        finish: calls.length > 0 ? 'tool_calls' : 'length',
        toolCalls: calls.map(([name, given], index) => ({ id: `call_${hash}_${index}`, name, arguments: JSON.stringify(given) })),
      };
    },
  };
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

function parsedCalls(text: string): [string, unknown][] {
  try {
    return Object.entries(JSON.parse(text) as Record<string, unknown>);
  } catch {
    return [];
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
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
