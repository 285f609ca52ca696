import { type PathKind, pathKinds } from '../../compiler/contracts/profile.ts';
import { attr } from '../../compiler/contracts/trace-attributes.ts';
import { amount, type TraceNode } from './node.ts';

/** One piece of the path; pieces are in order and cover the request from start to end without gap or overlap. */
export interface PathSegment {
  readonly node: TraceNode;
  readonly kind: PathKind;
  readonly startMs: number;
  readonly endMs: number;
}

/**
 * The chain of work the request waited for: walked backwards from its end, always into the child that ended last.
 * What a span did not wait for in a child is its own. Source of the method: Barham et al., "Using Magpie for request
 * extraction and workload modelling", OSDI 2004; the same walk as in Jaeger's critical-path view.
 */
export function criticalPath(root: TraceNode): PathSegment[] {
  const segments: PathSegment[] = [];
  walk(root, root.startMs, root.startMs + root.span.durationMs, segments);
  return segments.reverse();
}

/** Appends the segments of `node` between two times, last first. */
function walk(node: TraceNode, fromMs: number, toMs: number, out: PathSegment[]): void {
  const starts = out.length;
  let cursor = toMs;
  const children = [...node.children].sort((a, b) => b.awaitedMs - a.awaitedMs);
  for (const child of children) {
    // What ended after the cursor was not waited for: a slower sibling was, or it handles a one-way message.
    if (child.awaitedMs > cursor + toleranceMs) continue;
    const end = Math.min(child.awaitedMs, cursor);
    const start = Math.max(child.startMs, fromMs);
    if (end <= start) continue;
    if (end < cursor) push(end, cursor);
    walk(child, start, end, out);
    cursor = start;
  }
  if (cursor > fromMs) push(fromMs, cursor);
  if (node.role === 'serve' || node.role === 'call') queueFirst(node, out, starts, fromMs);

  function push(startMs: number, endMs: number): void {
    out.push({ node, kind: ownKind(node), startMs, endMs });
    if (node.role === 'chat') splitChat(node, out);
  }
}

/** Clocks of one host agree; a child may still seem to outlast its parent by the rounding of two timestamps. */
const toleranceMs = 0.005;

function ownKind(node: TraceNode): PathKind {
  switch (node.role) {
    case 'ingress':
      return 'ingress';
    case 'call':
    case 'serve':
      return 'communication';
    case 'chat':
      return 'model';
    default:
      return 'working';
  }
}

/** The wait for the limits of the provider, and then the engine's queue, are the first part of a model call. */
function splitChat(node: TraceNode, out: PathSegment[]): void {
  const segment = out[out.length - 1];
  const queueMs = amount(node, attr.limitMs) + amount(node, attr.queueMs);
  if (!segment || queueMs <= 0) return;
  const cut = Math.min(segment.endMs, Math.max(segment.startMs, node.startMs + queueMs));
  out.pop();
  if (cut < segment.endMs) out.push({ ...segment, startMs: cut });
  if (cut > segment.startMs) out.push({ ...segment, kind: 'queueing', endMs: cut });
}

/** The wait for a slot ends where the turn starts, so it is the last part of the hop's own time before its turn. */
function queueFirst(node: TraceNode, out: PathSegment[], from: number, fromMs: number): void {
  const turn = node.children.find((child) => child.role === 'agent' || child.role === 'tool');
  const holder = turn ?? node;
  const queueMs = amount(node, attr.queueMs) || amount(holder, attr.queueMs);
  if (queueMs <= 0) return;
  const untilMs = turn ? turn.startMs : node.startMs + queueMs;
  const sinceMs = Math.max(fromMs, untilMs - queueMs);
  for (let i = out.length - 1; i >= from; i--) {
    const segment = out[i];
    if (!segment || segment.node !== node || segment.kind !== 'communication') continue;
    const start = Math.max(segment.startMs, sinceMs);
    const end = Math.min(segment.endMs, untilMs);
    if (end <= start) continue;
    const pieces: PathSegment[] = [];
    if (end < segment.endMs) pieces.push({ ...segment, startMs: end });
    pieces.push({ ...segment, kind: 'queueing', startMs: start, endMs: end });
    if (start > segment.startMs) pieces.push({ ...segment, endMs: start });
    out.splice(i, 1, ...pieces);
    return;
  }
}

/** Milliseconds of one request by kind; they sum to the request's duration. */
export function pathTotals(segments: readonly PathSegment[]): { [kind in PathKind]: number } {
  const totals = Object.fromEntries(pathKinds.map((kind) => [kind, 0])) as { [kind in PathKind]: number };
  for (const { kind, startMs, endMs } of segments) totals[kind] += endMs - startMs;
  return totals;
}

/**
 * Share of latency by kind: the median over requests of each kind's share, scaled so that the shares sum to 1 (medians
 * of parts need not). All zero without requests.
 */
export function pathShares(paths: readonly (readonly PathSegment[])[]): { readonly [kind in PathKind]: number } {
  const shares = pathKinds.map((kind) => {
    const each = paths.flatMap((segments) => {
      const totals = pathTotals(segments);
      const all = pathKinds.reduce((sum, other) => sum + totals[other], 0);
      return all > 0 ? [totals[kind] / all] : [];
    });
    each.sort((a, b) => a - b);
    const middle = each.length >> 1;
    return each.length === 0 ? 0 : each.length % 2 === 1 ? (each[middle] ?? 0) : ((each[middle - 1] ?? 0) + (each[middle] ?? 0)) / 2;
  });
  const sum = shares.reduce((a, b) => a + b, 0);
  return Object.fromEntries(pathKinds.map((kind, i) => [kind, sum > 0 ? (shares[i] ?? 0) / sum : 0])) as { [kind in PathKind]: number };
}
