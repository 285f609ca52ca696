import { attr } from '../../compiler/contracts/trace-attributes.ts';
import type { Waterfall } from '../../reports/report.ts';
import { criticalPath } from './critical-path.ts';
import { amount, calleeOf, label, type TraceNode } from './node.ts';
import type { RequestTrace } from './tree.ts';

type Row = Waterfall['rows'][number];

/** Waits shorter than this are not drawn as rows of their own. */
const visibleMs = 0.05;

/** One request, span by span, in the order a reader follows it. The two sides of a hop are one row. */
export function waterfall(trace: RequestTrace, configurationId: string): Waterfall {
  const critical = new Set(
    criticalPath(trace.root)
      .filter((segment) => segment.endMs > segment.startMs)
      .map((segment) => segment.node),
  );
  const origin = trace.root.startMs;
  const rows: Row[] = [];
  const visit = (node: TraceNode, depth: number) => {
    if (node.role === 'serve') {
      for (const child of node.children) visit(child, depth);
      return;
    }
    const serve = node.role === 'call' ? node.children.find((child) => child.role === 'serve') : undefined;
    const row: Row = {
      depth,
      lane: laneOf(node),
      label: labelOf(node),
      kind: kindOf(node),
      startMs: node.startMs - origin,
      durationMs: node.role === 'human' ? 0 : node.span.durationMs,
      critical: critical.has(node) || (serve !== undefined && critical.has(serve)),
      detail: detailOf(node),
    };
    const queueMs = node.role === 'call' ? 0 : amount(node, attr.queueMs);
    if (queueMs >= visibleMs && (node.role === 'agent' || node.role === 'tool'))
      rows.push({ ...row, kind: 'queueing', label: 'waits for a slot', startMs: row.startMs - queueMs, durationMs: queueMs, detail: '' });
    rows.push(row);
    const limitMs = amount(node, attr.limitMs);
    const within = { ...row, depth: depth + 1, kind: 'queueing' as const, detail: '' };
    if (limitMs >= visibleMs && node.role === 'chat') rows.push({ ...within, label: 'waits for its limits', durationMs: limitMs });
    if (queueMs >= visibleMs && node.role === 'chat')
      rows.push({ ...within, label: 'waits for the engine', startMs: row.startMs + limitMs, durationMs: queueMs });
    for (const child of node.children) visit(child, depth + 1);
  };
  visit(trace.root, 0);
  return { configurationId, requestClass: trace.requestClass, totalMs: trace.root.span.durationMs, rows };
}

/**
 * The request to show: whole, right, and closest to the median duration of its class; of the class with most requests
 * unless one is named. Null when there is none.
 */
export function typicalTrace(requests: readonly RequestTrace[], requestClass?: string): RequestTrace | null {
  const good = requests.filter((request) => request.unbroken && request.root.span.ok);
  const name = requestClass ?? largestClass(good);
  const mine = good
    .filter((request) => request.requestClass === name)
    .sort((a, b) => a.root.span.durationMs - b.root.span.durationMs || (a.traceId < b.traceId ? -1 : 1));
  return mine[(mine.length - 1) >> 1] ?? null;
}

function largestClass(requests: readonly RequestTrace[]): string | undefined {
  const counts = new Map<string, number>();
  for (const { requestClass } of requests) counts.set(requestClass, (counts.get(requestClass) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0]?.[0];
}

function laneOf({ span }: TraceNode): string {
  const unit = span.unit ?? '?';
  return span.replica === undefined || span.replica === 0 ? unit : `${unit}#${span.replica}`;
}

function labelOf(node: TraceNode): string {
  switch (node.role) {
    case 'call':
      return `→ ${calleeOf(node)}`;
    case 'agent':
    case 'tool':
    case 'chat':
      return node.span.name.slice(node.span.name.indexOf(' ') + 1);
    default:
      return node.span.name;
  }
}

function kindOf(node: TraceNode): Row['kind'] {
  if (node.role === 'ingress') return 'ingress';
  if (node.role === 'call') return 'communication';
  if (node.role === 'chat') return 'model';
  return node.role === 'tool' ? 'tool' : 'working';
}

function detailOf(node: TraceNode): string {
  if (node.role === 'human') return `${Math.round(node.span.durationMs)} ms of a person, left out of all times`;
  const failed = node.span.ok ? [] : [`failed: ${label(node, attr.modelFault) ?? label(node, attr.errorType) ?? 'error'}`];
  const attempt = amount(node, attr.attempt) > 1 ? [`attempt ${amount(node, attr.attempt)}`] : [];
  if (node.role === 'chat') {
    const cached = amount(node, attr.tokensCached);
    const tokens = `${amount(node, attr.tokensIn)} tokens in${cached > 0 ? ` (${cached} cached)` : ''}, ${amount(node, attr.tokensOut)} out`;
    return [tokens, ...attempt, ...failed].join('; ');
  }
  if (node.role !== 'call') return failed.join('');
  const protocol = label(node, attr.rpcSystem) ?? 'inproc';
  const bytes = protocol === 'inproc' ? '' : `, ${amount(node, attr.requestBytes)} B out, ${amount(node, attr.responseBytes)} B back`;
  return [`${protocol}${bytes}`, ...attempt, ...failed].join('; ');
}

/** Both in one step: the typical request of these spans as rows; null when there is no whole trace. */
export function typicalWaterfall(requests: readonly RequestTrace[], configurationId: string, requestClass?: string): Waterfall | null {
  const trace = typicalTrace(requests, requestClass);
  return trace ? waterfall(trace, configurationId) : null;
}
