import type { AgentRef, GraphAgent, GraphEdgeDefinition } from '../../api/definitions.ts';
import { end } from '../../api/definitions.ts';
import type { Graph, GraphEdge } from '../../contracts/index.ts';

/** A graph definition as plain data. `end` is no node: an edge that only ends is left out, a choice that may end lists the rest. */
export function readGraph({ ref, options }: GraphAgent): Graph {
  return {
    agent: ref.name,
    nodes: options.nodes.map((node) => node.name),
    edges: options.edges.map(readEdge).filter((edge) => edge.to.length > 0),
    start: options.start.name,
    ...(options.maxSteps === undefined ? {} : { maxSteps: options.maxSteps }),
    stateKeys: Object.keys(options.state),
  };
}

function readEdge(edge: GraphEdgeDefinition): GraphEdge {
  if ('choose' in edge) return { from: [edge.from.name], to: namesOf(edge.among), conditional: true };
  const from = Array.isArray(edge.from) ? edge.from : [edge.from];
  const to = Array.isArray(edge.to) ? edge.to : [edge.to];
  return { from: namesOf(from), to: namesOf(to), conditional: false };
}

const namesOf = (refs: readonly (AgentRef | typeof end)[]) => refs.filter((ref) => ref !== end).map((ref) => ref.name);
