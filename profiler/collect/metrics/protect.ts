import type { EngineFacts } from './reading.ts';

/** When the load is taken off a pool that others use too. */
export interface PoolLimit {
  readonly maxWaiting?: number;
  readonly maxKvUse?: number;
}

/** As often in a row its metrics may fail before nobody can say any more how the pool fares. */
export const blindLimit = 3;

/** Which limit a pool has passed, in one sentence; null: none. The fullest engine decides: a mean would hide it. */
export function passedLimit(pool: string, limit: PoolLimit, engines: readonly EngineFacts[], failedInARow: number): string | null {
  const { maxWaiting, maxKvUse } = limit;
  if (maxWaiting === undefined && maxKvUse === undefined) return null;
  if (failedInARow >= blindLimit) return `Pool ${pool} did not tell its load ${failedInARow} times in a row, so it could not be protected.`;
  const waiting = engines.reduce((sum, engine) => sum + engine.waiting, 0);
  if (maxWaiting !== undefined && waiting > maxWaiting)
    return `${waiting} requests waited in pool ${pool}, of all who use it; at most ${maxWaiting} may.`;
  const fullest = Math.max(0, ...engines.map(({ kvUse }) => kvUse ?? 0));
  if (maxKvUse !== undefined && fullest > maxKvUse)
    return `${Math.round(fullest * 100)} % of the KV cache of pool ${pool} was in use; at most ${Math.round(maxKvUse * 100)} % may be.`;
  return null;
}
