import { z } from 'zod';
import { fail, type Json } from '../../../compiler/contracts/index.ts';
import type { CallMessage, ChatCall } from './chat-request.ts';
import { jsonIn } from './facts.ts';

const regex = z.string().refine(isRegex, 'not a valid regular expression');

function isRegex(source: string): boolean {
  try {
    new RegExp(source, 'iu');
    return true;
  } catch {
    return false;
  }
}

const rule = z
  .strictObject({
    when: z
      .strictObject({
        system: regex.optional().describe('Matches the system messages'),
        user: regex.optional().describe('Matches the last user message'),
        turn: z.int().positive().optional().describe('1 for the first reply to a user message, 2 after the first tool results'),
      })
      .prefault({}),
    text: z.string().optional(),
    json: z.json().optional(),
    toolCalls: z
      .array(z.strictObject({ name: z.string(), arguments: z.json().default({}) }))
      .min(1)
      .optional(),
    tokensOut: z
      .union([z.int().positive(), z.string().regex(/^\{\{[^{}]+\}\}$/, 'a number, or one placeholder such as {{user.tokens}}')])
      .optional()
      .describe('Length to simulate instead of the length of the reply; one placeholder takes it from the request'),
    delayTokens: z.int().nonnegative().default(0).describe('Tokens produced before the first that can be seen, as by a reasoning model'),
  })
  .refine((value) => [value.text, value.json, value.toolCalls].filter((one) => one !== undefined).length === 1, {
    message: 'give exactly one of text, json and toolCalls',
  });

/** Scripted replies of the simulated model: the first rule that matches decides. */
export const repliesSchema = z.array(rule);
export type ReplyRule = z.output<typeof rule>;

/** Throws DMAS_CFG_INVALID_VALUE with every problem at once. */
export function parseReplies(value: unknown): readonly ReplyRule[] {
  const parsed = repliesSchema.safeParse(value ?? []);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => `${['replies', ...issue.path].join('.')}: ${issue.message}`);
  return fail('DMAS_CFG_INVALID_VALUE', lines.join('\n'), { fix: 'See docs/models.md for the form of a replies file.' });
}

/** Where a conversation stands, as far as replies depend on it. */
export interface Turn {
  readonly system: string;
  readonly user: string;
  /** 1 for the first reply to the last user message. */
  readonly number: number;
  /** Answers of tools since the last user message, in the order they stand. */
  readonly toolResults: readonly { readonly name: string; readonly text: string }[];
}

export function turnOf(call: ChatCall): Turn {
  const userAt = call.messages.findLastIndex((message) => message.role === 'user');
  const since = call.messages.slice(userAt + 1);
  const names = new Map(since.flatMap((message) => message.toolCalls.map((toolCall) => [toolCall.id, toolCall.name])));
  const textOf = (messages: readonly CallMessage[]) => messages.map((message) => message.text).join('\n');
  return {
    system: textOf(call.messages.filter((message) => message.role === 'system')),
    user: call.messages[userAt]?.text ?? '',
    number: 1 + since.filter((message) => message.role === 'assistant').length,
    toolResults: since.flatMap((message) =>
      message.role === 'tool' ? [{ name: names.get(message.toolCallId ?? '') ?? 'tool', text: message.text }] : [],
    ),
  };
}

export function matchingRule(rules: readonly ReplyRule[], turn: Turn): ReplyRule | undefined {
  const matches = (source: string | undefined, text: string) => source === undefined || new RegExp(source, 'iu').test(text);
  return rules.find(({ when, toolCalls }) => {
    // Calling the same tools after every answer would never end.
    const number = when.turn ?? (toolCalls ? 1 : undefined);
    return matches(when.system, turn.system) && matches(when.user, turn.user) && (number === undefined || number === turn.number);
  });
}

/** Fills `{{user.key}}` and `{{tool.name.key}}` in every string; a string that is one placeholder takes the value itself. */
export function fillPlaceholders<T extends Json>(value: T, turn: Turn): Json {
  if (typeof value === 'string') return fillText(value, turn);
  if (Array.isArray(value)) return value.map((item: Json) => fillPlaceholders(item, turn));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, fillPlaceholders(member as Json, turn)]));
}

const placeholder = /\{\{\s*(user|tool)((?:\.[\w-]+)*)\s*\}\}/g;

function fillText(text: string, turn: Turn): Json {
  const [only] = [...text.matchAll(placeholder)];
  if (only && only[0] === text) return valueAt(only, turn) ?? '';
  return text.replace(placeholder, (...found) => {
    const value = valueAt(found as unknown as RegExpMatchArray, turn) ?? '';
    return typeof value === 'string' ? value : JSON.stringify(value);
  });
}

function valueAt([, kind, path = '']: RegExpMatchArray, turn: Turn): Json | undefined {
  const steps = path.split('.').filter(Boolean);
  let text: string | undefined = turn.user;
  if (kind === 'tool') {
    const name = steps.shift();
    text = turn.toolResults.find((result) => result.name === name)?.text;
  }
  if (text === undefined) return undefined;
  if (steps.length === 0) return text;
  let value: Json | undefined = jsonIn(text);
  for (const step of steps) {
    value = typeof value === 'object' && value !== null ? (value as { readonly [key: string]: Json })[step] : undefined;
  }
  return value;
}
