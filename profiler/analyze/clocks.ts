import { isOneWay, type Mutable } from './node.ts';

/**
 * OpenTelemetry's SDK for JavaScript cuts a span's start to whole milliseconds, unless it is given one, and takes its
 * duration from a finer clock: starts may be up to one millisecond early while durations are exact.
 */
const coarseMs = 1;
/** Clocks of two processes of one host, started apart, agree to about this. */
const fineMs = 0.25;

const isCoarse = ({ span }: Mutable): boolean => Number.isInteger(span.startMs);

/**
 * Moves spans by a little, keeping their durations, so that a child lies within the parent that waited for it, and so
 * that calls made one after another do not overlap for the rounding of their starts. Bigger disagreements are left as
 * they are: then the parent did not wait.
 */
export function alignClocks(root: Mutable): void {
  const awaited = !(root.role === 'call' && isOneWay(root));
  let earlierEnd = Number.NEGATIVE_INFINITY;
  for (const child of root.children) {
    const lengthMs = child.endMs - child.startMs;
    const coarse = isCoarse(child) || isCoarse(root);
    const grainMs = coarse ? coarseMs : fineMs;
    let startMs = child.startMs;
    if (coarse && earlierEnd > startMs && earlierEnd - startMs <= grainMs) startMs = earlierEnd;
    // Both the parent and the child may be off by a grain.
    if (startMs < root.startMs && root.startMs - startMs <= 2 * grainMs) startMs = root.startMs;
    const overshootMs = startMs + lengthMs - root.endMs;
    if (awaited && overshootMs > 0 && overshootMs <= 2 * grainMs) startMs = Math.max(root.startMs, startMs - overshootMs);
    child.startMs = startMs;
    child.endMs = child.awaitedMs = startMs + lengthMs;
    // Only by rounding can a child still be longer than a parent that waited for it.
    if (awaited && child.endMs > root.endMs && child.endMs - root.endMs <= grainMs) child.endMs = child.awaitedMs = root.endMs;
    earlierEnd = Math.max(earlierEnd, child.endMs);
    alignClocks(child);
  }
}
