import { createRandom, fnv1a, type Json, type JsonSchema } from '../../../compiler/contracts/index.ts';
import { ApiError, type CallTool, type ChatCall } from './chat-request.ts';
import { keyFacts, lookupIn } from './facts.ts';
import { charactersPerToken, countTokens, type Prompt } from './prompt.ts';
import { fillPlaceholders, matchingRule, type ReplyRule, type Turn, turnOf } from './replies.ts';
import { valueFor } from './schema-values.ts';

export interface Reply {
  readonly text: string;
  readonly toolCalls: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
  readonly finish: 'stop' | 'tool_calls' | 'length';
  /** Tokens that can be seen. */
  readonly tokensVisible: number;
  /** Tokens produced before the first visible one. */
  readonly tokensHidden: number;
}

/**
 * What the simulated model says: a function of the messages, the tools, the wanted form and the script alone. Offered
 * tools are called once per user message, all at once (one by one without `parallel_tool_calls`); then it answers.
 */
export function replyTo(call: ChatCall, prompt: Prompt, rules: readonly ReplyRule[]): Reply {
  const turn = turnOf(call);
  const rule = matchingRule(rules, turn);
  if (rule) return scripted(rule, call, prompt, turn);
  const tools = toolsToCall(call, turn);
  if (tools.length > 0) {
    const source = { known: lookupIn([turn.user, ...turn.toolResults.map((result) => result.text)]), text: turn.user };
    const chosen = tools.map((tool) => ({
      name: tool.name,
      arguments: valueFor(tool.parameters, { ...source, seed: `${prompt.hash}${tool.name}` }),
    }));
    return callingReply(chosen, prompt);
  }
  if (call.responseSchema) return textReply(jsonAnswer(call.responseSchema, prompt, turn), call);
  return textReply(fitted(answerText(prompt, turn), call.maxTokens), call);
}

function toolsToCall(call: ChatCall, turn: Turn): readonly CallTool[] {
  const { toolChoice } = call;
  if (toolChoice.kind === 'none') return [];
  if (toolChoice.kind === 'named') {
    const tool = call.tools.find((one) => one.name === toolChoice.name);
    if (!tool) throw new ApiError(400, null, `tool_choice names ${toolChoice.name}, which is not among the tools`, 'tool_choice');
    return [tool];
  }
  if (toolChoice.kind === 'required' && call.tools.length === 0) {
    throw new ApiError(400, null, 'tool_choice is required, but there are no tools', 'tool_choice');
  }
  if (call.parallelToolCalls) return turn.number === 1 || toolChoice.kind === 'required' ? call.tools : [];
  const next = call.tools[turn.number - 1] ?? (toolChoice.kind === 'required' ? call.tools[0] : undefined);
  return next ? [next] : [];
}

function scripted(rule: ReplyRule, call: ChatCall, prompt: Prompt, turn: Turn): Reply {
  const reply = rule.toolCalls
    ? scriptedCalls(rule.toolCalls, call, prompt, turn)
    : textReply(
        rule.text === undefined ? JSON.stringify(fillPlaceholders(rule.json as Json, turn)) : asText(fillPlaceholders(rule.text, turn)),
        call,
      );
  return { ...reply, tokensVisible: lengthOf(rule, turn) ?? reply.tokensVisible, tokensHidden: rule.delayTokens };
}

/** A placeholder that leads to no whole number leaves the reply its own length. */
function lengthOf({ tokensOut }: ReplyRule, turn: Turn): number | undefined {
  if (typeof tokensOut !== 'string') return tokensOut;
  const value = Number(fillPlaceholders(tokensOut, turn));
  return Number.isInteger(value) && value > 0 ? value : undefined;
}

const asText = (value: Json) => (typeof value === 'string' ? value : JSON.stringify(value));

