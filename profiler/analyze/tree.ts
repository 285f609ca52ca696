import { attr } from '../../compiler/contracts/trace-attributes.ts';
import type { SpanRecord } from '../../compiler/contracts/traces.ts';
import { followCompletion, settleJoins } from './repair.ts';

/** What a span stands for (see `spanName` in the contracts). Everything else, e.g. spans of user code, is `other`. */
export type SpanRole = 'ingress' | 'call' | 'serve' | 'agent' | 'tool' | 'chat' | 'other';

export interface TraceNode {
  readonly span: SpanRecord;
  readonly role: SpanRole;
  readonly parent: TraceNode | null;
  /** In order of start. */
  readonly children: readonly TraceNode[];
  readonly startMs: number;
  /** The span's own end, but for branches of a graph that meet at a join (see repair.ts). */
  readonly endMs: number;
  /**
   * When what the request waited for here was over: `endMs`, but on the way from the ingress to the message that completed
   * the request the arrival of that message, because there one-way messages are awaited after all.
   */
  readonly awaitedMs: number;
  /** On the way to the message that completed a request over topics. */
  readonly completing: boolean;
}

export interface RequestTrace {
  readonly traceId: string;
  readonly requestClass: string;
  /** The ingress span. */
  readonly root: TraceNode;
  readonly nodes: readonly TraceNode[];
  /** One root and no missing parent. */
  readonly unbroken: boolean;
}

/** While a tree is put together. */
export type Mutable = Omit<{ -readonly [K in keyof TraceNode]: TraceNode[K] }, 'children' | 'parent'> & {
  children: Mutable[];
  parent: Mutable | null;
};

/** What the ingress is called where it is the receiver of a message. */
export const ingressComponent = 'ingress';

export interface Forest {
  /** Traces with an ingress span. */
  readonly requests: readonly RequestTrace[];
  /** Traces of any kind; one without an ingress span is broken. */
  readonly traces: number;
  readonly unbrokenShare: number;
  readonly spans: number;
}

/** Puts spans together into one tree per request. Spans sent twice by an exporter count once. */
export function buildTraces(spans: Iterable<SpanRecord>): Forest {
  const byTrace = new Map<string, Map<string, SpanRecord>>();
  let count = 0;
  for (const span of spans) {
    const trace = byTrace.get(span.traceId) ?? new Map<string, SpanRecord>();
    byTrace.set(span.traceId, trace);
    if (trace.has(span.spanId)) continue;
    trace.set(span.spanId, span);
    count++;
  }
  const requests = [...byTrace.values()].map(buildTree).filter((request) => request !== null);
  requests.sort((a, b) => a.root.startMs - b.root.startMs);
  const unbroken = requests.filter((request) => request.unbroken).length;
  return { requests, traces: byTrace.size, unbrokenShare: byTrace.size === 0 ? 0 : unbroken / byTrace.size, spans: count };
}

function buildTree(spans: ReadonlyMap<string, SpanRecord>): RequestTrace | null {
  const nodes = new Map<string, Mutable>();
  for (const span of spans.values()) {
    const startMs = span.startMs;
    nodes.set(span.spanId, {
      span,
      role: roleOf(span),
      parent: null,
      children: [],
      startMs,
      endMs: startMs + span.durationMs,
      awaitedMs: startMs + span.durationMs,
      completing: false,
    });
  }
  const roots: Mutable[] = [];
  for (const node of nodes.values()) {
    const parent = node.span.parentSpanId === undefined ? undefined : nodes.get(node.span.parentSpanId);
    if (parent) {
      node.parent = parent;
      parent.children.push(node);
    } else {
      roots.push(node);
    }
  }
  // A user may send a context of their own, so the ingress span need not be without a parent; it must be the only root.
  const root = roots.find((node) => node.role === 'ingress');
  if (!root) return null;
  const all = [...nodes.values()].sort((a, b) => a.startMs - b.startMs);
  for (const node of all) node.children.sort((a, b) => a.startMs - b.startMs);
  settleJoins(all, root);
  followCompletion(all);
  const requestClass = root.span.attributes[attr.requestClass];
  return {
    traceId: root.span.traceId,
    requestClass: typeof requestClass === 'string' ? requestClass : 'default',
    root,
    nodes: all,
    unbroken: roots.length === 1,
  };
}

function roleOf(span: SpanRecord): SpanRole {
  const { name, kind } = span;
  if (name === 'ingress') return 'ingress';
  if (name.startsWith('call ') && (kind === 'client' || kind === 'producer')) return 'call';
  if (name.startsWith('serve ') && (kind === 'server' || kind === 'consumer')) return 'serve';
  if (name.startsWith('invoke_agent ')) return 'agent';
  if (name.startsWith('execute_tool ')) return 'tool';
  if (name.startsWith('chat ')) return 'chat';
  return 'other';
}

/** A number attribute, 0 when it is absent. */
export function amount(node: TraceNode | null, name: string): number {
  const value = node?.span.attributes[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}
export function label(node: TraceNode, name: string): string | undefined {
  const value = node.span.attributes[name];
  return typeof value === 'string' ? value : undefined;
}

/** The component a `call` or `serve` goes to. */
export const calleeOf = (node: TraceNode): string => label(node, attr.to) ?? node.span.name.slice(node.span.name.indexOf(' ') + 1);

/** Where a component's code runs. */
export const isTurn = (node: Pick<TraceNode, 'role'>): boolean => node.role === 'agent' || node.role === 'tool';

/** One-way messages are not waited for; `completing` ones are, see `TraceNode.endMs`. */
export const isOneWay = (node: TraceNode): boolean => node.span.kind === 'producer';

/** Whether two spans ran in the same process. */
export const sameProcess = (a: TraceNode, b: TraceNode): boolean => a.span.unit === b.span.unit && a.span.replica === b.span.replica;
