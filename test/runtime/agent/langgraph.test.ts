import { describe, expect, it } from 'vitest';
import type { AgentContext } from '../../../compiler/api/definitions.ts';
import type { CompiledGraph, Invocable } from '../../../compiler/frontends/langgraph/compiled-graph.ts';
import { langgraphHub, langgraphNode } from '../../../runtime/agent/langgraph.ts';

/** A graph of one node, which the framework's loop visits once with the input as state. */
function graphOf(run: (state: unknown) => Promise<unknown>): CompiledGraph {
  const runnable = { invoke: run };
  const nodes = { ask_twice: { bound: runnable as Invocable } };
  return {
    lg_is_pregel: true,
    nodes,
    builder: { nodes: { ask_twice: { runnable } }, edges: [], branches: {} },
    invoke: (input, config) => nodes.ask_twice.bound.invoke(input, config),
  };
}
const contextOf = (call: (name: string, state: unknown) => unknown) =>
  ({
    signal: new AbortController().signal,
    call: async (ref: { name: string }, state: unknown) => call(ref.name, state),
  }) as unknown as AgentContext;

describe('a LangGraph.js hub', () => {
  it('calls its nodes by their component names, each run through its own turn', async () => {
    const hub = langgraphHub(
      'essay',
      graphOf(async () => 'never'),
    );
    expect(hub.options.calls?.map((ref) => ref.name)).toEqual(['ask-twice']);
    const run = (n: number) => hub.handle({ n } as never, contextOf((name, state) => [name, state, n]) as never);
    expect(await Promise.all([run(1), run(2)])).toEqual([
      ['ask-twice', { n: 1 }, 1],
      ['ask-twice', { n: 2 }, 2],
    ]);
  });

  it('refuses state that is not JSON, in every layout alike', async () => {
    const hub = langgraphHub(
      'essay',
      graphOf(async () => ({})),
    );
    const run = hub.handle({ when: new Date(0) } as never, contextOf(() => ({})) as never);
    await expect(run).rejects.toMatchObject({ code: 'invalid', message: expect.stringContaining('when') });
  });

  it('leaves a node of the same process what it runs', async () => {
    const graph = graphOf(async (state) => ({ ran: state }));
    const node = langgraphNode('ask-twice', graph);
    const hub = langgraphHub('essay', graph);
    const context = contextOf((_name, state) => node.handle(state as never, contextOf(() => undefined) as never));
    expect(await hub.handle({ n: 3 } as never, context as never)).toEqual({ ran: { n: 3 } });
    expect(() => langgraphNode('other', graph)).toThrow('no node for other');
  });
});
