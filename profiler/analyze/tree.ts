import { attr, spanName } from '../../compiler/contracts/trace-attributes.ts';
import type { SpanRecord } from '../../compiler/contracts/traces.ts';
import { alignClocks } from './clocks.ts';
import type { Mutable, SpanRole, TraceNode } from './node.ts';
import { closePauses } from './pauses.ts';
import { followCompletion, settleJoins } from './repair.ts';

export interface RequestTrace {
  readonly traceId: string;
  readonly requestClass: string;
  /** The ingress span. */
  readonly root: TraceNode;
  readonly nodes: readonly TraceNode[];
  /** One root and no missing parent. */
  readonly unbroken: boolean;
}

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
  const inOrder = () => {
    for (const node of all) node.children.sort((a, b) => a.startMs - b.startMs);
  };
  closePauses(root);
  inOrder();
  alignClocks(root);
  inOrder();
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
  if (name === spanName.humanWait()) return 'human';
  return 'other';
}
