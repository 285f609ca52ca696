import { createEngine, type Engine, type EngineEvent, type EngineRequest, type EngineStats, type RequestTimings } from './engine.ts';
import type { EngineSetup } from './options.ts';
import { createRouter, type PoolRouter } from './router.ts';
import type { StepTime } from './step-time.ts';

/** What a pool is made of: the options of its servers, understood (see `engineOf`). */
export type PoolSetup = Pick<EngineSetup, 'args' | 'stepTime' | 'replicas' | 'router' | 'coldStartMs'>;

export interface PoolOptions {
  /** When each replica's process was started; default 0 for all. It takes requests `coldStartMs` later. */
  readonly startedAtMs?: readonly number[];
  /** Step times of each replica, where they are not all those of the setup. */
  readonly stepTimeOf?: (replica: number) => StepTime;
}

export type PoolEvent = EngineEvent & { readonly replica: number };

/**
 * Engine replicas behind a router, as a pure function of what was submitted. A request goes to a replica when it arrives and
 * stays there; before any replica is up it waits for the first, and that wait is part of its `queuedMs`.
 */
export interface Pool {
  /** The replica it went to; undefined while none is up. Throws the engine's RangeError for what could never run. */
  submit(request: EngineRequest): number | undefined;
  /** See `Engine.cancel`. */
  cancel(id: string, atMs: number): void;
  /**
   * Everything that happened up to and including `ms`: by time, then by replica. Replicas where nothing happened are left
   * where they were unless `all` is wanted, as for `tokensProduced` and `stats`.
   */
  advanceTo(ms: number, all?: boolean): PoolEvent[];
  /** When to ask next: never later than the next event; undefined when idle. */
  nextWakeAtMs(): number | undefined;
  /** See `Engine.afterStepsMs`, of one replica. */
  afterStepsMs(steps: number, replica: number): number | undefined;
  tokensProduced(id: string): number;
  /** Requests that wait for anything, over all replicas. */
  waiting(): number;
  stats(): readonly EngineStats[];
  /** Steps of a replica that are over: also while it works on the next. */
  stepsOver(replica: number): number;
}

interface Placed {
  readonly replica: number;
  /** Waited for a replica to come up. */
  readonly waitedMs: number;
}

