import type { GraphAgent } from '../../compiler/api/definitions.ts';
import { CallError, toCallError } from '../../compiler/contracts/call-errors.ts';
import type { AgentHandler } from './agent-turn.ts';
import { ownCancellation } from './cancellation.ts';
import type { Delivery, GraphToken } from './delivery.ts';
import { escaped } from './dispatch.ts';
import { type Arrival, GraphJoins } from './graph-joins.ts';
import { type GraphReply, GraphShape, type GraphState, isRecord, type Join } from './graph-shape.ts';
import { hop } from './hop.ts';
import type { Runtime } from './runtime.ts';

/**
 * What travels from node to node. Outside of forks only `state`. Inside, `state` is as it was when the outermost fork was
 * made, and each fork the path is in has the updates made since, so that a join can replay them in declared order.
 */
interface GraphBody {
  readonly state: GraphState;
  readonly updates: readonly (readonly GraphState[])[];
}

/** One path of a run, where it is now. */
interface Path {
  readonly shape: GraphShape;
  /** The message that brought it here: who waits for it, and how long. */
  readonly delivery: Delivery;
  readonly token: GraphToken;
  readonly body: GraphBody;
}

/** Starts a run, waits for what comes back through the chain of nodes, and makes the reply of it. */
export function graphHandler(runtime: () => Runtime, part: GraphAgent): AgentHandler {
  const start = part.options.start.name;
  return async (input, { scope }) => {
    const present = runtime();
    const shape = present.graphs.shape(part.ref.name);
    const token = present.graphs.newRun(part.ref.name);
    const body: GraphBody = { state: shape.initialState(input), updates: [] };
    const from = part.ref.name;
    const reply = await hop(present, { from, to: start, channel: `${from}->${start}`, pattern: 'request', body, scope, graph: token });
    return shape.finish((reply as Extract<GraphReply, { level: number }>).state ?? {});
  };
}

/**
 * Runs graphs without a hub: each node's unit runs the node, lets go of its slot, and sends the state on to the next
 * node as a request; the end comes back as the reply, through all of them. Neighbours in one unit need no wire.
 */
export class GraphRuns {
  readonly #runtime: () => Runtime;
  readonly #shapes: ReadonlyMap<string, GraphShape>;
  readonly #joins = new GraphJoins();
  #runs = 0;

  constructor(graphs: readonly GraphAgent[], runtime: () => Runtime) {
    this.#runtime = runtime;
    this.#shapes = new Map(graphs.map((part) => [part.ref.name, new GraphShape(part)]));
  }

  shape(graph: string): GraphShape {
    const shape = this.#shapes.get(graph);
    if (shape === undefined) throw new CallError({ code: 'unknown', message: `graph ${graph} is not known in this unit` });
    return shape;
  }

  newRun(graph: string): GraphToken {
    return { graph, runId: `${this.#runtime().binding.instanceId}.${++this.#runs}`, step: 0, forks: [], places: this.#here({}) };
  }

  get waiting(): number {
    return this.#joins.size;
  }

  /** Takes a message of a run that came to a node of this unit. */
  async receive(delivery: Delivery): Promise<GraphReply> {
    const { graph } = delivery;
    if (graph === undefined) throw new TypeError('not a message of a graph');
    const token = { ...graph, places: this.#here(graph.places) };
    const path: Path = { shape: this.shape(graph.graph), delivery, token, body: delivery.body as GraphBody };
    return graph.via === undefined ? this.#visit(path, delivery.to) : this.#arrive(path, graph.via);
  }

  #here(places: GraphToken['places']): GraphToken['places'] {
    const { program, binding } = this.#runtime();
    return places[program.unit.id] === binding.instanceId ? places : { ...places, [program.unit.id]: binding.instanceId };
  }

  /** Runs a node; its slot is free again before the state goes on. */
  async #visit(path: Path, node: string): Promise<GraphReply> {
    const { shape, delivery, body } = path;
    const step = path.token.step + 1;
    if (step > shape.maxSteps) {
      const message = `graph ${shape.name} took more than ${shape.maxSteps} steps (maxSteps), at ${node}`;
      throw new CallError({ code: 'failed', message, component: shape.name });
    }
    const token = { ...path.token, step };
    const input = shape.fold(body.state, body.updates.flat());
    const { via: _, ...visited } = token;
    const update = await this.#runtime().dispatcher.start({ ...delivery, to: node, pattern: 'request', body: input, graph: visited });
    try {
      if (!isRecord(update))
        throw new CallError({ code: 'invalid', message: `node ${node} returned no update but ${typeof update}`, component: node });
      const after = added(shape, body, update);
      const next = shape.after(node, () => shape.fold(after.state, after.updates.flat()));
      const on: Path = { ...path, token: visited, body: after };
      if (next.kind === 'join') return await this.#goToJoin(on, node, next.join);
      return await this.#proceed(on, node, next.kind === 'end' ? [] : next.to);
    } catch (thrown) {
      // The node has run: nobody may take what failed behind it for a call that never started.
      throw escaped(toCallError(thrown, node), node);
    }
  }

