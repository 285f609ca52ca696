import { end, type GraphAgent, type GraphEdgeDefinition, type Reducer } from '../../compiler/api/definitions.ts';
import { CallError } from '../../compiler/contracts/call-errors.ts';

export type GraphState = { readonly [key: string]: unknown };

/** Where a path goes after a node: nowhere (the end), on to one node, into a fork of several, or to a join. */
export type NextStep =
  | { readonly kind: 'end' }
  | { readonly kind: 'go'; readonly to: readonly string[] }
  | { readonly kind: 'join'; readonly join: Join };

/** An edge that waits for several nodes. The first node behind it owns it. */
export interface Join {
  readonly index: number;
  readonly from: readonly string[];
  readonly owner: string;
  readonly to: readonly string[];
}

/** Visits allowed where the graph sets no bound: a graph without a loop never comes near it. */
const defaultMaxSteps = 1_000;

/** A graph as its nodes' units read it: reducers, and what follows what. */
export class GraphShape {
  readonly name: string;
  readonly part: GraphAgent;
  readonly joins: readonly Join[];
  readonly maxSteps: number;
  readonly #edges: ReadonlyMap<string, readonly GraphEdgeDefinition[]>;

  constructor(part: GraphAgent) {
    this.part = part;
    this.name = part.ref.name;
    this.maxSteps = part.options.maxSteps ?? defaultMaxSteps;
    const { edges, nodes } = part.options;
    this.joins = edges.flatMap((edge, index) => joinOf(edge, index));
    this.#edges = new Map(nodes.map(({ name }) => [name, edges.filter((edge) => sources(edge).includes(name))]));
    for (const [node, leaving] of this.#edges) {
      if (leaving.length > 1 && leaving.some((edge) => sources(edge).length > 1)) {
        throw new RangeError(`graph ${this.name}: node ${node} goes to a join and elsewhere; let a node between decide`);
      }
    }
  }

  initialState(input: unknown): GraphState {
    const { state, init } = this.part.options;
    const initial = Object.fromEntries(Object.entries(state).map(([key, { initial }]) => [key, initial]));
    const given = init === undefined ? input : init(input as never);
    return { ...initial, ...(isRecord(given) ? given : {}) };
  }

  finish(state: GraphState): unknown {
    return this.part.options.finish === undefined ? state : this.part.options.finish(state as never);
  }

  /** The state after updates, in their order. */
  fold(state: GraphState, updates: readonly GraphState[]): GraphState {
    if (updates.length === 0) return state;
    const result: { [key: string]: unknown } = { ...state };
    for (const update of updates) {
      for (const [key, value] of Object.entries(update)) {
        if (value === undefined) continue;
        const reduce = this.part.options.state[key]?.reduce as Reducer | undefined;
        result[key] = reduce === undefined ? value : reduce(result[key], value);
      }
    }
    return result;
  }

  /** @throws CallError `failed` when a condition names a node that is not among its choices. */
  after(node: string, state: () => GraphState): NextStep {
    const leaving = this.#edges.get(node) ?? [];
    const join = this.joins.find(({ from }) => from.includes(node));
    if (join !== undefined) return { kind: 'join', join };
    const to = leaving.flatMap((edge) => this.#targets(node, edge, state)).filter((name) => name !== end);
    return to.length === 0 ? { kind: 'end' } : { kind: 'go', to };
  }

  /** The join that would wait for ever because the given branch of a fork ended before it. */
  joinMissedBy(branch: number, targets: readonly string[]): Join | undefined {
    const reach = targets.map((target) => this.#reachable(target));
    const own = reach[branch] ?? new Set();
    return this.joins.find(({ from }) => {
      const mine = from.some((node) => own.has(node));
      return mine && from.some((node) => !own.has(node) && reach.some((others) => others.has(node)));
    });
  }

  #targets(node: string, edge: GraphEdgeDefinition, state: () => GraphState): readonly string[] {
    if ('to' in edge) return targetNames(edge.to);
    const among = edge.among.map(nameOf);
    const chosen = edge.choose(state() as never);
    if (among.includes(chosen)) return [chosen];
    const message = `graph ${this.name}: after ${node} the choice was ${JSON.stringify(chosen)}, which is not among ${among.join(', ')}`;
    throw new CallError({ code: 'failed', message, component: node });
  }

  #reachable(from: string): ReadonlySet<string> {
    const seen = new Set<string>();
    const open = [from];
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      if (node === end || seen.has(node)) continue;
      seen.add(node);
      for (const edge of this.#edges.get(node) ?? []) {
        // Behind a join all branches are one.
        if (sources(edge).length > 1) continue;
        open.push(...('to' in edge ? targetNames(edge.to) : edge.among.map(nameOf)));
      }
    }
    return seen;
  }
}

function joinOf(edge: GraphEdgeDefinition, index: number): Join[] {
  if (!('to' in edge)) return [];
  const from = sources(edge);
  const to = targetNames(edge.to).filter((name) => name !== end);
  const owner = to[0];
  // A join into the end needs no owner: the fork gathers what its branches bring back.
  return from.length < 2 || owner === undefined ? [] : [{ index, from, owner, to }];
}

function sources(edge: GraphEdgeDefinition): string[] {
  const from = 'to' in edge && Array.isArray(edge.from) ? edge.from : [edge.from];
  return from.map((ref) => ref.name);
}

function targetNames(to: Extract<GraphEdgeDefinition, { to: unknown }>['to']): string[] {
  return (Array.isArray(to) ? to : [to]).map(nameOf);
}

const nameOf = (target: { readonly name: string } | typeof end) => (typeof target === 'string' ? target : target.name);

export const isRecord = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What comes back through the chain of nodes. */
export type GraphReply =
  /** This branch went into a join; another brings the result. */
  | { readonly merged: true }
  /** The end of a path: at level 0 (outside of forks) the final state, else the updates made inside its innermost fork. */
  | { readonly level: number; readonly step: number; readonly state?: GraphState; readonly updates?: readonly GraphState[] };
