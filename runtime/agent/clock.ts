/**
 * Epoch milliseconds with fraction, from the monotonic clock. The SDK stamps a span's start with `Date.now()`, whole
 * milliseconds: too coarse to order the hops of one request. Anchored anew once a minute, so that a wall clock that is
 * being steered stays followed.
 */
export function epochMs(): number {
  const now = performance.now();
  if (now - anchoredAt > reanchorMs) {
    anchoredAt = now;
    originMs = anchor();
  }
  return originMs + now;
}

const reanchorMs = 60_000;
let anchoredAt = performance.now();
let originMs = performance.timeOrigin;

/** Wall clock minus monotonic clock; kept as it is while both still agree within the wall clock's rounding. */
function anchor(): number {
  const difference = Date.now() - performance.now();
  return Math.abs(difference - originMs) <= 2 ? originMs : difference;
}
