import { createHash } from 'node:crypto';
import { canonicalJson } from '../../../compiler/contracts/index.ts';
import type { CallMessage, ChatCall } from './chat-request.ts';

/**
 * Four characters are one token. Source: OpenAI's rule of thumb for English text
 * (https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them).
 */
export const charactersPerToken = 4;
export const countTokens = (text: string): number => Math.max(1, Math.ceil(text.length / charactersPerToken));

/** A prompt as the engine sees it: its parts in order, each named by everything up to and with it. */
export interface Prompt {
  readonly keys: readonly string[];
  readonly tokens: readonly number[];
  readonly tokensIn: number;
  /** Of the whole prompt. Depends on content alone: no ids, no time, no sampling parameters. */
  readonly hash: string;
}

/** Tools first, as chat templates put them, then one part per message. */
export function promptOf(call: ChatCall): Prompt {
  const parts = call.messages.map(partOf);
  if (call.tools.length > 0) parts.unshift(canonicalJson(call.tools));
  let hash = '';
  const keys = parts.map((text) => {
    hash = createHash('sha256').update(hash).update('\u0000').update(text).digest('base64url');
    return hash;
  });
  const tokens = parts.map(countTokens);
  return { keys, tokens, hash, tokensIn: tokens.reduce((sum, count) => sum + count, 0) };
}

/** Call ids are left out: they carry nothing a model could read. */
function partOf(message: CallMessage): string {
  const calls = message.toolCalls.map((call) => `${call.name}(${call.arguments})`).join('');
  return `${message.role}\n${message.text}${calls}`;
}
