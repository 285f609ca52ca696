/**
 * A timer fires up to about one millisecond late, because Node counts whole milliseconds. Where arrivals are sparse
 * that would be most of a short latency, so the last bit is spun; where they are dense, spinning would eat the core
 * that the application needs, and a mean lateness of half a millisecond stays in the samples (`sentMs` says so).
 */
export const spinBelowPerSecond = 50;
/** Spun before each sparse arrival: at 50 per second at most 5 % of one core. */
const spinMs = 1;
/** Node's timers count whole milliseconds; never ask for less than one. */
const timerMs = 1;

/**
 * Calls `fire(i)` at or just after `timesMs[i]` (ascending, on `clock`) for every i, without ever waiting for what
 * `fire` started. Resolves after the last.
 */
export function pace(
  timesMs: readonly number[],
  clock: () => number,
  fire: (index: number) => void,
  signal: AbortSignal,
  spin: boolean,
): Promise<void> {
  return new Promise((resolve) => {
    let next = 0;
    const step = () => {
      if (signal.aborted) return resolve();
      let now = clock();
      for (let due = timesMs[next]; due !== undefined && due <= now; due = timesMs[next]) {
        fire(next++);
        now = clock();
      }
      const due = timesMs[next];
      if (due === undefined) return resolve();
      const gapMs = due - now;
      if (!spin) setTimeout(step, Math.max(timerMs, Math.floor(gapMs)));
      else if (gapMs > spinMs + timerMs) setTimeout(step, Math.floor(gapMs - spinMs));
      else setImmediate(step);
    };
    step();
  });
}

/** Resolves at `atMs` on `clock`, or at once when aborted. */
export function waitUntil(atMs: number, clock: () => number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const left = atMs - clock();
    if (left <= 0 || signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, Math.ceil(left));
    signal.addEventListener('abort', done, { once: true });
  });
}
