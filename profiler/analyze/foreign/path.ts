import type { ForeignNode } from './tree.ts';

export interface PathPiece {
  readonly node: ForeignNode;
  readonly startMs: number;
  readonly endMs: number;
}

/** Of the parent's duration: siblings that overlap by no more ran one after the other, for clocks that drift. CRISP's default. */
const overlapShare = 0.01;

interface Frame {
  readonly node: ForeignNode;
  readonly fromMs: number;
  readonly toMs: number;
  readonly children: readonly { readonly node: ForeignNode; readonly startMs: number; readonly endMs: number }[];
  next: number;
  cursorMs: number;
}

/**
 * The critical path by the definition of CRISP (Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice
 * Architectures", USENIX ATC 2022): from the end of a span back, the child that returned last was waited for; before its
 * start, the child that returned last by then; and so on. A sibling that was under way when a child on the path started did
 * not hold that child up and is not on it. Children that overflow their parent are cut to it, those outside of it are left
 * out, and so is what nobody waits for.
 *
 * The pieces are in order and cover the root from start to end without gap or overlap, so they sum to its duration: where
 * two siblings on the path overlap within the tolerance, the time is the later one's.
 */
export function crispPath(root: ForeignNode): PathPiece[] {
  const out: PathPiece[] = [];
  const stack: Frame[] = [frameOf(root, root.startMs, root.endMs)];
  for (let frame = stack.at(-1); frame; frame = stack.at(-1)) {
    const toleranceMs = (frame.toMs - frame.fromMs) * overlapShare;
    const child = frame.children[frame.next++];
    if (!child) {
      push(out, frame.node, frame.fromMs, frame.cursorMs);
      stack.pop();
      continue;
    }
    if (child.endMs > frame.cursorMs + toleranceMs) continue;
    const endMs = Math.min(child.endMs, frame.cursorMs);
    if (endMs <= child.startMs) continue;
    push(out, frame.node, endMs, frame.cursorMs);
    frame.cursorMs = child.startMs;
    stack.push(frameOf(child.node, child.startMs, endMs));
  }
  return out.reverse();
}

function push(out: PathPiece[], node: ForeignNode, startMs: number, endMs: number): void {
  if (endMs > startMs) out.push({ node, startMs, endMs });
}

function frameOf(node: ForeignNode, fromMs: number, toMs: number): Frame {
  const children = node.children
    .filter((child) => !child.async && child.startMs < toMs && child.endMs > fromMs)
    .map((child) => ({ node: child, startMs: Math.max(child.startMs, fromMs), endMs: Math.min(child.endMs, toMs) }))
    .sort((a, b) => b.endMs - a.endMs || a.startMs - b.startMs);
  return { node, fromMs, toMs, children, next: 0, cursorMs: toMs };
}
