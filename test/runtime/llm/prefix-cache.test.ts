import { describe, expect, it } from 'vitest';
import { createPrefixCache } from '../../../runtime/llm/engine/prefix-cache.ts';

describe('prefix cache', () => {
  it('finds the longest known prefix', () => {
    const cache = createPrefixCache(1000);
    expect(cache.lookup(['a', 'ab'], [10, 20])).toBe(0);
    cache.insert(['a', 'ab'], [10, 20]);
    expect(cache.lookup(['a', 'ab', 'abc'], [10, 20, 30])).toBe(30);
    expect(cache.lookup(['a', 'ax'], [10, 20])).toBe(10);
    expect(cache.lookup(['x', 'ab'], [10, 20])).toBe(0);
  });

  it('stays within its capacity and drops the least recently used leaf first', () => {
    const cache = createPrefixCache(50);
    cache.insert(['a', 'ab'], [10, 20]);
    cache.insert(['a', 'ac'], [10, 20]);
    expect(cache.tokensHeld).toBe(50);
    cache.lookup(['a', 'ab'], [10, 20]);
    cache.insert(['d'], [20]);
    expect(cache.tokensHeld).toBeLessThanOrEqual(50);
    expect(cache.lookup(['a', 'ac'], [10, 20])).toBe(10);
    expect(cache.lookup(['a', 'ab'], [10, 20])).toBe(30);
  });

  it('never hits without capacity', () => {
    const cache = createPrefixCache(0);
    cache.insert(['a'], [10]);
    expect(cache.lookup(['a'], [10])).toBe(0);
  });
});
