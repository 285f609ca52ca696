/** Conversations end; the oldest counts are forgotten first. */
const remembered = 200_000;

export interface Occurrence {
  readonly kind: string;
  readonly target: string;
  readonly loose: string;
  readonly caller: string | undefined;
  readonly conversation: string | undefined;
}

/**
 * Counts how often one conversation asked one thing. Counted per asking component too, so that parallel branches of one
 * request do not take each other's turn. Where nobody says which conversation it is, everything is the first time: a count
 * over all conversations would depend on the order in which they come.
 */
export function createOccurrences(): { next(of: Occurrence): number } {
  const counts = new Map<string, number>();
  return {
    next: ({ kind, target, loose, caller, conversation }) => {
      if (conversation === undefined) return 1;
      const key = [kind, target, loose, caller ?? '', conversation].join('\u0000');
      const count = (counts.get(key) ?? 0) + 1;
      counts.delete(key);
      counts.set(key, count);
      if (counts.size > remembered) counts.delete(counts.keys().next().value as string);
      return count;
    },
  };
}
