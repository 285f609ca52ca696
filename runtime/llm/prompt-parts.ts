import { createHash } from 'node:crypto';
import type { ChatRequest } from './backend.ts';

/**
 * Four characters are one token. Source: OpenAI's rule of thumb for English text
 * (https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them).
 */
const charactersPerToken = 4;
export const estimateTokens = (text: string): number => Math.max(1, Math.ceil(text.length / charactersPerToken));

/**
 * A prompt as the texts it is made of, in order: tools first, as chat templates put them, then one per message. Ids of
 * calls are left out, as they carry nothing a model could read.
 */
export function promptParts({ messages, tools }: Pick<ChatRequest, 'messages' | 'tools'>): string[] {
  const parts = messages.map(({ role, content, toolCalls = [] }) =>
    toolCalls.length === 0
      ? `${role}\n${content}`
      : `${role}\n${content}${toolCalls.map((call) => `${call.name}(${call.arguments})`).join('')}`,
  );
  return tools.length === 0 ? parts : [JSON.stringify(tools), ...parts];
}

/** The same of a request on its way, whoever built it. Empty for what is no chat. */
export function promptPartsOfBody(body: { readonly [field: string]: unknown }): string[] {
  if (!Array.isArray(body.messages)) return [];
  const parts = (body.messages as unknown[]).map((message) => JSON.stringify(withoutIds(message)));
  return Array.isArray(body.tools) && body.tools.length > 0 ? [JSON.stringify(body.tools), ...parts] : parts;
}

function withoutIds(message: unknown): unknown {
  if (typeof message !== 'object' || message === null) return message;
  const { tool_call_id: _, tool_calls, ...rest } = message as { readonly [field: string]: unknown };
  if (!Array.isArray(tool_calls)) return rest;
  return { ...rest, tool_calls: tool_calls.map((call: unknown) => ({ ...(call as object), id: null })) };
}

/** Entries of one prompt in a span; a longer one keeps its first, which others share, and its last, which the next turn shares. */
const mostEntries = 32;
const keptFirst = 8;
/** Hex digits of a hash: 48 bits, so that two of a million different prefixes collide with a chance of 0.2 %. */
const hashDigits = 12;

/**
 * The growing prefixes of a prompt as `hash:tokens`, shortest first, comma between: equal hashes, equal prefixes. Tokens
 * are those of the whole prefix, shared out by size so that the last one has `tokensIn`.
 */
export function prefixAttribute(parts: readonly string[], tokensIn: number): string {
  const sizes = parts.map(estimateTokens);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const dropFrom = keptFirst;
  const dropTo = parts.length - (mostEntries - keptFirst);
  const chain = createHash('sha256');
  const entries: string[] = [];
  let before = 0;
  for (const [index, part] of parts.entries()) {
    // The length keeps two messages apart from one that holds the text of both.
    chain.update(`${part.length}\n`).update(part);
    before += sizes[index] ?? 0;
    if (parts.length > mostEntries && index >= dropFrom && index < dropTo) continue;
    entries.push(`${chain.copy().digest('hex').slice(0, hashDigits)}:${Math.round((tokensIn * before) / total)}`);
  }
  return entries.join(',');
}
