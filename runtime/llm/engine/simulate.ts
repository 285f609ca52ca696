import { createEngine, type EngineRequest, type RequestTimings } from './engine.ts';
import type { EngineArgs, StepTime } from './step-time.ts';

export type Arrival = Omit<EngineRequest, 'id'>;

export interface ArrivalTimings extends RequestTimings {
  /** From arrival to the last token. */
  readonly totalMs: number;
}

/** Timings of every request on one engine, in the order given; arrivals need not be sorted. */
export function simulateArrivals(
  { args, stepTime }: { readonly args: EngineArgs; readonly stepTime: StepTime },
  requests: readonly Arrival[],
): ArrivalTimings[] {
  const engine = createEngine(args, stepTime);
  const order = requests.map((_, index) => index).sort((a, b) => atMs(requests, a) - atMs(requests, b));
  for (const index of order) engine.submit({ ...(requests[index] as Arrival), id: String(index) });
  const timings: ArrivalTimings[] = [];
  for (const event of engine.advanceTo(Number.POSITIVE_INFINITY)) {
    if (event.kind !== 'finished') continue;
    const { queuedMs, unseenMs, prefillMs, decodeMs, tokensCached, preemptions } = event;
    timings[Number(event.id)] = {
      queuedMs,
      unseenMs,
      prefillMs,
      decodeMs,
      tokensCached,
      preemptions,
      totalMs: queuedMs + prefillMs + decodeMs,
    };
  }
  return timings;
}

const atMs = (requests: readonly Arrival[], index: number) => requests[index]?.atMs ?? 0;
