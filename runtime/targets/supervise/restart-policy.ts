/** A replica that crashes more often than this is left down: five restarts in sixty seconds. */
const limit = 5;
const windowMs = 60_000;
const firstDelayMs = 100;
const longestDelayMs = 5_000;

/** Remembers the restarts of one replica and says how long to wait before the next. */
export interface RestartPolicy {
  /** Milliseconds to wait before the next restart; null when it has been restarted too often and is given up. */
  next(nowMs: number): number | null;
}

export function restartPolicy(): RestartPolicy {
  let recent: number[] = [];
  return {
    next(nowMs) {
      recent = recent.filter((at) => nowMs - at < windowMs);
      if (recent.length >= limit) return null;
      const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** recent.length);
      recent.push(nowMs);
      return delayMs;
    },
  };
}

export const restartLimitText = `${limit} restarts in ${windowMs / 1000} s`;
