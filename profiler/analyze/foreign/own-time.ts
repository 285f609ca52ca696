import { coveredMs } from '../visits.ts';
import type { ForeignVisit } from './visits.ts';

/** Wall time of a turn not spent in calls to others: what its caller's spans say of them, else the callee's. */
export function selfMsOf({ node, children, silent, kind }: ForeignVisit): number {
  const heldMs = node.endMs - node.startMs;
  if (silent || kind === 'model' || children.length === 0) return heldMs;
  const calls = children
    // Nobody waits for a message to be handled, but for handing it over.
    .filter((child) => !child.node.async || child.hop)
    .map(({ hop, node: { startMs, endMs } }) => (hop ? { startMs: hop.node.startMs, endMs: hop.node.endMs } : { startMs, endMs }));
  return Math.max(0, heldMs - coveredMs(calls, node));
}
