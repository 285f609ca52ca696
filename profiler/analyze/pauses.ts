import { attr } from '../../compiler/contracts/trace-attributes.ts';
import type { Mutable } from './node.ts';

/**
 * A request that paused for a person is several stretches: an `ingress` span that ended with a question, and under it the
 * one of the request that brought the answer, and so on. Puts them one right after the other and makes the first span
 * cover them all, so that everything behind sees one request without the time people took. A request that never got its
 * answer counts as failed: it is not a whole request.
 */
export function closePauses(root: Mutable): void {
  const stretches = [root];
  for (let next = answered(root); next !== undefined; next = answered(next)) {
    const before = stretches.at(-1) ?? root;
    shift(next, before.endMs - next.startMs);
    for (const wait of before.children.filter(isWait)) wait.startMs = wait.endMs = wait.awaitedMs = before.endMs;
    stretches.push(next);
  }
  const last = stretches.at(-1) ?? root;
  for (const each of stretches) {
    each.endMs = each.awaitedMs = last.endMs;
    if (each !== last) each.span = { ...each.span, durationMs: last.endMs - each.startMs };
  }
  const whole = last.span.ok && !(attr.paused in last.span.attributes);
  if (whole !== root.span.ok) root.span = { ...root.span, ok: whole };
}

/** A client that repeats a follow-up makes several; the last one is what the user got. */
const answered = (node: Mutable): Mutable | undefined =>
  node.children.filter((child) => child.role === 'ingress').sort((a, b) => b.startMs - a.startMs)[0];

const isWait = (node: Mutable): boolean => node.role === 'human';

function shift(node: Mutable, byMs: number): void {
  node.startMs += byMs;
  node.endMs += byMs;
  node.awaitedMs += byMs;
  for (const child of node.children) shift(child, byMs);
}
