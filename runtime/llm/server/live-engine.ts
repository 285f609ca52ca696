import type { EngineRequest, EngineStats, RequestTimings } from '../engine/engine.ts';
import type { Pool, PoolEvent } from '../engine/pool.ts';

export interface LiveRequest extends Omit<EngineRequest, 'atMs'> {
  /** The first token is there. */
  readonly onFirst: (times: Pick<RequestTimings, 'queuedMs' | 'prefillMs'>, replica: number) => void;
  /** For streams: more tokens are there, the last ones left out (`onFinished` follows for those). */
  readonly onTokens?: (tokensProduced: number) => void;
  readonly onFinished: (timings: RequestTimings, replica: number) => void;
}

/** A pool in real time. */
export interface LiveEngine {
  /** Throws the engine's RangeError for a request that could never run. */
  submit(request: LiveRequest): void;
  /** Where it was and how far it had come; undefined when it had ended already. */
  cancel(id: string): { readonly replica: number | undefined; readonly tokensProduced: number } | undefined;
  /** Requests waiting, over all replicas. */
  waiting(): number;
  /** Of each replica: what its engine says, and the tokens its requests under way have got. */
  stats(): readonly { readonly stats: EngineStats; readonly tokensUnderWay: number }[];
  /** Milliseconds since it was made, on the engines' clock. */
  nowMs(): number;
  stop(): void;
}

/** A timer of Node fires on a whole millisecond, so an event this near counts as due. */
const timerSlackMs = 0.6;

/**
 * One timer for the whole pool, set to its next wake: twice per request that is not streamed, however many tokens it has.
 * Times come from the engines' own clock, so lateness of a timer delays one answer but never adds up.
 */
export function createLiveEngine(pool: Pool, tokensPerChunk: number): LiveEngine {
  const requests = new Map<string, LiveRequest & { readonly replica: number | undefined }>();
  /** Streams that have begun, per replica, and when they have so many tokens more that a chunk is due. */
  const streams = pool.stats().map(() => new Map<string, LiveRequest>());
  const chunkDueMs = streams.map(() => Number.POSITIVE_INFINITY);
  const originMs = performance.now();
  let engineMs = 0;
  let timer: NodeJS.Timeout | undefined;
  let dueMs = Number.POSITIVE_INFINITY;

  const nowMs = () => performance.now() - originMs;

  function handle(event: PoolEvent): void {
    const request = requests.get(event.id);
    if (request === undefined) return;
    const { replica } = event;
    if (event.kind === 'firstToken') {
      request.onFirst(event, replica);
      if (request.onTokens === undefined) return;
      streams[replica]?.set(event.id, request);
      if (chunkDueMs[replica] === Number.POSITIVE_INFINITY) setChunkDue(replica);
      return;
    }
    requests.delete(event.id);
    endStream(event.id, replica);
    request.onFinished(event, replica);
  }

  function setChunkDue(replica: number): void {
    const streaming = (streams[replica]?.size ?? 0) > 0;
    chunkDueMs[replica] = (streaming ? pool.afterStepsMs(tokensPerChunk, replica) : undefined) ?? Number.POSITIVE_INFINITY;
  }

  function endStream(id: string, replica: number): void {
    if (streams[replica]?.delete(id) && streams[replica]?.size === 0) chunkDueMs[replica] = Number.POSITIVE_INFINITY;
  }

  function advance(ms: number, all = false): void {
    engineMs = Math.max(engineMs, ms);
    for (const event of pool.advanceTo(engineMs, all)) handle(event);
  }

  function emitTokens(replica: number): void {
    for (const [id, request] of streams[replica] ?? []) {
      const produced = pool.tokensProduced(id);
      if (produced > 0) request.onTokens?.(produced);
    }
    setChunkDue(replica);
  }

  function wake(): void {
    timer = undefined;
    const target = dueMs;
    dueMs = Number.POSITIVE_INFINITY;
    const now = nowMs();
    const chunks = chunkDueMs.some((due) => due <= target);
    advance(target - now <= timerSlackMs ? Math.max(target, now) : now, chunks);
    if (chunks) chunkDueMs.forEach((due, replica) => void (due <= engineMs && emitTokens(replica)));
    schedule();
  }

  function schedule(): void {
    const next = Math.min(pool.nextWakeAtMs() ?? Number.POSITIVE_INFINITY, ...chunkDueMs);
    if (next === dueMs) return;
    if (timer) clearTimeout(timer);
    timer = undefined;
    dueMs = next;
    if (next !== Number.POSITIVE_INFINITY) timer = setTimeout(wake, Math.max(0, Math.round(next - nowMs())));
  }

  return {
    submit: (request) => {
      const now = nowMs();
      // Whoever comes at the same time is seen at the same time, so nothing begins before that time is over.
      if (now > engineMs) advance(now);
      const { onFirst: _first, onTokens: _tokens, onFinished: _finished, ...arrival } = request;
      const replica = pool.submit({ ...arrival, atMs: engineMs });
      requests.set(request.id, { ...request, replica });
      schedule();
    },
    cancel: (id) => {
      const request = requests.get(id);
      if (request === undefined) return undefined;
      advance(nowMs(), true);
      // It may have ended just now.
      if (!requests.delete(id)) return undefined;
      const tokensProduced = pool.tokensProduced(id);
      streams.forEach((_, replica) => void endStream(id, replica));
      pool.cancel(id, engineMs);
      schedule();
      return { replica: request.replica, tokensProduced };
    },
    waiting: () => {
      const now = nowMs();
      if (now > engineMs) advance(now);
      return pool.waiting();
    },
    stats: () => {
      advance(nowMs(), true);
      const tokens = streams.map(() => 0);
      for (const [id, { replica }] of requests)
        if (replica !== undefined) tokens[replica] = (tokens[replica] as number) + pool.tokensProduced(id);
      schedule();
      return pool.stats().map((stats, replica) => ({ stats, tokensUnderWay: tokens[replica] ?? 0 }));
    },
    nowMs,
    stop: () => {
      if (timer) clearTimeout(timer);
      timer = undefined;
      dueMs = Number.POSITIVE_INFINITY;
      requests.clear();
      for (const each of streams) each.clear();
    },
  };
}
