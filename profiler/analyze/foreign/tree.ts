import { attr } from '../../../compiler/contracts/trace-attributes.ts';
import type { PartialCause } from '../../../compiler/contracts/trace-digest.ts';
import type { ForeignAttributes, ForeignResource } from '../../collect/foreign/span.ts';
import type { StoredSpan, StoredTrace } from './store.ts';
import type { ForeignVisit, Hop } from './visits.ts';

/** A span in its trace. */
export interface ForeignNode {
  readonly span: StoredSpan;
  parent: ForeignNode | null;
  readonly children: ForeignNode[];
  /** By the clock of the root's process, as far as that is known (see `repairClocks`). */
  startMs: number;
  endMs: number;
  /** Nobody waits for it. */
  async: boolean;
  /** The visit whose time this is, and in which its children are unless they open their own. */
  inside: ForeignVisit | null;
  /** The call it is the caller's side of. */
  hop: Hop | null;
}

export interface ForeignTree {
  readonly traceId: string;
  readonly root: ForeignNode;
  /** Below the root, parents before children. */
  readonly nodes: readonly ForeignNode[];
  readonly partial: PartialCause | null;
  readonly orphans: number;
  readonly duplicates: number;
}

/** Puts the spans of one trace together. Never fails: what does not fit is told by `partial`. */
export function buildForeignTree(trace: StoredTrace): ForeignTree | null {
  const byId = new Map<string, ForeignNode>();
  const servers = new Map<string, ForeignNode>();
  let duplicates = 0;
  for (const span of trace.spans) {
    const node = nodeOf(span);
    const first = byId.get(span.spanId);
    if (!first) byId.set(span.spanId, node);
    else {
      duplicates++;
      // Zipkin lets the server go on with its client's id (B3's shared spans).
      if (sharesId(first.span, span) && !servers.has(span.spanId)) servers.set(span.spanId, node);
    }
  }
  for (const [id, node] of servers) {
    const first = byId.get(id);
    if (first?.span.label.kind !== 'server') continue;
    byId.set(id, node);
    servers.set(id, first);
  }
  const all = [...byId.values(), ...servers.values()];
  let orphans = 0;
  const roots: ForeignNode[] = [];
  let selfParents = 0;
  for (const node of all) {
    const parentId = node.span.parentSpanId;
    const client = servers.get(node.span.spanId) === node ? byId.get(node.span.spanId) : undefined;
    const parent = client ?? (parentId === undefined ? undefined : parentFor(parentId, node.span, byId, servers));
    if (parent === node) selfParents++;
    if (parent && parent !== node) {
      node.parent = parent;
    } else {
      roots.push(node);
      if (parentId !== undefined && !parent) orphans++;
    }
  }
  const cycles = breakCycles(all, roots) + selfParents;
  for (const node of all) node.parent?.children.push(node);
  if (roots.length === 0) return null;
  const first = (a: ForeignNode, b: ForeignNode) =>
    Number(a.span.parentSpanId !== undefined) - Number(b.span.parentSpanId !== undefined) || a.startMs - b.startMs;
  const root = roots.reduce((best, node) => (first(node, best) < 0 ? node : best));
  return { traceId: trace.traceId, root, nodes: preorder(root), partial: causeOf(root, roots, orphans, cycles), orphans, duplicates };
}

function nodeOf(span: StoredSpan): ForeignNode {
  const { startMs, durationMs, follows } = span;
  return { span, parent: null, children: [], startMs, endMs: startMs + durationMs, async: follows, inside: null, hop: null };
}

const sharesId = (a: StoredSpan, b: StoredSpan) =>
  (a.label.kind === 'client' && b.label.kind === 'server') || (a.label.kind === 'server' && b.label.kind === 'client');

function parentFor(id: string, child: StoredSpan, byId: ReadonlyMap<string, ForeignNode>, servers: ReadonlyMap<string, ForeignNode>) {
  const server = servers.get(id);
  return server && server.span.spanId !== child.spanId && identityOf(server.span.resource).instance === identityOf(child.resource).instance
    ? server
    : byId.get(id);
}

/** Cuts every circle of parents at its earliest span, which becomes a root. */
function breakCycles(all: readonly ForeignNode[], roots: ForeignNode[]): number {
  const done = new Set<ForeignNode>(roots);
  let cycles = 0;
  for (const start of all) {
    const path: ForeignNode[] = [];
    const onPath = new Set<ForeignNode>();
    let node: ForeignNode | null = start;
    while (node && !done.has(node) && !onPath.has(node)) {
      path.push(node);
      onPath.add(node);
      node = node.parent;
    }
    if (node && onPath.has(node)) {
      const circle = path.slice(path.indexOf(node));
      const cut = circle.reduce((a, b) => (b.startMs < a.startMs ? b : a));
      cut.parent = null;
      roots.push(cut);
      cycles++;
    }
    for (const each of path) done.add(each);
  }
  return cycles;
}

