import { createPrefixCache, type PrefixCache } from '../llm/engine/prefix-cache.ts';

/**
 * A prefix cache whose entries also go when nobody has used them for a while. `lifetimeMs` 0: they only go for want of room.
 * An entry that has run out keeps its room until that is needed.
 */
export function createTimedPrefixCache(capacityTokens: number, lifetimeMs: number, nowMs: () => number): PrefixCache {
  const cache = createPrefixCache(capacityTokens);
  if (lifetimeMs === 0) return cache;
  /** When a key was used last; oldest first. A key that ran out goes on under the next generation of its name. */
  const used = new Map<string, { generation: number; atMs: number }>();
  let generations = 0;

  const present = (keys: readonly string[], renew: boolean): string[] => {
    const now = nowMs();
    for (const [key, { atMs }] of used) {
      if (now - atMs <= lifetimeMs) break;
      used.delete(key);
    }
    return keys.map((key) => {
      const known = used.get(key);
      if (known === undefined && !renew) return `${key}#`;
      const generation = known?.generation ?? ++generations;
      used.delete(key);
      used.set(key, { generation, atMs: now });
      return `${key}#${generation}`;
    });
  };

  return {
    lookup: (keys, tokens) => cache.lookup(present(keys, false), tokens),
    insert: (keys, tokens) => cache.insert(present(keys, true), tokens),
    get tokensHeld() {
      return cache.tokensHeld;
    },
  };
}