  async #proceed(path: Path, from: string, targets: readonly string[]): Promise<GraphReply> {
    const [only] = targets;
    if (only === undefined) return ended(path);
    return targets.length === 1 ? this.#forward(path, from, only) : this.#fork(path, from, targets);
  }

  async #forward(path: Path, from: string, to: string): Promise<GraphReply> {
    const { delivery, token, body, shape } = path;
    const message: Delivery = { from, to, channel: `${from}->${to}`, pattern: 'request', body, scope: delivery.scope, graph: token };
    return (await hop(this.#runtime(), shape.joins.length === 0 ? message : this.#pinned(message, token))) as GraphReply;
  }

  /** Branches must meet: a run stays with one replica of each unit, the one it was at, else the rendezvous choice of its id. */
  #pinned(message: Delivery, token: GraphToken): Delivery {
    const route = this.#runtime().router.routeOf(message);
    const unit = route === undefined ? undefined : /^unit:\/\/([^/]+)/.exec(route.address)?.[1];
    const instance = unit === undefined ? undefined : token.places[unit];
    return { ...message, affinity: token.runId, ...(instance === undefined ? {} : { instance }) };
  }

  /** All branches at once. The first that fails ends the others; which error is told goes by declared order. */
  async #fork(path: Path, from: string, targets: readonly string[]): Promise<GraphReply> {
    const { token, body, delivery } = path;
    const own = ownCancellation(Number.POSITIVE_INFINITY, delivery.scope.cancellation);
    const scope = { ...delivery.scope, cancellation: own.cancellation };
    const outer = token.forks.at(-1);
    const id = `${outer === undefined ? '' : `${outer.id}.${outer.branch}/`}${from}@${token.step}`;
    const branches = targets.map(async (to, branch): Promise<GraphReply> => {
      const forks = [...token.forks, { id, branch, step: token.step }];
      const into: Path = {
        ...path,
        delivery: { ...delivery, scope },
        token: { ...token, forks },
        body: { ...body, updates: [...body.updates, []] },
      };
      try {
        const reply = await this.#forward(into, from, to);
        const missed = 'level' in reply && reply.level > token.forks.length ? path.shape.joinMissedBy(branch, targets) : undefined;
        if (missed === undefined) return reply;
        const message = `graph ${token.graph}: the branch ${to} of the fork at ${from} ended before the join at ${missed.owner}`;
        throw new CallError({ code: 'failed', message, component: from });
      } catch (error) {
        const paused = error instanceof CallError && error.code === 'inputRequired';
        // Branches that wait for this one at a join wait in vain until the answer comes, with a new run.
        own.abort(paused ? error : new CallError({ code: 'cancelled', message: `another branch of the fork at ${from} failed` }));
        throw error;
      }
    });
    const results = await Promise.allSettled(branches);
    own.close();
    return gathered(path, results);
  }

  async #goToJoin(path: Path, from: string, join: Join): Promise<GraphReply> {
    const { delivery, body, token } = path;
    const message: Delivery = {
      from,
      to: join.owner,
      channel: `${from}->${join.owner}`,
      pattern: 'request',
      body,
      scope: delivery.scope,
      graph: { ...token, via: from },
    };
    return (await hop(this.#runtime(), this.#pinned(message, token))) as GraphReply;
  }

  /** Waits for the other branches, without a slot. The path that completes the join carries on for the first branch. */
  #arrive(path: Path, via: string): Promise<GraphReply> {
    const { shape, token, delivery, body } = path;
    const join = shape.joins.find(({ owner, from }) => owner === delivery.to && from.includes(via));
    const fork = token.forks.at(-1);
    if (join === undefined || fork === undefined) {
      const message = `graph ${shape.name}: ${via} came to the join at ${delivery.to} outside of any fork`;
      throw new CallError({ code: 'failed', message, component: delivery.to });
    }
    const arrival = { branch: fork.branch, step: token.step, updates: body.updates.at(-1) ?? [], path };
    const key = `${token.runId}|${fork.id}|${join.index}`;
    return this.#joins.arrive(key, join.from.length, arrival, delivery.scope.cancellation, (arrivals) =>
      this.#joined(join, fork.step, arrivals),
    );
  }

  async #joined(join: Join, forkStep: number, arrivals: readonly Arrival<Path>[]): Promise<GraphReply> {
    const first = arrivals[0];
    if (first === undefined) throw new TypeError('a join without arrivals');
    const { path } = first;
    const { via: _, ...token } = path.token;
    const step = arrivals.reduce((sum, arrival) => sum + arrival.step - forkStep, forkStep);
    const outside: GraphBody = { state: path.body.state, updates: path.body.updates.slice(0, -1) };
    const body = arrivals.flatMap((arrival) => arrival.updates).reduce((sum: GraphBody, update) => added(path.shape, sum, update), outside);
    const on: Path = { ...path, token: { ...token, forks: token.forks.slice(0, -1), step }, body };
    return join.to.length === 1 ? this.#visit(on, join.owner) : this.#proceed(on, join.owner, join.to);
  }
}

