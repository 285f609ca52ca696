import { createEngine, type EngineRequest, type EngineStats, type RequestTimings as EngineTimings } from '../engine/engine.ts';
import type { EngineArgs, StepTime } from '../engine/step-time.ts';

export type RequestTimings = Pick<EngineTimings, 'queuedMs' | 'prefillMs' | 'decodeMs'>;

export interface LiveRequest {
  readonly id: string;
  readonly tokensIn: number;
  readonly tokensCached: number;
  readonly tokensOut: number;
  /** The first token is there. */
  readonly onFirst: (times: { readonly queuedMs: number }) => void;
  /** For streams: more tokens are there, the last ones left out (`onFinished` follows for those). */
  readonly onTokens?: (tokensProduced: number) => void;
  readonly onFinished: (timings: RequestTimings) => void;
}

/** The engine in real time. */
export interface LiveEngine {
  /** Throws the engine's RangeError for a request that could never run. */
  submit(request: LiveRequest): void;
  cancel(id: string): void;
  stats(): EngineStats;
  stop(): void;
}

/** A timer of Node fires on a whole millisecond, so an event this near counts as due. */
const timerSlackMs = 0.6;

/**
 * One timer, set to the engine's next wake: twice per request that is not streamed, however many tokens it has. Times
 * come from the engine's own clock, so lateness of a timer delays one answer but never adds up.
 */
export function createLiveEngine(
  { args, stepTime }: { readonly args: EngineArgs; readonly stepTime: StepTime },
  tokensPerChunk: number,
): LiveEngine {
  const engine = createEngine(args, stepTime);
  const requests = new Map<string, LiveRequest>();
  const streams = new Map<string, LiveRequest>();
  const originMs = performance.now();
  let engineMs = 0;
  let timer: NodeJS.Timeout | undefined;
  let dueMs = Infinity;

  const nowMs = () => performance.now() - originMs;

  function advance(ms: number): void {
    engineMs = Math.max(engineMs, ms);
    for (const event of engine.advanceTo(engineMs)) {
      const request = requests.get(event.id);
      if (!request) continue;
      if (event.kind === 'firstToken') request.onFirst(event);
      else {
        requests.delete(event.id);
        streams.delete(event.id);
        request.onFinished(event);
      }
    }
  }

  function emitTokens(): void {
    for (const [id, request] of streams) {
      const produced = engine.tokensProduced(id);
      if (produced > 0) request.onTokens?.(produced);
    }
  }

  function wake(): void {
    timer = undefined;
    const target = dueMs;
    dueMs = Infinity;
    const now = nowMs();
    advance(target - now <= timerSlackMs ? Math.max(target, now) : now);
    emitTokens();
    schedule();
  }

  function schedule(): void {
    const next = streams.size > 0 ? engine.afterStepsMs(tokensPerChunk) : engine.nextWakeAtMs();
    if (next === undefined || next === dueMs) return;
    if (timer) clearTimeout(timer);
    dueMs = next;
    timer = setTimeout(wake, Math.max(0, Math.round(next - nowMs())));
  }

  return {
    submit: (request) => {
      advance(nowMs());
      const { id, tokensIn, tokensCached, tokensOut } = request;
      const arrival: EngineRequest = { id, tokensIn, tokensCached, tokensOut, atMs: engineMs };
      engine.submit(arrival);
      requests.set(id, request);
      if (request.onTokens) streams.set(id, request);
      advance(engineMs);
      schedule();
    },
    cancel: (id) => {
      if (!requests.delete(id)) return;
      streams.delete(id);
      advance(nowMs());
      engine.cancel(id, engineMs);
      schedule();
    },
    stats: () => {
      advance(nowMs());
      return engine.stats();
    },
    stop: () => {
      if (timer) clearTimeout(timer);
      timer = undefined;
      dueMs = Infinity;
      requests.clear();
      streams.clear();
    },
  };
}
