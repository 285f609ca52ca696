import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cliqueCover, type Pair, pairsOf } from '../../../../runtime/targets/docker/cliques.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const graphs = fc
  .uniqueArray(fc.tuple(fc.constantFrom(...names), fc.constantFrom(...names)), { selector: ([a, b]) => [a, b].sort().join() })
  .map((pairs) => pairs.map(([a, b]): Pair => (a < b ? [a, b] : [b, a])));

const key = (a: string, b: string) => (a < b ? `${a} ${b}` : `${b} ${a}`);
const together = (groups: readonly (readonly string[])[]) =>
  new Set(groups.flatMap((group) => group.flatMap((a) => group.filter((b) => a < b).map((b) => key(a, b)))));

describe('the networks of a plan', () => {
  it('bring together exactly those that may speak', () => {
    fc.assert(
      fc.property(graphs, (pairs) => {
        const allowed = pairs.filter(([a, b]) => a !== b).map(([a, b]) => key(a, b));
        const groups = cliqueCover(pairs);
        expect([...together(groups)].sort()).toEqual([...new Set(allowed)].sort());
        expect(groups.length).toBeLessThanOrEqual(Math.max(pairs.length, 0));
        for (const [a, b] of pairs) if (a === b) expect(groups.some((group) => group.includes(a))).toBe(true);
      }),
    );
  });

  it('leave out what is covered already, and add nothing that is not allowed', () => {
    fc.assert(
      fc.property(graphs, fc.array(fc.nat(20)), (pairs, picks) => {
        const done = new Set(picks.flatMap((pick) => (pairs[pick] ? [key(...pairs[pick])] : [])));
        const groups = cliqueCover(pairs, ([a, b]) => done.has(key(a, b)));
        const seen = together(groups);
        const allowed = new Set(pairs.map(([a, b]) => key(a, b)));
        expect([...seen].filter((each) => !allowed.has(each))).toEqual([]);
        expect(pairs.filter(([a, b]) => a !== b && !done.has(key(a, b)) && !seen.has(key(a, b)))).toEqual([]);
      }),
    );
  });

  it('are one where everybody may speak, and one per pair where callers of one callee may not', () => {
    expect(
      cliqueCover([
        ['a', 'b'],
        ['a', 'c'],
        ['b', 'c'],
      ]),
    ).toEqual([['a', 'b', 'c']]);
    expect(
      cliqueCover([
        ['a', 'model'],
        ['b', 'model'],
        ['c', 'model'],
      ]),
    ).toEqual([
      ['a', 'model'],
      ['b', 'model'],
      ['c', 'model'],
    ]);
  });

  it('join who calls with who is called, whichever way', () => {
    const member = { kind: 'unit', accepts: [], public: false, hosts: [], secrets: [] } as const;
    const reach = (to: string) => ({ to, address: `unit://${to}/http-json` });
    const members = [
      { ...member, id: 'a', reaches: [reach('b')] },
      { ...member, id: 'b', reaches: [reach('a'), reach('b')] },
    ];
    expect(pairsOf({ members })).toEqual([
      ['a', 'b'],
      ['b', 'b'],
    ]);
  });
});
