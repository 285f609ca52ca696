import type { TracedKind } from '../../../compiler/contracts/trace-digest.ts';
import type { SpanFacts } from './store.ts';
import { type ForeignNode, type ForeignTree, identityOf } from './tree.ts';

/** One turn of a component, from whichever spans tell of it. */
export interface ForeignVisit {
  kind: TracedKind | 'entry';
  /** Of the component, unique over `keyspaces`. */
  key: string;
  name: string;
  /** The callee's outermost span; the caller's where the callee is silent. */
  node: ForeignNode;
  /** The caller's span of the call, where it has one. */
  hop: Hop | null;
  /** Null for the root, and for a turn that nobody called. */
  readonly caller: ForeignVisit | null;
  readonly children: ForeignVisit[];
  /** No span of the callee. */
  readonly silent: boolean;
  /** The process it ran in, which for a tool or model is the server's where there is one. */
  at: ForeignNode;
  async: boolean;
  facts: SpanFacts | null;
  cpuMs: number | null;
  /** Of the turn, else of the nearest above that says it. */
  conversation: string | undefined;
  ok: boolean;
}

/** What is kept of a visit when its trace is let go. */
export type ComponentRef = Pick<ForeignVisit, 'key' | 'name' | 'kind'>;
export const refOf = ({ key, name, kind }: ComponentRef): ComponentRef => ({ key, name, kind });

/** A call as its caller sees it: its outermost client span. */
export interface Hop {
  readonly node: ForeignNode;
  readonly caller: ForeignVisit;
  readonly target: { readonly kind: TracedKind; name: string | null };
  /** Turns that answered it. */
  readonly visits: ForeignVisit[];
  /** Turned out to be the inside of a tool's or model's turn. */
  absorbed: boolean;
}

/** Components of these kinds share their names: the agent `planner`, its service and the host that a caller knows it by. */
const keyspaces: { readonly [kind in TracedKind | 'entry']: string } = {
  agent: 'c',
  service: 'c',
  outside: 'c',
  tool: 't',
  model: 'm',
  database: 'd',
  queue: 'q',
  human: 'h',
  entry: 'e',
};
export const keyOf = (kind: TracedKind | 'entry', name: string): string => `${keyspaces[kind]}:${name}`;

/** What is below a span within its service, up to the next turn or call. */
interface Below {
  agents: Set<string> | null;
  tools: Set<string> | null;
  models: boolean;
  /** Also in other services. */
  anyModel: boolean;
}