function scriptedCalls(calls: NonNullable<ReplyRule['toolCalls']>, call: ChatCall, prompt: Prompt, turn: Turn): Reply {
  for (const { name } of calls) {
    if (call.tools.some((tool) => tool.name === name)) continue;
    const offered = call.tools.map((tool) => tool.name).join(', ') || 'none';
    throw new ApiError(400, 'unknown_tool', `the replies file calls tool ${name}, which this request does not offer (offered: ${offered})`);
  }
  return callingReply(
    calls.map(({ name, arguments: given }) => ({ name, arguments: fillPlaceholders(given, turn) })),
    prompt,
  );
}

function callingReply(calls: readonly { readonly name: string; readonly arguments: Json }[], prompt: Prompt): Reply {
  const toolCalls = calls.map(({ name, arguments: given }, index) => ({
    id: `call_${prompt.hash.slice(0, 16)}_${index}`,
    name,
    arguments: JSON.stringify(given),
  }));
  const tokensVisible = toolCalls.reduce((sum, one) => sum + countTokens(one.name + one.arguments), 0);
  return { text: '', toolCalls, finish: 'tool_calls', tokensVisible, tokensHidden: 0 };
}

/** Cut where a stop sequence or the token limit says, as an engine does. Tool calls are never cut. */
function textReply(given: string, call: ChatCall): Reply {
  const text = beforeStop(given, call.stop);
  const limit = (call.maxTokens ?? Infinity) * charactersPerToken;
  const cut = text.length > limit;
  const kept = cut ? text.slice(0, limit) : text;
  return { text: kept, toolCalls: [], finish: cut ? 'length' : 'stop', tokensVisible: countTokens(kept), tokensHidden: 0 };
}

function beforeStop(text: string, stop: readonly string[]): string {
  const ends = stop.flatMap((sequence) => {
    const at = sequence === '' ? -1 : text.indexOf(sequence);
    return at < 0 ? [] : [at];
  });
  return ends.length === 0 ? text : text.slice(0, Math.min(...ends));
}

function jsonAnswer(schema: JsonSchema, prompt: Prompt, turn: Turn): string {
  const known = lookupIn([...turn.toolResults.map((result) => result.text), turn.user]);
  const form: JsonSchema =
    Object.keys(schema).length > 0 ? schema : { type: 'object', properties: { answer: { type: 'string' } }, required: ['answer'] };
  return JSON.stringify(valueFor(form, { known, text: answerText(prompt, turn), seed: prompt.hash }));
}

const shortestTokens = 24;
const longestTokens = 96;
const subjects = ['The plan', 'This choice', 'The first option', 'A short visit', 'The usual way', 'The second part', 'A careful start'];
const verbs = ['works well', 'saves time', 'needs little', 'fits the wishes', 'leaves room', 'keeps costs low', 'stays flexible'];
const ends = [
  'in the morning',
  'for most people',
  'without a detour',
  'at this time of year',
  'when booked early',
  'with one reserve',
  'on any day',
];

/** The key facts of the tools' answers (of the user's message when there are none), drawn out to a length of 24 to 96 tokens. */
function answerText(prompt: Prompt, turn: Turn): string {
  const random = createRandom(fnv1a(prompt.hash));
  const characters = charactersPerToken * (shortestTokens + random.integer(longestTokens - shortestTokens + 1));
  const facts = turn.toolResults.map((result) => `According to ${result.name}: ${keyFacts(result.text)}.`);
  let text = facts.length > 0 ? facts.join(' ') : `About ${keyFacts(turn.user) || 'nothing'}:`;
  const pick = (list: readonly string[]) => list[random.integer(list.length)] ?? '';
  while (text.length < characters) text += ` ${pick(subjects)} ${pick(verbs)} ${pick(ends)}.`;
  return text;
}

/** A model that knows its limit stops by itself; below 16 tokens it does not manage. */
function fitted(text: string, maxTokens: number | undefined): string {
  if (maxTokens === undefined || maxTokens < 16 || text.length <= maxTokens * charactersPerToken) return text;
  const cut = text.slice(0, maxTokens * charactersPerToken - 1);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(' '), 1)).replace(/[ ,.:]+$/, '')}.`;
}
