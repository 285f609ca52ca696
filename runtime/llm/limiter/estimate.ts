import { estimateTokens } from '../prompt-parts.ts';

/** So many replies make up the mean length that the next one is assumed to have; older ones fade. */
const memory = 32;

/** How many tokens a call will take, before it is sent: learnt from the calls before it. */
export interface TokenEstimate {
  of(parts: readonly string[], maxTokens?: number): number;
  learn(parts: readonly string[], usage: { readonly tokensIn: number; readonly tokensOut: number }): void;
}

export function createTokenEstimate(): TokenEstimate {
  let seen = 0;
  /** Tokens of the endpoint per token of ours. */
  let scale = 1;
  let reply: number | undefined;
  const size = (parts: readonly string[]) => parts.reduce((sum, part) => sum + estimateTokens(part), 0);
  return {
    of: (parts, maxTokens) => {
      const prompt = size(parts) * scale;
      // Before anything is known, a reply as long as its prompt; never more than the caller allows.
      return Math.ceil(prompt + Math.min(reply ?? prompt, maxTokens ?? Number.POSITIVE_INFINITY));
    },
    learn: (parts, { tokensIn, tokensOut }) => {
      const prompt = size(parts);
      if (prompt === 0 || tokensIn === 0) return;
      seen = Math.min(seen + 1, memory);
      scale += (tokensIn / prompt - scale) / seen;
      reply = (reply ?? 0) + (tokensOut - (reply ?? 0)) / seen;
    },
  };
}
