/** Which prompt prefixes one replica still holds. Least recently used prefixes go first. */
export interface PrefixCache {
  /** Tokens of the longest known prefix; marks it as used. `keys[i]` names the whole prefix up to and with part i. */
  lookup(keys: readonly string[], tokens: readonly number[]): number;
  /** Remembers every prefix of a prompt. `tokens[i]` is the size of part i alone. */
  insert(keys: readonly string[], tokens: readonly number[]): void;
  readonly tokensHeld: number;
}

/** `capacityTokens` bounds the parts held; 0 never hits. */
export function createPrefixCache(capacityTokens: number): PrefixCache {
  // A Map keeps insertion order, so the first key is the least recently used one.
  const held = new Map<string, number>();
  let tokensHeld = 0;

  /** Longest prefixes first, so that a short one is always newer, and evicted later, than what extends it. */
  function touch(keys: readonly string[], count: number): void {
    for (let index = count - 1; index >= 0; index--) {
      const key = keys[index] as string;
      const size = held.get(key);
      if (size === undefined) continue;
      held.delete(key);
      held.set(key, size);
    }
  }

  return {
    lookup: (keys, tokens) => {
      let count = 0;
      let sum = 0;
      while (count < keys.length && held.has(keys[count] as string)) sum += tokens[count++] ?? 0;
      touch(keys, count);
      return sum;
    },
    insert: (keys, tokens) => {
      keys.forEach((key, index) => {
        if (held.has(key)) return;
        held.set(key, tokens[index] ?? 0);
        tokensHeld += tokens[index] ?? 0;
      });
      touch(keys, keys.length);
      for (const [key, size] of held) {
        if (tokensHeld <= capacityTokens) break;
        held.delete(key);
        tokensHeld -= size;
      }
    },
    get tokensHeld() {
      return tokensHeld;
    },
  };
}
