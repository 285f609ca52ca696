import { createHash } from 'node:crypto';
import { canonicalJson, type Json, type TapeKeys, type TapeKind } from '../../compiler/contracts/index.ts';
import { type Scrub, scrubJson } from './scrub.ts';
import { epochMs, type Strength, withoutVolatile } from './volatile.ts';

type Fields = { readonly [key: string]: Json };

/**
 * Fields of a model request that do not belong to the question: how the reply is sent, how it is drawn (the tape is the
 * draw), and who asks. The model's name on the wire is left out too: what is matched is the logical one.
 */
const ignoredFields: ReadonlySet<string> = new Set([
  'model',
  'stream',
  'stream_options',
  'temperature',
  'top_p',
  'seed',
  'frequency_penalty',
  'presence_penalty',
  'user',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'metadata',
  'store',
  'service_tier',
  'logprobs',
  'top_logprobs',
]);

export interface KeyRules {
  readonly scrub: Scrub;
  /** Fields to leave out beside the usual ones: of the body of a request, or of the input of a tool. */
  readonly ignore: readonly string[];
  /** Milliseconds since the epoch: what is "now" in a prompt. */
  readonly nowMs: number;
}

/** Keys of a request to a model's chat completions. */
export const chatKeys = (target: string, body: Json, rules: KeyRules): TapeKeys => keysOf('model', target, normalChat(body, rules), rules);

/** Keys of any other call: the input as it is. */
export const valueKeys = (kind: TapeKind, target: string, input: Json, rules: KeyRules): TapeKeys =>
  keysOf(kind, target, isFields(input) ? without(input, new Set(rules.ignore)) : input, rules);

function keysOf(kind: TapeKind, target: string, question: Json, { scrub, nowMs }: KeyRules): TapeKeys {
  const clean = scrubJson(question, scrub);
  const key = (strength: Strength) =>
    createHash('sha256')
      .update(canonicalJson([kind, target, sorted(strip(clean, strength, nowMs))]))
      .digest('hex');
  return { exact: key('exact'), near: key('near'), loose: key('loose') };
}

function strip(value: Json, strength: Strength, nowMs: number): Json {
  if (strength === 'exact') return value;
  if (typeof value === 'string') return withoutVolatile(value, strength, nowMs);
  if (typeof value === 'number') {
    const ms = epochMs(value);
    return ms === undefined || (strength === 'near' && Math.abs(ms - nowMs) > 24 * 3_600_000) ? value : '<time>';
  }
  if (Array.isArray(value)) return value.map((item: Json) => strip(item, strength, nowMs));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, strip(member as Json, strength, nowMs)]));
}

/** A list of parallel calls with their results, in no order that means anything. Sorted after everything else is decided. */
const parallel = 'x-parallel';

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const members = Object.entries(value as Fields).map(([key, member]): [string, Json] => {
    const inner = sorted(member);
    if (key !== parallel || !Array.isArray(inner)) return [key, inner];
    return [key, [...(inner as Json[])].sort((a, b) => (canonicalJson(a) < canonicalJson(b) ? -1 : 1))];
  });
  return Object.fromEntries(members);
}

function normalChat(body: Json, { ignore }: KeyRules): Json {
  if (!isFields(body)) return body;
  const { max_tokens, max_completion_tokens, messages, tools, tool_choice, parallel_tool_calls, n, ...rest } = without(
    body,
    new Set([...ignoredFields, ...ignore]),
  );
  const limit = max_completion_tokens ?? max_tokens;
  return dropDefaults({
    ...rest,
    limit: limit ?? null,
    messages: Array.isArray(messages) ? normalMessages(messages as Json[]) : (messages ?? null),
    tools: Array.isArray(tools) && tools.length > 0 ? tools : null,
    tool_choice: tool_choice === 'auto' ? null : (tool_choice ?? null),
    parallel_tool_calls: parallel_tool_calls === false ? false : null,
    n: n === 1 ? null : (n ?? null),
  });
}

/** What is null says the same as what is not there. */
const dropDefaults = (fields: Fields): Fields => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null));

/**
 * Messages without ids: each call of an assistant stands together with its result, wherever among the results that came,
 * and parallel calls stand in no order.
 */
function normalMessages(messages: readonly Json[]): Json[] {
  const normal: Json[] = [];
  let open: { readonly id: Json; readonly call: { [key: string]: Json } }[] = [];
  for (const message of messages) {
    if (!isFields(message)) {
      normal.push(message);
      continue;
    }
    const { role, content = null, tool_calls, tool_call_id, ...rest } = message;
    if (role === 'tool') {
      const asked = open.find(({ id, call }) => id === tool_call_id && !('result' in call));
      if (asked) asked.call.result = textOf(content);
      else normal.push({ role, content: textOf(content) });
      continue;
    }
    const calls = Array.isArray(tool_calls) ? (tool_calls as Json[]).filter(isFields) : [];
    open = calls.map((call) => ({ id: call.id ?? null, call: { ...functionOf(call) } }));
    const plain = dropDefaults(without(rest, new Set(['refusal', 'annotations', 'audio', 'function_call', 'id'])));
    normal.push({
      ...plain,
      role: role === 'developer' ? 'system' : (role ?? null),
      content: textOf(content),
      ...(open.length > 0 ? { [parallel]: open.map(({ call }) => call) } : {}),
    });
  }
  return normal;
}

function functionOf(call: Fields): Fields {
  const { function: given } = call;
  if (!isFields(given ?? null)) return without(call, new Set(['id', 'type']));
  const { name = null, arguments: args = '' } = given as Fields;
  return { name, arguments: typeof args === 'string' ? parsed(args) : args };
}

/** Text parts joined; other parts (images) as they are. */
function textOf(content: Json): Json {
  if (!Array.isArray(content)) return content ?? '';
  const parts = content as Json[];
  const texts = parts.map((part) => (isFields(part) && part.type === 'text' ? (part.text ?? '') : part));
  return texts.every((text) => typeof text === 'string') ? texts.join('') : texts;
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

const isFields = (value: Json): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
const without = (fields: Fields, names: ReadonlySet<string>): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !names.has(name)));
