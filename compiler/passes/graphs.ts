import type { Graph, GraphEdge, Problem } from '../contracts/index.ts';
import { type Draft, type Pass, problemAt } from './draft.ts';

/** Graphs: known nodes, all of them reachable, loops bounded, joins that can complete. */
export const checkGraphs: Pass = (draft) => draft.workflow.graphs.flatMap((graph) => checkGraph(draft, graph));

function checkGraph(draft: Draft, graph: Graph): Problem[] {
  const say = (code: Problem['code'], message: string) =>
    problemAt(draft, graph.agent, { code, message: `graph "${graph.agent}": ${message}` });
  const named = [graph.start, ...graph.edges.flatMap((edge) => [...edge.from, ...edge.to])];
  const unknown = [...new Set(named)].filter((node) => !graph.nodes.includes(node));
  if (unknown.length > 0) {
    return unknown.map((node) => ({
      ...say('DMAS_WF_UNKNOWN_AGENT', `"${node}" stands in an edge or as start, but not among its nodes`),
      allowed: graph.nodes,
    }));
  }
  const problems: Problem[] = [];
  const reached = reachable(graph, graph.start);
  for (const node of graph.nodes) {
    if (!reached.has(node)) problems.push(say('DMAS_WF_UNREACHABLE', `node "${node}" can never be reached from "${graph.start}"`));
  }
  const cycle = findCycle(graph);
  if (cycle !== undefined && graph.maxSteps === undefined) {
    problems.push({ ...say('DMAS_WF_UNBOUNDED_LOOP', `the loop ${cycle.join(' -> ')} has no bound`), fix: 'give the graph maxSteps' });
  }
  for (const join of graph.edges.filter((edge) => edge.from.length > 1)) {
    if (graph.edges.some((fork) => isFork(fork) && joinsFork(graph, fork, join))) continue;
    problems.push(say('DMAS_WF_BAD_JOIN', `the join of ${join.from.join(', ')} does not wait for exactly the branches of one fork`));
  }
  return problems;
}

const isFork = (edge: GraphEdge) => edge.to.length > 1 && !edge.conditional;
const successors = (graph: Graph, node: string) => graph.edges.filter((edge) => edge.from.includes(node)).flatMap((edge) => edge.to);

/** Nodes a run can come to from `start` on, itself included, without going through those in `except`. */
function reachable(graph: Graph, start: string, except: readonly string[] = []): Set<string> {
  const reached = new Set([start]);
  const next = [start];
  for (let node = next.pop(); node !== undefined; node = next.pop()) {
    for (const to of successors(graph, node)) {
      if (reached.has(to) || except.includes(to)) continue;
      reached.add(to);
      next.push(to);
    }
  }
  return reached;
}

/** Each branch of the fork leads to exactly one source of the join, and each source belongs to one branch. */
function joinsFork(graph: Graph, fork: GraphEdge, join: GraphEdge): boolean {
  if (fork.to.length !== join.from.length) return false;
  const taken = new Set<string>();
  for (const head of fork.to) {
    // A loop around the whole section must not make one branch look like part of another.
    const branch = reachable(graph, head, [...join.to, ...fork.from]);
    const ends = join.from.filter((source) => branch.has(source));
    const [only] = ends;
    if (ends.length !== 1 || only === undefined || taken.has(only)) return false;
    taken.add(only);
  }
  return true;
}

/** A cycle as the list of its nodes, first one repeated at the end; undefined when there is none. */
export function findCycle(graph: Graph): readonly string[] | undefined {
  const done = new Set<string>();
  const visit = (node: string, path: readonly string[]): readonly string[] | undefined => {
    const at = path.indexOf(node);
    if (at >= 0) return [...path.slice(at), node];
    if (done.has(node)) return undefined;
    for (const to of successors(graph, node)) {
      const cycle = visit(to, [...path, node]);
      if (cycle !== undefined) return cycle;
    }
    done.add(node);
    return undefined;
  };
  for (const node of graph.nodes) {
    const cycle = visit(node, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
