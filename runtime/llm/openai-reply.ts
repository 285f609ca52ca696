import type { ChatReply, ChatRequest, ToolCall } from './backend.ts';
import { modelFault } from './openai-errors.ts';
import { estimateTokens, promptParts } from './prompt-parts.ts';

/**
 * What endpoints send is not what they promise: every field is looked at before it is used. Additions of ours are in
 * `x_dmas` (see `docs/models.md`).
 */
type Loose = { readonly [field: string]: unknown };

/** A whole reply. @throws CallError `malformed` */
export function readWhole(data: unknown, request: ChatRequest): Omit<ChatReply, 'firstChunkMs'> {
  const body = objectOf(data, 'the reply');
  const [choice] = listOf(body.choices, 'choices');
  if (choice === undefined) throw malformed('it holds no choice');
  const { message, finish_reason: reason } = objectOf(choice, 'a choice');
  const { content, tool_calls: given } = objectOf(message, 'the message');
  const text = textOf(content, 'content');
  const toolCalls = listOf(given ?? [], 'tool_calls').flatMap((each) => {
    const { id, type, function: called } = objectOf(each, 'a tool call');
    if (type !== undefined && type !== 'function') return [];
    const { name, arguments: args } = objectOf(called, 'the function of a tool call');
    return [{ id: textOf(id, 'the id of a tool call'), name: textOf(name, 'the name of a tool'), arguments: argumentsOf(args) }];
  });
  return finished({ text, calls: toolCalls, reason, usage: body.usage, extension: body.x_dmas }, request);
}

/** Puts the chunks of a streamed reply together. */
export class StreamedReply {
  #text = '';
  #reason: unknown;
  #usage: unknown;
  #extension: unknown;
  readonly #calls = new Map<number, { id: string; name: string; arguments: string }>();

  /** The text that came with the chunk. @throws CallError `malformed` */
  take(data: unknown): string {
    const chunk = objectOf(data, 'a chunk');
    this.#usage = chunk.usage ?? this.#usage;
    this.#extension = chunk.x_dmas ?? this.#extension;
    const [choice] = listOf(chunk.choices ?? [], 'choices');
    if (choice === undefined) return '';
    const { delta, finish_reason: reason } = objectOf(choice, 'a choice');
    this.#reason = reason ?? this.#reason;
    if (delta === undefined || delta === null) return '';
    const { content, tool_calls: given } = objectOf(delta, 'a delta');
    for (const each of listOf(given ?? [], 'tool_calls')) this.#call(objectOf(each, 'a tool call'));
    const text = textOf(content, 'content');
    this.#text += text;
    return text;
  }

  /** @throws CallError `brokenOff` when the stream ended before the reply did */
  end(request: ChatRequest): Omit<ChatReply, 'firstChunkMs'> {
    if (this.#reason === undefined) throw modelFault('brokenOff', 'the reply of the model ended early');
    const calls = [...this.#calls].sort(([a], [b]) => a - b).map(([, call]) => call);
    return finished({ text: this.#text, calls, reason: this.#reason, usage: this.#usage, extension: this.#extension }, request);
  }

  #call({ index, id, function: called }: Loose): void {
    const { name, arguments: args } = objectOf(called ?? {}, 'the function of a tool call');
    const at = this.#indexOf(index, id);
    const call = this.#calls.get(at) ?? { id: '', name: '', arguments: '' };
    this.#calls.set(at, call);
    call.id ||= textOf(id, 'the id of a tool call');
    call.name ||= textOf(name, 'the name of a tool');
    call.arguments += argumentsOf(args);
  }

  /** Servers that leave the index out send a new id with each call and none with what belongs to the last one. */
  #indexOf(index: unknown, id: unknown): number {
    if (typeof index === 'number' && Number.isInteger(index) && index >= 0) return index;
    if (index !== undefined && index !== null) throw malformed('the index of a tool call is no number');
    const known = [...this.#calls].find(([, call]) => call.id === id && id !== '');
    if (known !== undefined) return known[0];
    return typeof id === 'string' && id !== '' ? this.#calls.size : Math.max(0, this.#calls.size - 1);
  }
}

interface Parts {
  readonly text: string;
  readonly calls: readonly ToolCall[];
  readonly reason: unknown;
  readonly usage: unknown;
  readonly extension: unknown;
}

function finished({ text, calls, reason, usage, extension }: Parts, request: ChatRequest): Omit<ChatReply, 'firstChunkMs'> {
  const reported = usageOf(usage);
  const queueMs = (extension as Loose | undefined)?.queue_ms;
  return {
    text,
    toolCalls: calls,
    finish: calls.length > 0 ? 'tool_calls' : reason === 'length' ? 'length' : 'stop',
    usage: reported ?? estimatedUsage(text, calls, request),
    ...(reported === undefined ? { usageEstimated: true } : {}),
    ...(typeof queueMs === 'number' && Number.isFinite(queueMs) ? { queueMs } : {}),
  };
}

/** Undefined where the endpoint says nothing, or nothing that could be counted. */
function usageOf(usage: unknown): ChatReply['usage'] | undefined {
  if (typeof usage !== 'object' || usage === null) return undefined;
  const { prompt_tokens: tokensIn, completion_tokens: tokensOut, prompt_tokens_details: details } = usage as Loose;
  if (!isCount(tokensIn) || !isCount(tokensOut)) return undefined;
  const cached = typeof details === 'object' && details !== null ? (details as Loose).cached_tokens : undefined;
  // What came from a cache is part of the prompt, whatever an endpoint says.
  return { tokensIn, tokensCached: isCount(cached) ? Math.min(cached, tokensIn) : 0, tokensOut };
}

function estimatedUsage(text: string, calls: readonly ToolCall[], request: ChatRequest): ChatReply['usage'] {
  const reply = text + calls.map((call) => call.name + call.arguments).join('');
  const tokensIn = promptParts(request).reduce((sum, part) => sum + estimateTokens(part), 0);
  return { tokensIn, tokensCached: 0, tokensOut: reply === '' ? 0 : estimateTokens(reply) };
}

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0;

const malformed = (what: string) => modelFault('malformed', `the model endpoint sent something that is no reply: ${what}`);

function objectOf(value: unknown, what: string): Loose {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(`${what} is no object`);
  return value as Loose;
}

function listOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(`${what} is no list`);
  return value;
}

function textOf(value: unknown, what: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw malformed(`${what} is no text`);
  return value;
}

/** JSON text; servers that send the value itself mean the same. */
function argumentsOf(value: unknown): string {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : textOf(value, 'the arguments of a tool call');
}
