import type { Pool } from '../../runtime/llm/engine/pool.ts';

/** A pool's engines under one setting. */
export interface PoolSetup {
  /** The pool before its first call, all replicas up; `scale` multiplies the time of every step. */
  readonly create: (scale: number) => Pick<Pool, 'submit' | 'advanceTo' | 'nextWakeAtMs'>;
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

/** A pool fed call by call in the order of time, and what can be said of it. */
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
  const pool = setup.create(scale);
  const tags = new Map<string, number>();
  const areas = new Float64Array(4);
  const quarterMs = horizonMs / 4;
  let submitted = 0;
  let refused = 0;
  let queuedMs = 0;
  let finished = 0;
  let sinceMs = 0;

  /** Adds the calls under way since the last change to the quarters they were under way in. */
  const account = (ms: number): void => {
    const to = Math.min(ms, horizonMs);
    for (let quarter = Math.floor(sinceMs / quarterMs); quarter < 4 && quarter * quarterMs < to; quarter++) {
      const from = Math.max(sinceMs, quarter * quarterMs);
      const end = Math.min(to, (quarter + 1) * quarterMs);
      areas[quarter] = (areas[quarter] as number) + tags.size * Math.max(0, end - from);
    }
    sinceMs = Math.max(sinceMs, ms);
  };

  return {
    submit(tag, call, atMs) {
      account(atMs);
      const id = String(submitted++);
      const { tokensIn, tokensOut, tokensCached, prefix } = call;
      try {
        pool.submit({ id, atMs, tokensIn, tokensOut, ...(prefix === undefined ? { tokensCached } : { prefix }) });
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        refused++;
        return false;
      }
      tags.set(id, tag);
      return true;
    },
    nextAtMs: () => pool.nextWakeAtMs() ?? Number.POSITIVE_INFINITY,
    advanceTo(ms, first, done) {
      account(ms);
      for (const event of pool.advanceTo(ms)) {
        const tag = tags.get(event.id);
        if (tag === undefined) continue;
        if (event.kind === 'firstToken') {
          first(tag, event.atMs);
          continue;
        }
        tags.delete(event.id);
        queuedMs += event.queuedMs;
        finished++;
        done(tag, event.atMs);
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
