import type { RepeatedContext } from '../../../compiler/contracts/trace-digest.ts';
import type { SpanFacts } from './store.ts';

/** Conversations followed at once; the one without a call for longest is forgotten first. */
const maxConversations = 20_000;

interface Conversation {
  readonly seen: Set<string>;
  tokensIn: number;
}

/** Judges model calls in the order of their time, one judge for each model and caller. */
export interface RepeatTally {
  add(conversation: string, facts: SpanFacts): void;
  result(): RepeatedContext | null;
}

/** How the two bases are meant: see `RepeatedContext`. */
export function createRepeats(): RepeatTally {
  const conversations = new Map<string, Conversation>();
  const byMessages = { calls: 0, tokensIn: 0, repeatedTokens: 0 };
  const byCounts = { calls: 0, tokensIn: 0, repeatedTokens: 0 };
  return {
    add(id, { tokensIn, messages }) {
      if (tokensIn === undefined) return;
      const known = conversations.get(id) ?? { seen: new Set<string>(), tokensIn: 0 };
      conversations.delete(id);
      conversations.set(id, known);
      if (conversations.size > maxConversations)
        for (const [oldest] of conversations) {
          conversations.delete(oldest);
          break;
        }
      if (messages) {
        let [all, repeated] = [0, 0];
        for (const { hash, size } of messages) {
          all += size;
          if (known.seen.has(hash)) repeated += size;
        }
        for (const { hash } of messages) known.seen.add(hash);
        byMessages.calls++;
        byMessages.tokensIn += tokensIn;
        // Tokens are told for the call, not for each message: split by length.
        byMessages.repeatedTokens += all === 0 ? 0 : (tokensIn * repeated) / all;
      }
      byCounts.calls++;
      byCounts.tokensIn += tokensIn;
      // A conversation that grew carries what it had; one that shrank was cut or is another.
      if (tokensIn >= known.tokensIn) byCounts.repeatedTokens += known.tokensIn;
      known.tokensIn = tokensIn;
    },
    result() {
      const basis = byMessages.calls > 0 ? 'messages' : 'counts';
      const { calls, tokensIn, repeatedTokens } = basis === 'messages' ? byMessages : byCounts;
      return calls === 0 ? null : { basis, calls, tokensIn, repeatedTokens, share: tokensIn === 0 ? 0 : repeatedTokens / tokensIn };
    },
  };
}
