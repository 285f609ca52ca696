import { attr } from '../../compiler/contracts/trace-attributes.ts';
import { amount, calleeOf, ingressComponent, isOneWay, isTurn, label, type TraceNode } from './node.ts';
import type { RequestTrace } from './tree.ts';

/**
 * One message handled by a component. `call` is the hop as its caller saw it, `serve` as the callee did (absent
 * in-process), `turn` the code in between. A node of a graph forwards after its turn, so its calls hang on the hop
 * beside the turn; a branch that arrives at a join first has no turn at all.
 */
export interface Visit {
  readonly component: string;
  readonly call: TraceNode;
  readonly serve: TraceNode | null;
  readonly turn: TraceNode | null;
  /**
   * The callee is somebody else's, so there is no span of it: all the caller waited for is taken as its work.
   */
  readonly external: boolean;
  /** Waited for a slot of the component. */
  readonly queueMs: number;
  /** From the start of the turn to its end, or to the end of what the hop forwarded; empty without either. */
  readonly startMs: number;
  readonly endMs: number;
  /** In order of start. */
  readonly calls: readonly VisitCall[];
}

/** `wait` is how long its caller waited: until the answer, or until a one-way message was accepted. */
export type VisitCall =
  | { readonly kind: 'component'; readonly node: TraceNode; readonly wait: Interval; readonly blocking: boolean; readonly visit: Visit }
  | { readonly kind: 'model'; readonly node: TraceNode; readonly wait: Interval; readonly blocking: true };

/** The visits a request began with: one for an entry agent, one per subscriber for an entry topic. */
export function entryVisits(trace: RequestTrace): readonly Visit[] {
  return descend(trace.root)
    .filter((node) => node.role === 'call')
    .map(visitOf);
}

/** A visit and all visits inside it, in depth-first order. */
export function* visitsIn(visit: Visit): Generator<Visit> {
  yield visit;
  for (const call of visit.calls) if (call.kind === 'component') yield* visitsIn(call.visit);
}

function visitOf(call: TraceNode): Visit {
  const component = calleeOf(call);
  const serve = call.children.find((child) => child.role === 'serve') ?? null;
  const hop = serve ?? call;
  const turn = hop.children.find(isTurn) ?? null;
  const external = !serve && !turn && call.children.length === 0 && call.span.ok && !isOneWay(call) && !(attr.step in call.span.attributes);
  const inside = turn ? descend(turn) : [];
  const beside = hop.children.filter((child) => child !== turn).flatMap((child) => (isCallLike(child) ? [child] : descend(child)));
  const calls = [...inside, ...beside]
    .filter((node) => isCallLike(node) && !(node.role === 'call' && calleeOf(node) === ingressComponent))
    .sort((a, b) => a.startMs - b.startMs)
    .map(callOf);
  const queued = [serve, call, turn].find((node) => node !== null && attr.queueMs in node.span.attributes) ?? null;
  const waited = calls.filter((each) => each.blocking).map((each) => each.wait);
  const ends = [...(turn ? [turn] : external ? [call] : []), ...waited].map((interval) => interval.endMs);
  const starts = turn ? [turn.startMs] : waited.map((interval) => interval.startMs);
  return {
    component,
    call,
    serve,
    turn,
    external,
    queueMs: amount(queued, attr.queueMs),
    startMs: starts.length === 0 ? hop.startMs : Math.min(...starts),
    endMs: ends.length === 0 ? hop.startMs : Math.max(...ends),
    calls,
  };
}

function callOf(node: TraceNode): VisitCall {
  if (node.role === 'chat') return { kind: 'model', node, wait: node, blocking: true };
  return { kind: 'component', node, wait: node, blocking: !isOneWay(node), visit: visitOf(node) };
}

const isCallLike = (node: TraceNode) => node.role === 'call' || node.role === 'chat';

/** Calls made inside a span, looked for through spans of user code and local tools. */
function descend(node: TraceNode): TraceNode[] {
  return node.children.flatMap((child) => (isCallLike(child) ? [child] : child.role === 'serve' ? [] : descend(child)));
}

export type Pattern = 'request' | 'stream' | 'send' | 'publish';
export function patternOf(node: TraceNode): Pattern {
  const method = label(node, attr.rpcMethod);
  if (method === 'stream' || method === 'send' || method === 'publish' || method === 'request') return method;
  return isOneWay(node) ? 'send' : 'request';
}

export interface Interval {
  readonly startMs: number;
  readonly endMs: number;
}

/** Total length of a union of intervals, clipped to `within`. */
export function coveredMs(intervals: readonly Interval[], within: Interval): number {
  let covered = 0;
  let cursor = within.startMs;
  for (const { startMs, endMs } of [...intervals].sort((a, b) => a.startMs - b.startMs)) {
    const from = Math.max(cursor, startMs);
    const to = Math.min(within.endMs, endMs);
    if (to > from) covered += to - from;
    cursor = Math.max(cursor, Math.min(to, within.endMs));
  }
  return covered;
}

/** Wall time of a visit not spent waiting for calls, models or a slot; other requests on the same event loop included. */
export const wallSelfMs = (visit: Visit): number =>
  Math.max(
    0,
    visit.endMs -
      visit.startMs -
      coveredMs(
        visit.calls.map((call) => call.wait),
        visit,
      ),
  );

/** Whether the component's code ran; not when the attempt failed before, or the message only waited at a join. */
export const ran = (visit: Visit): boolean => visit.turn !== null || visit.external;
