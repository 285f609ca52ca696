import type { z } from 'dmas-opt';
import type { prompt } from './contracts.ts';

/** Four characters are one token for the simulated model. */
const charactersPerToken = 4;
const lineCharacters = 64 * charactersPerToken;
const words = 'the file has one more test that fails when the cache is cold so read the caller before you change it and run it again ';

/**
 * A prompt of so many tokens that costs next to nothing to make. Lines of 64 tokens, each of which says whose it is, so that two
 * prompts of one conversation begin alike and those of two do not, beyond what all share.
 */
export function promptOf({ conversation, promptTokens, sharedTokens, outputTokens }: z.infer<typeof prompt>): string {
  const facts = JSON.stringify({ outputTokens });
  const lines: string[] = [];
  for (let at = 0, left = promptTokens * charactersPerToken - facts.length; left > 0; at++, left -= lineCharacters) {
    const whose = at * 64 < sharedTokens ? 'shared' : conversation;
    lines.push(`${whose} ${at} ${words}${words}${words}`.slice(0, Math.min(lineCharacters, left) - 1));
  }
  return `${lines.join('\n')}\n${facts}`;
}
