import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBlockPool, type KeyedBlock } from '../../../../runtime/llm/engine/kv-blocks.ts';

describe('a pool of KV blocks', () => {
  it('says so when more is taken than there is, and gives nothing', () => {
    const pool = createBlockPool(3);
    pool.take(2);
    expect(() => pool.take(2)).toThrow('internal error: 2 KV blocks taken where 1 are free');
    expect(pool.free).toBe(1);
    pool.take(1);
    expect(() => pool.take(1)).toThrow('where 0 are free');
    pool.take(0);
  });

  it('counts what is free, whatever is taken, named and given back', () => {
    const step = fc.oneof(
      fc.record({ take: fc.nat(12) }),
      fc.record({ release: fc.nat(12), keep: fc.boolean() }),
      fc.record({ name: fc.integer({ min: 0, max: 5 }) }),
      fc.record({ leave: fc.constant(true) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const size = 20;
        const pool = createBlockPool(size);
        let nameless = 0;
        const named: KeyedBlock[] = [];
        for (const each of steps) {
          if ('take' in each) {
            if (each.take > pool.free) expect(() => pool.take(each.take)).toThrow('internal error');
            else {
              pool.take(each.take);
              nameless += each.take;
            }
          } else if ('release' in each) {
            const count = Math.min(each.release, nameless);
            pool.release(count, each.keep);
            nameless -= count;
          } else if ('name' in each) {
            const block = nameless > 0 ? pool.name(`key ${each.name}`) : undefined;
            if (block) {
              named.push(block);
              nameless--;
            }
          } else pool.leave(named.splice(0), 0);
          expect(pool.free).toBe(size - nameless - named.length);
        }
      }),
      { seed: 1 },
    );
  });
});
