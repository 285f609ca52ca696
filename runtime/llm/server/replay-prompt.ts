import { createHash } from 'node:crypto';
import { canonicalJson, type Json } from '../../../compiler/contracts/index.ts';
import { countTokens } from './prompt.ts';

/** The parts of any prompt, each named by everything up to and with it; `tokens` are an estimate. */
export interface PromptParts {
  readonly keys: readonly string[];
  readonly tokens: readonly number[];
  readonly tokensEstimated: number;
}

/**
 * Tools first, as chat templates put them, then one text per message, verbatim: a provider's cache knows no difference
 * between a time and any other text. Ids of calls are left out, as they carry nothing a model could read.
 */
export function promptTexts(body: { readonly [key: string]: Json }): readonly string[] {
  const messages = Array.isArray(body.messages) ? (body.messages as Json[]) : [];
  const tools = Array.isArray(body.tools) && body.tools.length > 0 ? [canonicalJson(body.tools)] : [];
  return [...tools, ...messages.map((message) => canonicalJson(withoutIds(message)))];
}

export function promptParts(body: { readonly [key: string]: Json }): PromptParts {
  const texts = promptTexts(body);
  let hash = '';
  const keys = texts.map((text) => {
    hash = createHash('sha256').update(hash).update('\u0000').update(text).digest('base64url');
    return hash;
  });
  const tokens = texts.map(countTokens);
  return { keys, tokens, tokensEstimated: tokens.reduce((sum, count) => sum + count, 0) };
}

/** The parts in tokens as the provider counted them: shared out by size, so that their sum is what was recorded. */
export function scaledTo(parts: PromptParts, tokensIn: number): number[] {
  let before = 0;
  let given = 0;
  return parts.tokens.map((count) => {
    before += count;
    const until = Math.round((tokensIn * before) / Math.max(1, parts.tokensEstimated));
    const share = until - given;
    given = until;
    return share;
  });
}

function withoutIds(message: Json): Json {
  if (typeof message !== 'object' || message === null || Array.isArray(message)) return message;
  const { tool_call_id: _, tool_calls, ...rest } = message as { readonly [key: string]: Json };
  if (!Array.isArray(tool_calls)) return rest;
  return { ...rest, tool_calls: (tool_calls as Json[]).map((call) => ({ ...(call as object), id: null }) as Json) };
}
