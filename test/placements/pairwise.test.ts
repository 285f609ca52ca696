import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Edge } from '../../compiler/contracts/index.ts';
import { type CoverInput, crossing, type Groups, pairwiseCover, valuesOf } from './pairwise.ts';

/** Every unordered pair of values, always written in the same order. */
const pairs = (values: readonly string[]) => values.flatMap((a, index) => values.slice(index + 1).map((b) => `${a} & ${b}`));

/** All set partitions, the plain way: the first member alone or in any group of the rest's partitions. */
function partitionsOf(names: readonly string[]): Groups[] {
  const [head, ...rest] = names;
  if (head === undefined) return [[]];
  return partitionsOf(rest).flatMap((groups) => [
    [[head], ...groups],
    ...groups.map((_, index) => groups.map((group, other) => (other === index ? [head, ...group] : group))),
  ]);
}

/** Every layout there is, protocols included. */
function everyLayout(input: CoverInput) {
  return input.partitions.flatMap((groups) => {
    let assignments: Record<string, string>[] = [{}];
    for (const id of crossing(input.edges, groups))
      assignments = assignments.flatMap((channels) => input.protocols.map((protocol) => ({ ...channels, [id]: protocol })));
    return assignments.map((channels) => ({ groups, channels }));
  });
}

const inputs = fc
  .record({
    size: fc.integer({ min: 1, max: 4 }),
    ends: fc.array(fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3)), { maxLength: 5 }),
    apart: fc.option(fc.tuple(fc.nat(3), fc.nat(3))),
    protocols: fc.subarray(['http-json', 'http-json unix', 'grpc'], { minLength: 1 }),
  })
  .map(({ size, ends, apart, protocols }): CoverInput => {
    const components = ['a', 'b', 'c', 'd'].slice(0, size);
    const at = (index: number) => components[index % size] as string;
    // The third number groups edges into channels, as topics do.
    const edges = ends.map(([from, to, channel]): Edge => ({ channel: `c${channel}`, from: at(from), to: at(to) }));
    const [one, other] = apart ? [at(apart[0]), at(apart[1])] : ['', ''];
    const allowed = (groups: Groups) => one === other || groups.every((group) => !(group.includes(one) && group.includes(other)));
    return {
      components,
      edges: edges.filter(({ from, to }) => from !== to),
      partitions: partitionsOf(components).filter(allowed),
      protocols,
    };
  });

describe('pairwise cover', () => {
  it('has every two values of every two parameters that any layout has', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const covered = new Set(pairwiseCover(input).flatMap((each) => pairs(valuesOf(input, each))));
        const possible = new Set(everyLayout(input).flatMap((each) => pairs(valuesOf(input, each))));
        expect([...possible].filter((pair) => !covered.has(pair))).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  it('uses allowed partitions only, names a protocol for exactly the channels that cross, and repeats itself', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const cover = pairwiseCover(input);
        for (const { groups, channels } of cover) {
          expect(input.partitions).toContain(groups);
          expect(Object.keys(channels).sort()).toEqual([...crossing(input.edges, groups)].sort());
        }
        expect(pairwiseCover(input)).toEqual(cover);
      }),
      { numRuns: 50 },
    );
  });

  it('needs far fewer layouts than there are', () => {
    const components = ['a', 'b', 'c', 'd'];
    const edges: Edge[] = [0, 1, 2].map((n) => ({ channel: `c${n}`, from: components[n] as string, to: components[n + 1] as string }));
    const input = { components, edges, partitions: partitionsOf(components), protocols: ['x', 'y', 'z'] };
    expect(everyLayout(input).length).toBeGreaterThan(100);
    expect(pairwiseCover(input).length).toBeLessThanOrEqual(20);
  });
});