/** Finds the turns and calls of a trace: sets `inside`, `hop` and `async` of its nodes. In the order of their spans, callers first. */
export function findVisits(tree: ForeignTree, componentOf?: (node: ForeignNode) => string | undefined): ForeignVisit[] {
  const visits: ForeignVisit[] = [];
  const hops: Hop[] = [];
  const below = lookBelow(tree.nodes);

  const open = (
    node: ForeignNode,
    kind: ForeignVisit['kind'],
    name: string,
    caller: ForeignVisit | null,
    hop: Hop | null,
    silent = false,
  ) => {
    const { span } = node;
    const visit: ForeignVisit = {
      kind,
      key: keyOf(kind, name),
      name,
      node,
      hop,
      caller,
      children: [],
      silent,
      at: node,
      async: false,
      facts: span.facts,
      cpuMs: span.facts?.cpuMs ?? null,
      conversation: span.facts?.conversation ?? caller?.conversation,
      ok: span.ok && (hop?.node.span.ok ?? true),
    };
    caller?.children.push(visit);
    hop?.visits.push(visit);
    visits.push(visit);
    return visit;
  };
  /** Who is named by a span that begins a turn. */
  const turnOf = (node: ForeignNode): { kind: ForeignVisit['kind']; name: string } => {
    const { act, subject, provider } = node.span.label;
    const given = componentOf?.(node);
    if (act === 'entry') return { kind: 'entry', name: 'ingress' };
    if (act === 'tool') return { kind: 'tool', name: subject ?? 'tool' };
    if (act === 'model') return { kind: 'model', name: subject ?? provider ?? 'model' };
    if (act === 'human') return { kind: 'human', name: subject ?? 'human' };
    if (given !== undefined) return { kind: 'agent', name: given };
    const { service } = identityOf(node.span.resource);
    if (act === 'agent') return { kind: 'agent', name: subject ?? service };
    // Our own hop says whom it serves.
    if (act === 'serve' && subject !== null) return { kind: 'agent', name: subject };
    const inner = below.get(node);
    const [agent] = inner?.agents?.size === 1 ? inner.agents : [];
    if (agent !== undefined) return { kind: 'agent', name: agent };
    const [tool] = inner?.tools?.size === 1 && !inner.agents && !inner.models && act === 'serve' ? inner.tools : [];
    return tool === undefined ? { kind: 'service', name: service } : { kind: 'tool', name: tool };
  };

  for (const node of tree.nodes) {
    const { parent } = node;
    const { label } = node.span;
    let around = parent?.inside ?? null;
    const pending = parent?.hop ?? null;
    const sameService = parent !== null && identityOf(parent.span.resource).service === identityOf(node.span.resource).service;
    if (label.oneWay && label.act === 'serve') node.async = true;
    if (parent && !node.async && node.startMs >= parent.endMs && node.startMs > parent.startMs) node.async = true;
    const calls = isCall(node);
    if (calls && around === null) {
      const { kind, name } = { kind: 'service', name: identityOf(node.span.resource).service } as const;
      around = open(node, kind, name, null, null);
    }
    // Transport below a call: the HTTP request of an RPC, the connection of a database driver.
    if (pending && sameService && (calls || label.act === 'frame')) {
      node.hop = pending;
      node.inside = around;
      pending.target.name ??= label.subject;
      continue;
    }
    if (calls && around) {
      node.inside = around;
      const hop: Hop = { node, caller: around, target: targetOf(node), visits: [], absorbed: false };
      node.hop = hop;
      hops.push(hop);
      continue;
    }
    const isTurn = label.act === 'agent' || label.act === 'tool' || label.act === 'model' || label.act === 'human';
    const arrives = label.act === 'serve' && (pending !== null || !sameService || node.async);
    if (around !== null && !isTurn && !arrives && sameService) {
      node.inside = around;
      addFacts(around, node);
      continue;
    }
    if (around === null) {
      const { kind, name } = turnOf(node);
      node.inside = open(node, kind, name, null, null);
      continue;
    }
    const { kind, name } = turnOf(node);
    const key = keyOf(kind, name);
    if (absorbs(around, node, kind, key, pending, sameService)) {
      if (pending) pending.absorbed = true;
      node.inside = around;
      if (!sameService) around.at = node;
      addFacts(around, node);
      continue;
    }
    if (around.kind === 'model' && !sameService && !isTurn) {
      // A proxy before the models, which makes the real call: what looked like the model call was the hop to it.
      Object.assign(around, { kind, key, name, at: node, facts: null, hop: around.hop ?? asHop(around, kind, name) });
      node.inside = around;
      around.node = node;
      continue;
    }
    // A client library that runs tools between the turns of a model does so for its caller.
    const caller = around.kind === 'model' ? (around.caller ?? around) : around;
    const visit = open(node, kind, name, caller, pending);
    visit.async = node.async || (pending?.node.span.label.oneWay ?? false) || outlives(visit, caller);
    node.inside = visit;
  }
  for (const hop of hops) {
    if (hop.visits.length > 0 || hop.absorbed || hop.caller.kind === 'model') continue;
    const { node, caller, target } = hop;
    const name = target.name ?? `unknown, called by ${caller.name}`;
    const visit = open(node, target.kind, name, caller, hop, true);
    visit.async = node.span.label.oneWay;
  }
  return visits;
}

/** A span of the caller's side: clients, producers, and remote agents and tools of which only the client tells. */
function isCall(node: ForeignNode): boolean {
  const { act, kind } = node.span.label;
  if (act === 'call' || act === 'queue' || act === 'database') return true;
  if (act === 'frame') return isBareCall(node);
  if ((act !== 'agent' && act !== 'tool') || kind !== 'client') return false;
  // Some libraries call every agent's span a client's; one in which the agent works is its turn.
  const { service } = identityOf(node.span.resource);
  return node.children.every((child) => child.span.label.act === 'call' || identityOf(child.span.resource).service !== service);
}

