import { attr } from '../../compiler/contracts/trace-attributes.ts';
import { calleeOf, ingressComponent, isTurn, type Mutable } from './node.ts';

/*
 * Spans say who called whom; twice that is not who waited for whom. Both are set right here, once, so that everything
 * behind can read a tree as "a parent waits for its children".
 */

/**
 * Branches of a graph that meet at a join. The join's turn hangs on one branch's message, whichever branch came last; and
 * the branches that came earlier were waiting, not working. Moves the turn, and what it forwarded, to the message that
 * came last, and ends the others when they arrived.
 */
export function settleJoins(nodes: readonly Mutable[], root: Mutable): void {
  const arrivals = nodes.filter(waitsAtJoin);
  if (arrivals.length === 0) return;
  for (const call of nodes) {
    const turn = call.role === 'call' ? hopOf(call).children.find(isTurn) : undefined;
    if (!turn) continue;
    const last = arrivals
      .filter((other) => calleeOf(other) === calleeOf(call) && arrivalMs(other) > arrivalMs(call) && arrivalMs(other) <= turn.startMs)
      .sort((a, b) => arrivalMs(b) - arrivalMs(a))[0];
    if (last) moveJoin(call, last);
  }
  leaveOutWaits(root);
}

const hopOf = (call: Mutable): Mutable => call.children.find((child) => child.role === 'serve') ?? call;
const arrivalMs = (call: Mutable) => hopOf(call).startMs;

/** A hop of a graph on which nothing ran. */
const waitsAtJoin = (node: Mutable): boolean =>
  node.role === 'call' &&
  node.span.ok &&
  attr.step in node.span.attributes &&
  node.children.every((child) => child.role === 'serve' && child.children.length === 0);

function moveJoin(from: Mutable, to: Mutable): void {
  const [source, target] = [hopOf(from), hopOf(to)];
  const moved = source.children.filter((child) => child.startMs >= arrivalMs(to));
  source.children = source.children.filter((child) => !moved.includes(child));
  for (const child of moved) child.parent = target;
  target.children.push(...moved);
  // The caller of the last branch did wait for the join, through the other branch's reply.
  const above = new Set<Mutable>();
  for (let node: Mutable | null = from; node !== null; node = node.parent) above.add(node);
  for (let node: Mutable | null = target; node !== null && !above.has(node); node = node.parent) {
    node.endMs = Math.max(node.endMs, from.endMs);
    node.awaitedMs = node.endMs;
  }
}

/** Takes waits at joins off the end of the waiting hop, and off the ends of the spans that only passed them on. */
function leaveOutWaits(node: Mutable): void {
  const end = node.endMs;
  if (waitsAtJoin(node)) {
    for (const each of [node, ...node.children]) each.endMs = each.awaitedMs = each.startMs;
    return;
  }
  let last = Number.NEGATIVE_INFINITY;
  let lastWaited = Number.NEGATIVE_INFINITY;
  for (const child of node.children) {
    const childEnd = child.endMs;
    leaveOutWaits(child);
    if (childEnd > end) continue; // handles a one-way message
    last = Math.max(last, childEnd);
    lastWaited = Math.max(lastWaited, child.endMs);
  }
  if (node.role === 'ingress' || last <= lastWaited) return;
  node.endMs = node.awaitedMs = end - (last - lastWaited);
}

/** Marks the way from the ingress to the first message back to it, and lets its spans be awaited until that message came. */
export function followCompletion(nodes: readonly Mutable[]): void {
  const message = nodes.find((node) => node.role === 'call' && calleeOf(node) === ingressComponent);
  if (!message) return;
  const received = message.children.find((child) => child.role === 'serve');
  const arrivedMs = received ? received.startMs : message.endMs;
  for (let node: Mutable | null = message; node !== null; node = node.parent) {
    node.completing = true;
    if (node.role !== 'ingress') node.awaitedMs = arrivedMs;
  }
}