/** The body after one more update: applied at once outside of forks, kept for the join inside. */
function added(shape: GraphShape, { state, updates }: GraphBody, update: GraphState): GraphBody {
  const inner = updates.at(-1);
  if (inner === undefined) return { state: shape.fold(state, [update]), updates };
  return { state, updates: [...updates.slice(0, -1), [...inner, update]] };
}

/** A path came to its end: outside of forks with the final state, inside with its updates for the fork to gather. */
function ended({ token, body }: Path): GraphReply {
  const level = token.forks.length;
  return level === 0 ? { level, step: token.step, state: body.state } : { level, step: token.step, updates: body.updates.at(-1) ?? [] };
}

/** What a fork makes of its branches' replies. */
function gathered(path: Path, results: readonly PromiseSettledResult<GraphReply>[]): GraphReply {
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [toCallError(result.reason)] : []));
  // A failure before a question: the answer to it would be of no use.
  const error =
    errors.find(({ code }) => code !== 'cancelled' && code !== 'inputRequired') ??
    errors.find(({ code }) => code === 'inputRequired') ??
    errors[0];
  if (error !== undefined) throw error;
  const replies = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  const level = path.token.forks.length;
  const reached = replies.filter((reply) => 'level' in reply);
  const beyond = reached.find((reply) => reply.level <= level);
  const here = reached.filter((reply) => reply.level > level);
  const updates = here.flatMap((reply) => reply.updates ?? []);
  if (beyond !== undefined) return withUpdates(path.shape, beyond, updates);
  if (here.length < replies.length) return { merged: true };
  const step = here.reduce((sum, reply) => sum + reply.step - path.token.step, path.token.step);
  const body = updates.reduce((sum, update) => added(path.shape, sum, update), path.body);
  return ended({ ...path, token: { ...path.token, step }, body });
}

/** The join's result, and after it what branches beside the join brought back. */
function withUpdates(shape: GraphShape, reply: Extract<GraphReply, { level: number }>, updates: readonly GraphState[]): GraphReply {
  if (updates.length === 0) return reply;
  if (reply.state !== undefined) return { ...reply, state: shape.fold(reply.state, updates) };
  return { ...reply, updates: [...(reply.updates ?? []), ...updates] };
}
