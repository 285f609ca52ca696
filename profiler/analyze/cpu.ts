import { attr } from '../../compiler/contracts/trace-attributes.ts';
import { amount, sameProcess, type TraceNode } from './node.ts';
import { coveredMs, type Visit, visitsIn, wallSelfMs } from './visits.ts';

/** What one visit cost, apart from hops, calls and waiting. */
export interface VisitCost {
  /** Event-loop time of the component's own code; null where it cannot be told apart from others in the process. */
  readonly cpuMs: number | null;
  /** Wall time of its own: CPU, timers and I/O, and whatever else ran on its event loop meanwhile. */
  readonly wallMs: number;
  /** Part of that in which the event loop was idle; null where it cannot be told apart from waiting for calls. */
  readonly idleMs: number | null;
}

/**
 * Own cost of every visit of one request. `dmas.active_ms` says how long the event loop was busy while a turn ran,
 * whoever kept it busy, so it tells something only where nobody else did: where all turns at once in the process were
 * the visit's own callers and callees (`dmas.concurrency` says how many there were), one after another. Then the
 * callees' busy time and the encoding of remote calls are taken off, and what remains is the turn's own.
 */
export function visitCosts(entries: readonly Visit[]): Map<Visit, VisitCost> {
  const visits = entries.flatMap((entry) => [...visitsIn(entry)]);
  return new Map(visits.map((visit) => [visit, costOf(visit, visits)]));
}

function costOf(visit: Visit, all: readonly Visit[]): VisitCost {
  const { turn } = visit;
  const wallMs = wallSelfMs(visit);
  if (!turn || !knowsActivity(turn)) return { cpuMs: null, wallMs, idleMs: null };
  const neighbours = all.flatMap((other) => (other !== visit && other.turn && sharesLoop(other.turn, turn) ? [other.turn] : []));
  const nested = neighbours.filter((other) => isInside(other, turn));
  const callees = nested.filter((other) => !nested.some((between) => between !== other && isInside(other, between)));
  const undisturbed =
    amount(turn, attr.concurrency) <= mostAtOnce(turn, neighbours) &&
    neighbours.every((other) => isInside(other, turn) || isInside(turn, other)) &&
    callees.every((a) => knowsActivity(a) && callees.every((b) => a === b || !overlap(a, b)));
  if (!undisturbed) {
    const leaf = visit.calls.length === 0;
    return { cpuMs: null, wallMs, idleMs: leaf ? Math.max(0, turn.span.durationMs - amount(turn, attr.activeMs)) : null };
  }
  const calleesMs = callees.reduce((sum, other) => sum + amount(other, attr.activeMs), 0);
  // A graph's forwards are encoded after the turn.
  const within = visit.calls.filter((call) => call.wait.startMs < turn.endMs);
  const encodingMs = within.reduce((sum, call) => sum + amount(call.node, attr.serializeMs), 0);
  // The loop cannot have worked for this visit longer than the visit was not waiting.
  const cpuMs = Math.min(wallMs, Math.max(0, amount(turn, attr.activeMs) - calleesMs - encodingMs));
  return { cpuMs, wallMs, idleMs: wallMs - cpuMs };
}

/**
 * Wall time of the visit's own code. Among other requests the wall time holds their work too; where the idle time of
 * the loop is known, it is that and the component's usual CPU instead.
 */
export const selfMsOf = (cost: VisitCost, usualCpuMs: number): number =>
  cost.cpuMs !== null || cost.idleMs === null ? cost.wallMs : Math.min(cost.wallMs, cost.idleMs + usualCpuMs);

/** Most turns of this request at once in the process while the turn ran, itself included. */
function mostAtOnce(turn: TraceNode, neighbours: readonly TraceNode[]): number {
  const instants = [turn, ...neighbours].map((node) => Math.max(node.startMs, turn.startMs));
  const at = (instant: number) => neighbours.filter((node) => node.startMs <= instant && instant < node.endMs).length;
  return 1 + Math.max(...instants.map(at));
}

const knowsActivity = (turn: TraceNode) => attr.activeMs in turn.span.attributes;
const isInside = (inner: TraceNode, outer: TraceNode): boolean => {
  for (let node = inner.parent; node !== null; node = node.parent) if (node === outer) return true;
  return false;
};
const overlap = (a: TraceNode, b: TraceNode) => coveredMs([a], b) > 0;
const sharesLoop = (a: TraceNode, b: TraceNode) => sameProcess(a, b) && overlap(a, b);
