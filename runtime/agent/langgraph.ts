import { z } from 'zod';
import type { AgentContext, AgentRef, CodeAgent } from '../../compiler/api/definitions.ts';
import { agent, codeAgent } from '../../compiler/api/index.ts';
import { CallError } from '../../compiler/contracts/call-errors.ts';
import { type CompiledGraph, componentName, nodeIds } from '../../compiler/frontends/langgraph/compiled-graph.ts';
import { requireJson } from './json-safe.ts';

/**
 * Under this key a run's config holds the context of its turn: the graph is one value for all runs. An AsyncLocalStorage
 * would not do: it is lost on the way through the graph's loop (seen with LangGraph.js 1.4.2).
 */
const turnKey = 'dmas_opt_turn';

const contractOf = (name: string): AgentRef => agent(name, { input: z.unknown(), output: z.unknown() });

/**
 * The agent that runs a LangGraph.js graph's own loop. Its nodes are called like any agent, in this process or another:
 * what a node would run is replaced by a call with the state as it is at that step.
 *
 * Takes over `graph`, which must not be invoked by anyone else afterwards.
 */
export function langgraphHub(name: string, graph: CompiledGraph): CodeAgent {
  const nodes = nodeIds(graph).map((id) => ({ id, ref: contractOf(componentName(id)) }));
  for (const { id, ref } of nodes) {
    const node = graph.nodes[id];
    if (node === undefined) throw new TypeError(`the graph ${name} has no runnable node ${id}`);
    // A copy that differs in `invoke` alone stays a Runnable of the LangChain version the user has.
    const remote = Object.create(node.bound) as typeof node.bound;
    remote.invoke = async (state, config) => {
      const context = config?.configurable?.[turnKey] as AgentContext | undefined;
      if (context === undefined) throw new CallError({ code: 'failed', message: `node ${id} of ${name} was run outside a request` });
      requireJson(state, ref.name, 'input');
      return context.call(ref, state);
    };
    node.bound = remote;
  }
  return codeAgent(
    contractOf(name),
    (input, context) => graph.invoke(input, { signal: context.signal, configurable: { [turnKey]: context } }),
    { calls: nodes.map((node) => node.ref) },
  );
}

/** One node of a LangGraph.js graph as an agent: gets the state, returns the update. */
export function langgraphNode(name: string, graph: CompiledGraph): CodeAgent {
  const id = nodeIds(graph).find((candidate) => componentName(candidate) === name);
  // The builder keeps what the node runs when a hub in this process has put calls in its place.
  const runnable = id === undefined ? undefined : graph.builder.nodes[id]?.runnable;
  if (runnable === undefined) throw new TypeError(`the graph has no node for ${name}`);
  return codeAgent(contractOf(name), (state, context) => runnable.invoke(state, { signal: context.signal }));
}
