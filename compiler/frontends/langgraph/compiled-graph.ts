import { type CompiledGraph, isCompiledGraph } from './fields.ts';

/** A node that can be placed: of the graph itself, or of a sub-graph inside it. */
export interface PlaceableNode {
  /** Its component name. */
  readonly component: string;
  /** Ids from the outermost graph down to the node. */
  readonly path: readonly string[];
  /** The graph it is a node of. */
  readonly graph: CompiledGraph;
  readonly id: string;
}

/** Names the runtime uses itself (see compiler/passes/duplicates.ts). */
const reserved = new Set(['ingress', 'end', 'state', 'gateway']);

/** A node's id or an export's name as a component name: `peer_review` → `peer-review`, `makeEssay` → `make-essay`. */
export function componentName(id: string): string {
  const name = id
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return !/^[a-z]/.test(name) || reserved.has(name) ? `node-${name}` : name;
}

/** The hub's name: the graph's, unless a node has it. */
export function hubName(graph: CompiledGraph, name: string): string {
  const hub = name === 'default' ? 'graph' : componentName(name);
  return placeableNodes(graph).some((node) => node.component === hub) ? `${hub}-graph` : hub;
}

/** Node ids of one graph in declared order, without LangGraph's own and without error handlers, which stay in the loop's process. */
export const nodeIds = ({ builder }: CompiledGraph): readonly string[] =>
  Object.keys(builder.nodes).filter((id) => !/^__\w+__$/.test(id) && builder.nodes[id]?.isErrorHandler !== true);

/** The graph a node is, when it is one; its own nodes are then placed, while its loop runs where its parent's does. */
export function subgraphOf(graph: CompiledGraph, id: string): CompiledGraph | undefined {
  const runnable: unknown = graph.builder.nodes[id]?.runnable;
  return isCompiledGraph(runnable) ? runnable : undefined;
}

/** Everything that can be placed, in declared order, sub-graphs where their node stands. */
export function placeableNodes(graph: CompiledGraph, above: readonly string[] = []): readonly PlaceableNode[] {
  return nodeIds(graph).flatMap((id) => {
    const path = [...above, id];
    const subgraph = subgraphOf(graph, id);
    return subgraph === undefined ? [{ component: componentName(path.join('-')), path, graph, id }] : placeableNodes(subgraph, path);
  });
}

/** The graph itself and every sub-graph, with the ids that lead to it. */
export function graphsIn(graph: CompiledGraph, path: readonly string[] = []): readonly { graph: CompiledGraph; path: readonly string[] }[] {
  const below = nodeIds(graph).flatMap((id) => {
    const subgraph = subgraphOf(graph, id);
    return subgraph === undefined ? [] : graphsIn(subgraph, [...path, id]);
  });
  return [{ graph, path }, ...below];
}

/** The ids in a checkpoint namespace (`outer:<task>|inner:<task>`), outermost first. Parts that are numbers count repeated calls. */
export const pathOfNamespace = (namespace: string): readonly string[] =>
  namespace
    .split('|')
    .map((part) => part.split(':')[0] ?? '')
    .filter((part) => part !== '' && !/^\d+$/.test(part));

export type EdgeKind = 'edge' | 'join' | 'branch' | 'command';
export interface DeclaredEdge {
  readonly from: readonly string[];
  readonly to: string;
  readonly kind: EdgeKind;
}

/** Where nodes go, as far as declared: plain edges, joins, branches with declared ends, `Command`s with declared ends. Node ids. */
export function declaredEdges({ builder }: CompiledGraph): readonly DeclaredEdge[] {
  const edges: DeclaredEdge[] = [];
  for (const [from, to] of builder.edges) edges.push({ from: [from], to, kind: 'edge' });
  for (const [from, to] of builder.waitingEdges ?? []) edges.push({ from, to, kind: 'join' });
  for (const [from, branches] of Object.entries(builder.branches)) {
    for (const { ends } of Object.values(branches)) {
      for (const to of new Set(Object.values(ends ?? {}))) edges.push({ from: [from], to, kind: 'branch' });
    }
  }
  for (const id of nodeIds({ builder } as CompiledGraph)) {
    for (const to of builder.nodes[id]?.ends ?? []) edges.push({ from: [id], to, kind: 'command' });
  }
  return edges;
}

/** Nodes with a branch that does not say where it may go: only traces tell. */
export const openNodes = ({ builder }: CompiledGraph): readonly string[] =>
  Object.entries(builder.branches).flatMap(([from, branches]) =>
    Object.values(branches).some(({ ends }) => ends === undefined) ? [from] : [],
  );

/**
 * Pairs of one graph's nodes that may run one after the other in one call, when both are in one unit away from the loop:
 * the first goes on by its edges and branches alone, and nothing has to happen between the two in the loop's process.
 * Whether a run really goes from the one to the other is known only then.
 */
export function segmentPairs(graph: CompiledGraph): readonly (readonly [string, string])[] {
  const { builder, nodes } = graph;
  const ids = nodeIds(graph).filter((id) => subgraphOf(graph, id) === undefined);
  const joined = new Set([...(builder.waitingEdges ?? [])].flatMap(([from]) => [...from]));
  const stops = (list: CompiledGraph['interruptBefore'], id: string) => list === '*' || list?.includes(id) === true;
  const mayLead = (id: string) => !joined.has(id) && !stops(graph.interruptAfter, id);
  // A cached, deferred or timed node is the loop's business: it may not run, or later, or not for as long.
  const mayFollow = (id: string) => {
    const node = nodes[id];
    return !stops(graph.interruptBefore, id) && builder.nodes[id]?.defer !== true && !node?.cachePolicy && !node?.timeout;
  };
  const next = (id: string) => {
    const declared = declaredEdges(graph).filter((edge) => edge.from.includes(id) && edge.kind !== 'join');
    const open = openNodes(graph).includes(id);
    return open ? ids : ids.filter((to) => declared.some((edge) => edge.to === to));
  };
  return ids.filter(mayLead).flatMap((from) =>
    next(from)
      .filter(mayFollow)
      .map((to) => [from, to] as const),
  );
}

/** Whether any part of the graph pauses or remembers by itself, so that a conversation must stay with one process. */
export const remembers = (graph: CompiledGraph): boolean =>
  graphsIn(graph).some(({ graph: each }) => typeof each.checkpointer === 'object' && each.checkpointer !== null) ||
  graph.store !== undefined;
