import { createHash } from 'node:crypto';
import { canonicalJson } from '../../../compiler/contracts/index.ts';
import { blockKeys } from './block-keys.ts';
import type { CallMessage, ChatCall } from './chat-request.ts';

/**
 * Four characters are one token. Source: OpenAI's rule of thumb for English text
 * (https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them).
 */
export const charactersPerToken = 4;
export const countTokens = (text: string): number => Math.max(1, Math.ceil(text.length / charactersPerToken));

/** A prompt as the engine sees it. */
export interface Prompt {
  /** Its texts in order; a token never spans two of them. */
  readonly parts: readonly string[];
  readonly tokensIn: number;
  /** Of the whole prompt. Depends on content alone: no ids, no time, no sampling parameters. */
  readonly hash: string;
}

/** Tools first, as chat templates put them, then one part per message. */
export function promptOf(call: ChatCall): Prompt {
  const parts = call.messages.map(partOf);
  if (call.tools.length > 0) parts.unshift(canonicalJson(call.tools));
  let hash = '';
  let tokensIn = 0;
  for (const text of parts) {
    hash = createHash('sha256').update(hash).update('\u0000').update(text).digest('base64url');
    tokensIn += countTokens(text);
  }
  return { parts, tokensIn, hash };
}

/**
 * Keys of the blocks that the prompt fills, then of those that the reply will: it comes back as a message of the next
 * prompt. What a model thinks before it speaks does not, so after such a reply only the prompt's are known.
 */
export function promptBlocks(prompt: Prompt, reply: SpokenReply | undefined, blockSize: number): string[] {
  const parts = reply === undefined ? prompt.parts : [...prompt.parts, partOf({ role: 'assistant', ...reply })];
  return blockKeys(parts, blockSize, charactersPerToken);
}

type SpokenReply = Pick<CallMessage, 'text'> & { readonly toolCalls: readonly { readonly name: string; readonly arguments: string }[] };

/** Call ids are left out: they carry nothing a model could read. */
function partOf(message: { readonly role: CallMessage['role'] } & SpokenReply): string {
  const calls = message.toolCalls.map((call) => `${call.name}(${call.arguments})`).join('');
  return `${message.role}\n${message.text}${calls}`;
}
