import type { TracedCall, TracedVisit } from '../../profiler/analyze/traced-request.ts';

export type ComponentCall = Extract<TracedCall, { readonly kind: 'component' }>;

/** What replaces the traced figures when a request is replayed; left out, the request takes as long as it was traced. */
export interface ReplayChange {
  /** Time of a hop, in ms. */
  readonly hopMs?: (from: string, call: ComponentCall) => number;
  /** Own time of one phase of a visit, in ms. */
  readonly selfMs?: (visit: TracedVisit, selfMs: number) => number;
}

/** Duration of one traced request, in ms, when its hops or own work take another time and all else stays. */
export function replayMs(visit: TracedVisit, change: ReplayChange = {}): number {
  const hopMs = change.hopMs ?? ((_from: string, call: ComponentCall) => call.hopMs);
  const selfMs = change.selfMs ?? ((_visit: TracedVisit, ms: number) => ms);
  let ms = 0;
  for (const phase of visit.phases) {
    ms += selfMs(visit, phase.selfMs);
    let longest = 0;
    for (const call of phase.calls) {
      if (call.kind === 'model') longest = Math.max(longest, call.measuredMs);
      else if (call.pattern === 'request' || call.pattern === 'stream')
        longest = Math.max(longest, hopMs(visit.component, call) + replayMs(call.visit, change));
    }
    ms += longest;
  }
  return ms;
}

/** Every call between components of a request, with its caller. */
export function* callsOf(visit: TracedVisit): Generator<{ readonly from: string; readonly call: ComponentCall }> {
  for (const phase of visit.phases) {
    for (const call of phase.calls) {
      if (call.kind !== 'component') continue;
      yield { from: visit.component, call };
      yield* callsOf(call.visit);
    }
  }
}

/** Own time of a visit, in ms. */
export const ownMs = (visit: TracedVisit): number => visit.phases.reduce((sum, phase) => sum + phase.selfMs, 0);

/** Every visit of a request, its own first. */
export function* visitsOf(visit: TracedVisit): Generator<TracedVisit> {
  yield visit;
  for (const { call } of callsOf(visit)) yield call.visit;
}
