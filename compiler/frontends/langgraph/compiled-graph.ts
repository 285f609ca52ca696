/** The part of LangGraph.js' `CompiledStateGraph` that is used here (seen in 1.4). Its fields are half private: look before use. */
export interface CompiledGraph {
  readonly lg_is_pregel: true;
  readonly nodes: { readonly [id: string]: { bound: Invocable } };
  readonly builder: {
    readonly nodes: { readonly [id: string]: { readonly runnable: Invocable; readonly metadata?: { readonly [key: string]: unknown } } };
    /** Pairs of node ids, `__start__` and `__end__` among them. */
    readonly edges: Iterable<readonly [string, string]>;
    readonly branches: { readonly [from: string]: { readonly [name: string]: { readonly ends?: { readonly [label: string]: string } } } };
  };
  invoke(input: unknown, config?: RunConfig): Promise<unknown>;
}

export interface Invocable {
  invoke(input: unknown, config?: RunConfig): Promise<unknown>;
}

/** The part of LangChain's `RunnableConfig` that is used here. */
export interface RunConfig {
  readonly signal?: AbortSignal;
  readonly configurable?: { readonly [key: string]: unknown };
}

export function isCompiledGraph(value: unknown): value is CompiledGraph {
  if (value === null || typeof value !== 'object') return false;
  const graph = value as Partial<CompiledGraph>;
  return (
    graph.lg_is_pregel === true && typeof graph.invoke === 'function' && graph.builder?.nodes !== undefined && graph.nodes !== undefined
  );
}

/** Node ids in declared order, without LangGraph's own. */
export const nodeIds = (graph: CompiledGraph): readonly string[] => Object.keys(graph.builder.nodes).filter((id) => !/^__\w+__$/.test(id));

/** A node's id or an export's name as a component name: `peer_review` → `peer-review`, `makeEssay` → `make-essay`. */
export function componentName(id: string): string {
  const name = id
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return /^[a-z]/.test(name) ? name : `node-${name}`;
}

/** Where each node may go next, by node id; `__end__` for the end. Targets of `Send` and `Command` are seen only when declared. */
export function nextNodes(graph: CompiledGraph): ReadonlyMap<string, readonly string[]> {
  const next = new Map<string, string[]>();
  const add = (from: string, to: string) => {
    const known = next.get(from) ?? [];
    next.set(from, known.includes(to) ? known : [...known, to]);
  };
  for (const [from, to] of graph.builder.edges) add(from, to);
  for (const [from, branches] of Object.entries(graph.builder.branches)) {
    for (const branch of Object.values(branches)) for (const to of Object.values(branch.ends ?? {})) add(from, to);
  }
  return next;
}
