import { attr } from '../../compiler/contracts/trace-attributes.ts';
import { quantiles } from '../stats/quantiles.ts';
import type { PathSegment } from './critical-path.ts';
import { calleeOf, label, type TraceNode } from './node.ts';

/**
 * A message to a process whose event loop is busy waits in the socket, before any span of the callee begins, and so
 * looks like a slow wire. What a hop takes beyond twice the lower quartile of its edge is taken as such a wait: wires of
 * one edge differ by little, and half of a loop's load must be other work before the quartile itself is a wait.
 */
const usualTimes = 2;

/** The same paths with waits for a busy event loop told apart from communication. */
export function separateLoopWaits(paths: readonly (readonly PathSegment[])[]): PathSegment[][] {
  const limits = new Map<string, number>();
  const byEdge = new Map<string, number[]>();
  for (const path of paths) {
    for (const [hop, segments] of hopsOn(path)) {
      const key = edgeOf(hop);
      byEdge.set(key, [...(byEdge.get(key) ?? []), total(segments)]);
    }
  }
  for (const [key, times] of byEdge) limits.set(key, usualTimes * (quantiles(times, [0.25])[0] ?? 0));
  return paths.map((path) => {
    const out = [...path];
    for (const [hop, segments] of hopsOn(path)) {
      let excessMs = total(segments) - (limits.get(edgeOf(hop)) ?? 0);
      for (const segment of [...segments].sort((a, b) => lengthOf(b) - lengthOf(a))) {
        if (excessMs <= 0) break;
        const waitMs = Math.min(excessMs, lengthOf(segment));
        excessMs -= waitMs;
        const cut = segment.startMs + waitMs;
        const rest = cut < segment.endMs ? [{ ...segment, startMs: cut }] : [];
        out.splice(out.indexOf(segment), 1, { ...segment, kind: 'queueing', endMs: cut }, ...rest);
      }
    }
    return out;
  });
}

/** Communication of each remote hop on a path, both ways. */
function hopsOn(path: readonly PathSegment[]): Map<TraceNode, PathSegment[]> {
  const hops = new Map<TraceNode, PathSegment[]>();
  for (const segment of path) {
    const { node } = segment;
    if (segment.kind !== 'communication' || node.role !== 'call' || !node.children.some((child) => child.role === 'serve')) continue;
    hops.set(node, [...(hops.get(node) ?? []), segment]);
  }
  return hops;
}

const edgeOf = (hop: TraceNode): string => `${label(hop, attr.from) ?? ''}->${calleeOf(hop)}`;
const lengthOf = (segment: PathSegment) => segment.endMs - segment.startMs;
const total = (segments: readonly PathSegment[]) => segments.reduce((sum, segment) => sum + lengthOf(segment), 0);
