import type { EngineEvent } from '../../runtime/llm/engine/engine.ts';
import type { Router } from '../../runtime/llm/engine/step-time.ts';

/** What the predictors need of one engine replica: the engine core itself, or anything that behaves like it. */
export interface ReplicaEngine {
  submit(request: {
    readonly id: string;
    readonly atMs: number;
    readonly tokensIn: number;
    readonly tokensOut: number;
    readonly tokensCached?: number;
    readonly prefix?: readonly string[];
  }): void;
  advanceTo(ms: number): readonly EngineEvent[];
  nextWakeAtMs(): number | undefined;
}

/** A pool's engines under one setting. */
export interface PoolSetup {
  /** A fresh replica; `scale` multiplies the time of every step. */
  readonly create: (scale: number) => ReplicaEngine;
  readonly replicas: number;
  readonly router: Router;
  /** Tokens per block of the prefix cache; 0 where there is none. */
  readonly prefixBlock: number;
  readonly profile: string;
  readonly evidence: 'measured' | 'estimate';
}

/** A model call as a pool gets it. */
export interface PoolCall {
  readonly tokensIn: number;
  readonly tokensCached: number;
  readonly tokensOut: number;
  /** Chained key of each full block of its prompt; absent: `tokensCached` stands. */
  readonly prefix?: readonly string[];
}

export interface PoolFacts {
  readonly calls: number;
  readonly queuedMs: number;
  /** Calls no replica could ever run: longer than its whole cache. */
  readonly refused: number;
  /** Calls under way, averaged over each quarter of the time in which they come. */
  readonly underWay: readonly number[];
}

/** Replicas behind a router, fed call by call in the order of time. */
export interface EnginePool {
  /** False: no replica can ever run it. */
  submit(tag: number, call: PoolCall, atMs: number): boolean;
  /** When to advance next; infinity when idle. */
  nextAtMs(): number;
  advanceTo(ms: number, first: (tag: number, atMs: number) => void, done: (tag: number, atMs: number) => void): void;
  facts(): PoolFacts;
}

/**
 * @param scale of every step, from comparing the engine with what was measured
 * @param horizonMs how long calls come, for the averages of `underWay`
 */
export function createEnginePool(setup: PoolSetup, scale: number, horizonMs: number): EnginePool {
  const engines = Array.from({ length: Math.max(1, setup.replicas) }, () => setup.create(scale));
  const wakes = new Float64Array(engines.length).fill(Number.POSITIVE_INFINITY);
  const outstanding = new Int32Array(engines.length);
  const tags = new Map<string, number>();
  const areas = new Float64Array(4);
  const quarterMs = horizonMs / 4;
  let turn = 0;
  let submitted = 0;
  let refused = 0;
  let queuedMs = 0;
  let finished = 0;
  let underWay = 0;
  let sinceMs = 0;

  /** Adds the calls under way since the last change to the quarters they were under way in. */
  const account = (ms: number): void => {
    let from = sinceMs;
    const to = Math.min(ms, horizonMs);
    while (from < to) {
      const quarter = Math.min(3, Math.floor(from / quarterMs));
      const end = quarter === 3 ? to : Math.min(to, (quarter + 1) * quarterMs);
      areas[quarter] = (areas[quarter] as number) + underWay * (end - from);
      if (end <= from) break;
      from = end;
    }
    sinceMs = Math.max(sinceMs, ms);
  };

  const leastBusy = (): number => {
    let best = 0;
    for (let i = 1; i < outstanding.length; i++) if ((outstanding[i] as number) < (outstanding[best] as number)) best = i;
    return best;
  };
  const pick = (call: PoolCall): number => {
    if (engines.length === 1) return 0;
    if (setup.router === 'round-robin') return turn++ % engines.length;
    if (setup.router === 'least-outstanding') return leastBusy();
    const [first] = call.prefix ?? [];
    return first === undefined ? leastBusy() : hash(first) % engines.length;
  };

  return {
    submit(tag, call, atMs) {
      account(atMs);
      const replica = pick(call);
      const engine = engines[replica] as ReplicaEngine;
      const id = String(submitted++);
      const { tokensIn, tokensOut, tokensCached, prefix } = call;
      try {
        engine.submit({ id, atMs, tokensIn, tokensOut, ...(prefix === undefined ? { tokensCached } : { prefix }) });
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        refused++;
        return false;
      }
      tags.set(id, tag);
      outstanding[replica] = (outstanding[replica] as number) + 1;
      underWay++;
      wakes[replica] = engine.nextWakeAtMs() ?? Number.POSITIVE_INFINITY;
      return true;
    },
    nextAtMs() {
      let next = Number.POSITIVE_INFINITY;
      for (const wake of wakes) if (wake < next) next = wake;
      return next;
    },
    advanceTo(ms, first, done) {
      account(ms);
      for (let replica = 0; replica < engines.length; replica++) {
        if ((wakes[replica] as number) > ms) continue;
        const engine = engines[replica] as ReplicaEngine;
        for (const event of engine.advanceTo(ms)) {
          const tag = tags.get(event.id);
          if (tag === undefined) continue;
          if (event.kind === 'firstToken') {
            first(tag, event.atMs);
            continue;
          }
          if (event.kind !== 'finished') continue;
          tags.delete(event.id);
          outstanding[replica] = (outstanding[replica] as number) - 1;
          underWay--;
          queuedMs += event.queuedMs;
          finished++;
          done(tag, event.atMs);
        }
        wakes[replica] = engine.nextWakeAtMs() ?? Number.POSITIVE_INFINITY;
      }
    },
    facts: () => ({
      calls: submitted,
      queuedMs: finished > 0 ? queuedMs / finished : 0,
      refused,
      underWay: Array.from(areas, (area) => (quarterMs > 0 ? area / quarterMs : 0)),
    }),
  };
}

/** Growth of what is under way, as a share of what arrives, that no fluctuation explains. */
const growthShare = 0.03;

/**
 * Whether calls pile up: under an open load that a pool can carry, the number under way stays around some level; under
 * one it cannot carry, it grows by what exceeds its capacity. Compares the second quarter of the time with the last;
 * the allowance is three times the square root of the level (the fluctuation of a Poisson number of calls under way).
 */
export function isSaturated(facts: PoolFacts): boolean {
  if (facts.refused > 0) return true;
  const [, second = 0, , last = 0] = facts.underWay;
  const arrived = facts.calls / 2;
  return last - second > Math.max(growthShare * arrived, 3 * Math.sqrt(Math.max(1, second)));
}

/** FNV-1a over UTF-16 units (Fowler, Noll and Vo). */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