export function createPool({ args, stepTime, replicas, router: kind, coldStartMs }: PoolSetup, options: PoolOptions = {}): Pool {
  const capacityBlocks = args.kvBlocks * args.dataParallelSize;
  const router: PoolRouter = createRouter(kind, replicas, { capacityBlocks });
  const engines: Engine[] = Array.from({ length: replicas }, (_, replica) => createEngine(args, options.stepTimeOf?.(replica) ?? stepTime));
  const upAtMs = engines.map((_, replica) => (options.startedAtMs?.[replica] ?? 0) + coldStartMs);
  const allUpMs = Math.max(...upAtMs);
  const firstUpMs = Math.min(...upAtMs);
  const wakes = engines.map(() => Number.POSITIVE_INFINITY);
  const placed = new Map<string, Placed>();
  /** Arrived before any replica was up. */
  let early: EngineRequest[] = [];

  const engineAt = (replica: number) => engines[replica] as Engine;
  const rewind = (replica: number) => {
    wakes[replica] = engineAt(replica).nextWakeAtMs() ?? Number.POSITIVE_INFINITY;
  };

  function place(request: EngineRequest, atMs: number): number {
    const up = atMs >= allUpMs ? undefined : (replica: number) => (upAtMs[replica] as number) <= atMs;
    const replica = router.choose(promptKeys(request), up) as number;
    try {
      engineAt(replica).submit(request.atMs === atMs ? request : { ...request, atMs });
    } catch (error) {
      router.done(replica);
      throw error;
    }
    placed.set(request.id, { replica, waitedMs: atMs - request.atMs });
    rewind(replica);
    return replica;
  }

  /** Keys beyond the prompt are of the reply to come, which no router knows. */
  function promptKeys({ prefix, tokensIn }: EngineRequest): readonly string[] | undefined {
    const full = Math.floor(tokensIn / args.blockSize);
    return prefix === undefined || prefix.length <= full ? prefix : prefix.slice(0, full);
  }

  function leave(id: string): void {
    const at = placed.get(id);
    if (at === undefined) return;
    placed.delete(id);
    router.done(at.replica);
  }

  function step(ms: number, all: boolean): PoolEvent[] {
    const events: PoolEvent[] = [];
    let busy = 0;
    for (let replica = 0; replica < engines.length; replica++) {
      if (!all && (wakes[replica] as number) > ms) continue;
      const before = events.length;
      for (const event of engineAt(replica).advanceTo(ms)) events.push(withReplica(event, replica, placed.get(event.id)?.waitedMs ?? 0));
      rewind(replica);
      if (events.length > before) busy++;
    }
    for (const event of events) if (event.kind === 'finished') leave(event.id);
    return busy > 1 ? events.sort((a, b) => a.atMs - b.atMs || a.replica - b.replica) : events;
  }

  return {
    submit: (request) => {
      if (request.atMs >= firstUpMs && early.length === 0) return place(request, request.atMs);
      early.push(request);
      return undefined;
    },
    cancel: (id, atMs) => {
      early = early.filter((request) => request.id !== id);
      const at = placed.get(id);
      if (at === undefined) return;
      engineAt(at.replica).cancel(id, atMs);
      rewind(at.replica);
      leave(id);
    },
    advanceTo: (ms, all = false) => {
      if (early.length === 0 || ms < firstUpMs) return step(ms, all);
      const waited = early;
      early = [];
      for (const request of waited) place(request, Math.max(request.atMs, firstUpMs));
      return step(ms, all);
    },
    nextWakeAtMs: () => {
      const next = Math.min(...wakes, early.length > 0 ? firstUpMs : Number.POSITIVE_INFINITY);
      return next === Number.POSITIVE_INFINITY ? undefined : next;
    },
    afterStepsMs: (steps, replica) => engineAt(replica).afterStepsMs(steps),
    tokensProduced: (id) => {
      const at = placed.get(id);
      return at === undefined ? 0 : engineAt(at.replica).tokensProduced(id);
    },
    waiting: () => engines.reduce((sum, engine) => sum + engine.stats().waiting, early.length),
    stats: () => engines.map((engine) => engine.stats()),
    stepsOver: (replica) => engines[replica]?.stats().steps ?? 0,
  };
}

function withReplica(event: EngineEvent, replica: number, waitedMs: number): PoolEvent {
  return waitedMs === 0 ? { ...event, replica } : { ...event, queuedMs: event.queuedMs + waitedMs, replica };
}

export type PoolRequest = Omit<EngineRequest, 'id'>;

export interface PoolTimings extends RequestTimings {
  readonly replica: number;
  /** From arrival to the last token. */
  readonly totalMs: number;
}

/** Timings of every request on a pool, in the order given; arrivals need not be sorted, equal ones keep their order. */
export function simulatePool(setup: PoolSetup, requests: readonly PoolRequest[], options: PoolOptions = {}): PoolTimings[] {
  const pool = createPool(setup, options);
  const order = requests.map((_, index) => index).sort((a, b) => (requests[a]?.atMs ?? 0) - (requests[b]?.atMs ?? 0) || a - b);
  const timings: PoolTimings[] = new Array(requests.length);
  const take = (events: readonly PoolEvent[]) => {
    for (const event of events) {
      if (event.kind !== 'finished') continue;
      const { id, kind: _, atMs: __, ...times } = event;
      timings[Number(id)] = { ...times, totalMs: times.queuedMs + times.prefillMs + times.decodeMs };
    }
  };
  let nowMs = Number.NEGATIVE_INFINITY;
  for (const index of order) {
    const request = requests[index] as PoolRequest;
    // Whoever comes at the same time is seen at the same time.
    if (request.atMs > nowMs) take(pool.advanceTo(request.atMs));
    nowMs = request.atMs;
    pool.submit({ ...request, id: String(index) });
  }
  take(pool.advanceTo(Number.POSITIVE_INFINITY));
  return timings;
}
