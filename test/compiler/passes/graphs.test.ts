import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Graph, GraphEdge } from '../../../compiler/contracts/index.ts';
import type { Draft } from '../../../compiler/passes/draft.ts';
import { checkGraphs, findCycle } from '../../../compiler/passes/graphs.ts';

const draftOf = (graph: Graph) => ({ workflow: { graphs: [graph] }, placeOf: () => undefined }) as unknown as Draft;
const codes = (graph: Graph) => checkGraphs(draftOf(graph)).map((problem) => problem.code);

/** A nested structure of sequences and fork-join sections, which is sound by construction. */
type Block = { readonly kind: 'node' } | { readonly kind: 'fork'; readonly branches: readonly Block[][] };
const { block } = fc.letrec<{ block: Block }>((tie) => ({
  block: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constant<Block>({ kind: 'node' }),
    fc.record({
      kind: fc.constant('fork' as const),
      branches: fc.array(fc.array(tie('block'), { maxLength: 2 }), { minLength: 2, maxLength: 3 }),
    }),
  ),
}));

function build(blocks: readonly Block[]): Graph {
  const nodes: string[] = [];
  const edges: GraphEdge[] = [];
  const fresh = () => {
    const name = `n${nodes.length}`;
    nodes.push(name);
    return name;
  };
  /** Appends blocks behind `from`; returns the last node. */
  const append = (from: string, list: readonly Block[]): string =>
    list.reduce((last, each) => {
      if (each.kind === 'node') {
        const node = fresh();
        edges.push({ from: [last], to: [node], conditional: false });
        return node;
      }
      const heads = each.branches.map(fresh);
      edges.push({ from: [last], to: heads, conditional: false });
      const ends = each.branches.map((branch, index) => append(heads[index] ?? '', branch));
      const join = fresh();
      edges.push({ from: ends, to: [join], conditional: false });
      return join;
    }, from);
  const start = fresh();
  append(start, blocks);
  return { agent: 'g', nodes, edges, start, stateKeys: [] };
}

describe('graph checks', () => {
  it('accept every nesting of sequences and fork-join sections', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 4 }), (blocks) => {
        expect(codes(build(blocks))).toEqual([]);
      }),
    );
  });

  it('accept them in a bounded loop, and reject them in an unbounded one', () => {
    fc.assert(
      fc.property(fc.array(block, { minLength: 1, maxLength: 3 }), (blocks) => {
        const graph = build(blocks);
        const back: GraphEdge = { from: [graph.nodes.at(-1) ?? ''], to: [graph.start], conditional: true };
        const looped = { ...graph, edges: [...graph.edges, back] };
        expect(codes({ ...looped, maxSteps: 50 })).toEqual([]);
        expect(codes(looped)).toEqual(['DMAS_WF_UNBOUNDED_LOOP']);
      }),
    );
  });

  it('reject a join that leaves a branch out', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 3 }), (before) => {
        const graph = build([...before, { kind: 'fork', branches: [[], [], []] }]);
        const edges = graph.edges.map((edge, index) => (index === graph.edges.length - 1 ? { ...edge, from: edge.from.slice(1) } : edge));
        expect(codes({ ...graph, edges })).toContain('DMAS_WF_BAD_JOIN');
      }),
    );
  });

  it('name the nodes of a cycle in order', () => {
    const edges = ['ab', 'bc', 'ca'].map((pair) => ({ from: [pair[0] ?? ''], to: [pair[1] ?? ''], conditional: false }));
    expect(findCycle({ agent: 'g', nodes: ['a', 'b', 'c'], edges, start: 'a', stateKeys: [] })).toEqual(['a', 'b', 'c', 'a']);
  });
});
