import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blockKeys } from '../../../../runtime/llm/server/block-keys.ts';

const keys = (...parts: string[]) => blockKeys(parts, 16, 4);
const tokens = (part: string) => Math.max(1, Math.ceil(part.length / 4));

describe('keys of a prompt’s blocks', () => {
  it('there is one for each full block, whatever the parts', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 200 }), { maxLength: 8 }), (parts) => {
        const total = parts.reduce((sum, part) => sum + tokens(part), 0);
        const found = keys(...parts);
        expect(found.length).toBe(Math.floor(total / 16));
        expect(new Set(found).size).toBe(found.length);
      }),
    );
  });

  it('prompts that begin alike share the keys of what is alike, also inside a part', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 150 }), { maxLength: 4 }),
        fc.string({ minLength: 1, maxLength: 400 }),
        fc.nat(399),
        fc.string({ maxLength: 200 }),
        (before, part, cut, other) => {
          const one = keys(...before, part);
          const kept = part.slice(0, cut % part.length);
          const two = keys(...before, kept + other);
          // Full blocks before the first character that differs.
          let same = 0;
          while (same < part.length && same < (kept + other).length && part[same] === (kept + other)[same]) same++;
          const alike = Math.floor((before.reduce((sum, text) => sum + tokens(text), 0) + Math.floor(same / 4)) / 16);
          expect(two.slice(0, alike)).toEqual(one.slice(0, alike));
        },
      ),
    );
  });

  it('a block that differs anywhere before its end has another key, and so has all that follows', () => {
    const text = 'The quick brown fox jumps over the lazy dog. '.repeat(40);
    const one = keys(text);
    const changed = keys(`${text.slice(0, 700)}#${text.slice(701)}`);
    const block = Math.floor(700 / 64);
    expect(changed.slice(0, block)).toEqual(one.slice(0, block));
    for (let index = block; index < one.length; index++) expect(changed[index]).not.toBe(one[index]);
    // The same characters in other parts are another prompt.
    expect(keys(text.slice(0, 64), text.slice(64, 640)).at(-1)).not.toBe(keys(text.slice(0, 640)).at(-1));
  });
});