function preorder(root: ForeignNode): ForeignNode[] {
  const out: ForeignNode[] = [];
  const stack = [root];
  for (let node = stack.pop(); node; node = stack.pop()) {
    out.push(node);
    node.children.sort((a, b) => a.startMs - b.startMs);
    for (let i = node.children.length - 1; i >= 0; i--) stack.push(node.children[i] as ForeignNode);
  }
  return out;
}

/**
 * A trace whose only root is a server's span with a parent elsewhere is whole: its caller is a user's browser or another
 * company's service, which sends its context and no spans.
 */
function causeOf(root: ForeignNode, roots: readonly ForeignNode[], orphans: number, cycles: number): PartialCause | null {
  if (cycles > 0) return 'cycle';
  const told = root.span.parentSpanId === undefined;
  if (!told && !(roots.length === 1 && (root.span.label.kind === 'server' || root.span.label.kind === 'consumer'))) return 'no-root';
  if (orphans > (told ? 0 : 1)) return 'missing-parent';
  return roots.length > 1 ? 'several-roots' : null;
}

/** Which process a span is from. */
export interface Identity {
  readonly service: string;
  readonly instance: string;
  readonly host: string | null;
}

const identities = new WeakMap<ForeignAttributes, Identity>();

export function identityOf(resource: ForeignResource): Identity {
  const { attributes } = resource;
  const known = identities.get(attributes);
  if (known) return known;
  const get = (name: string) => {
    const value = attributes.get(name);
    return value === undefined || value === '' ? null : String(value).slice(0, 200);
  };
  // A unit of ours has the name of the application as its service name.
  const unit = get(attr.unit);
  const service = unit ?? get(attr.serviceName) ?? 'unknown';
  const host = get('k8s.node.name') ?? get('host.name') ?? get('host.id');
  const named = unit ? `${unit}#${get(attr.replica) ?? 0}` : (get(attr.serviceInstance) ?? get('k8s.pod.name') ?? get('container.id'));
  const pid = get('process.pid');
  const identity = { service, instance: named ?? `${service}@${host ?? '?'}${pid === null ? '' : `:${pid}`}`, host };
  identities.set(attributes, identity);
  return identity;
}

export interface SkewCount {
  found: number;
  repaired: number;
  maxMs: number;
}

/** Overlaps up to this are the rounding of two timestamps. */
const roundingMs = 0.005;

/**
 * Clocks of two hosts disagree: a server seems to begin before its client did, or to end after. Each process gets one offset
 * per trace, from the first call that shows it: the server's span goes to the middle of its client's, as Jaeger's clock skew
 * adjustment does, because the ways there and back are taken as equally long. Servers that took longer than their client
 * waited outlived it and are left alone, and so is everything whose spans do not say that one waited for the other.
 */
export function repairClocks(tree: ForeignTree, count: SkewCount): void {
  const offsets = new Map<string, number>([[clockOf(tree.root.span.resource), 0]]);
  for (const node of tree.nodes) {
    const clock = clockOf(node.span.resource);
    let offset = offsets.get(clock);
    const { parent } = node;
    const waited = parent && parent.span.label.kind === 'client' && node.span.label.kind === 'server';
    if (waited && clock !== clockOf(parent.span.resource)) {
      const start = node.startMs + (offset ?? 0);
      const end = start + node.span.durationMs;
      if (start < parent.startMs - roundingMs || end > parent.endMs + roundingMs) {
        const spareMs = parent.span.durationMs - node.span.durationMs;
        const outlives = start >= parent.startMs - roundingMs && spareMs < 0;
        if (!outlives) {
          count.found++;
          if (offset === undefined && spareMs >= 0) {
            offset = parent.startMs + spareMs / 2 - node.startMs;
            count.repaired++;
            count.maxMs = Math.max(count.maxMs, Math.abs(offset));
          }
        }
      }
    }
    if (offset === undefined) offset = 0;
    if (!offsets.has(clock) && waited) offsets.set(clock, offset);
    node.startMs += offset;
    node.endMs += offset;
  }
  if (offsets.size > 1) for (const node of tree.nodes) node.children.sort((a, b) => a.startMs - b.startMs);
}

const clockOf = (resource: ForeignResource): string => {
  const { host, instance } = identityOf(resource);
  return host ?? instance;
};