/** Exporters that tell no kinds still write a span around a call: its only child is another service's. */
function isBareCall({ span, children }: ForeignNode): boolean {
  const [child] = children;
  if (span.label.kind !== 'unset' || !child || children.length > 1 || child.span.label.kind !== 'unset') return false;
  return identityOf(child.span.resource).service !== identityOf(span.resource).service;
}

function targetOf(node: ForeignNode): Hop['target'] {
  const { act, subject } = node.span.label;
  if (act === 'call' || act === 'frame') return { kind: 'outside', name: subject };
  return { kind: act as TracedKind, name: subject };
}

/** Whether a turn is the one around it, seen once more: by another library, or by the server of a tool or model. */
function absorbs(
  around: ForeignVisit,
  node: ForeignNode,
  kind: ForeignVisit['kind'],
  key: string,
  pending: Hop | null,
  sameService: boolean,
): boolean {
  if (around.kind === 'entry' || kind === 'entry') return false;
  if (around.kind === 'model' && kind === 'model') return true;
  if (around.kind === 'model' && !sameService && !node.span.label.oneWay) return !hasModel.has(node);
  if (around.key !== key) return false;
  if (kind === 'tool' || kind === 'model' || kind === 'human') return true;
  return pending === null || !sameService;
}

/** Nodes with a model call anywhere below. */
const hasModel = new WeakSet<ForeignNode>();

function asHop(visit: ForeignVisit, kind: ForeignVisit['kind'], name: string): Hop {
  const hop: Hop = {
    node: visit.node,
    caller: visit.caller ?? visit,
    target: { kind: kind === 'entry' ? 'service' : kind, name },
    visits: [visit],
    absorbed: false,
  };
  visit.node.hop = hop;
  return hop;
}

/** Clocks and flushing let a server's span end a little after its caller's; a millisecond or a hundredth is not yet work of its own. */
const outlives = (visit: ForeignVisit, caller: ForeignVisit): boolean => {
  const { node } = visit;
  return node.endMs > caller.node.endMs + Math.max(1, (caller.node.endMs - caller.node.startMs) / 100);
};

function addFacts(visit: ForeignVisit, { span }: ForeignNode): void {
  const { facts } = span;
  if (!facts) return;
  visit.conversation ??= facts.conversation;
  if (facts.cpuMs !== undefined) visit.cpuMs = (visit.cpuMs ?? 0) + facts.cpuMs;
  if (visit.kind !== 'model' || span.label.act !== 'model') return;
  // Two libraries that tell of one call are believed once.
  visit.facts = visit.facts === null ? facts : { ...facts, ...visit.facts };
}

function lookBelow(nodes: readonly ForeignNode[]): Map<ForeignNode, Below> {
  const found = new Map<ForeignNode, Below>();
  const at = (node: ForeignNode) => {
    let below = found.get(node);
    if (!below) {
      below = { agents: null, tools: null, models: false, anyModel: false };
      found.set(node, below);
    }
    return below;
  };
  for (let i = nodes.length - 1; i > 0; i--) {
    const node = nodes[i] as ForeignNode;
    const { parent } = node;
    if (!parent) continue;
    const mine = found.get(node);
    const { act, subject } = node.span.label;
    if (act !== 'model' && act !== 'agent' && act !== 'tool' && !mine) continue;
    const up = at(parent);
    if (act === 'model' || mine?.anyModel) {
      up.anyModel = true;
      hasModel.add(parent);
    }
    if (identityOf(parent.span.resource).service !== identityOf(node.span.resource).service) continue;
    if (act === 'agent') up.agents = withNames(up.agents, [subject ?? identityOf(node.span.resource).service]);
    else if (act === 'tool') up.tools = withNames(up.tools, [subject ?? 'tool']);
    else if (act === 'model') up.models = true;
    else if (act === 'frame' && mine) {
      up.agents = withNames(up.agents, mine.agents);
      up.tools = withNames(up.tools, mine.tools);
      up.models ||= mine.models;
    }
  }
  return found;
}

/** Two names are as many as any number, as only one alone says something. */
function withNames(names: Set<string> | null, more: Iterable<string> | null): Set<string> | null {
  if (!more) return names;
  const all = names ?? new Set();
  for (const name of more) if (all.size < 2) all.add(name);
  return all;
}
