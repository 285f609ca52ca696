import type { RequestSkeleton, SkeletonCall, SkeletonPhase, SkeletonVisit } from '../../compiler/contracts/profile.ts';
import { attr } from '../../compiler/contracts/trace-attributes.ts';
import { modelMs } from './models.ts';
import { amount, label, type TraceNode } from './node.ts';
import type { RequestTrace } from './tree.ts';
import { patternOf, type Visit, type VisitCall } from './visits.ts';

/** Own wall and CPU time of a visit, as far as known (see cpu.ts and profile.ts). */
export type OwnTime = (visit: Visit) => { readonly selfMs: number; readonly cpuMs: number };

/**
 * One request with the layout taken out. `visits` are the trace's `entryVisits`, those `ownTime` knows; `entry` is the component the ingress hands requests to; further subscribers
 * of an entry topic get the message from the unit of the first, so they appear as messages from it.
 */
export function skeletonOf(trace: RequestTrace, visits: readonly Visit[], entry: string, ownTime: OwnTime): RequestSkeleton | null {
  const entries = visits.filter((visit) => visit.turn || visit.calls.length > 0);
  // Before and after a pause for a person the entry works anew; in between nobody works.
  const stretches = [...new Set(entries.map((visit) => ingressOf(visit.call)))];
  const [root, ...others] = stretches.flatMap((stretch) => {
    const mine = entries.filter((visit) => ingressOf(visit.call) === stretch);
    return entrySkeleton(mine, entry, ownTime) ?? [];
  });
  if (!root) return null;
  const phases = [root, ...others].flatMap((each) => each.phases);
  return { requestClass: trace.requestClass, measuredMs: trace.root.span.durationMs, root: { ...root, phases } };
}

function ingressOf(node: TraceNode): TraceNode {
  let at = node;
  while (at.role !== 'ingress' && at.parent !== null) at = at.parent;
  return at;
}

function entrySkeleton(entries: readonly Visit[], entry: string, ownTime: OwnTime): SkeletonVisit | null {
  const first = entries.find((visit) => visit.component === entry) ?? entries[0];
  if (!first) return null;
  const root = visitSkeleton(first, ownTime);
  const others = entries.filter((visit) => visit !== first).map((visit) => componentCall(visit, ownTime));
  const [opening, ...rest] = root.phases;
  const phases =
    others.length === 0 || !opening ? root.phases : [{ selfMs: 0, cpuMs: 0, calls: others } satisfies SkeletonPhase, opening, ...rest];
  return { ...root, phases };
}

/**
 * Phases from the intervals of the calls: calls that overlap are one phase; a call that starts after all before it
 * ended is a later one, and the gap is the visit's own work. Within a phase the caller waits as long as its longest
 * call; where staggered calls together took longer, the rest goes to the next phase as own wall time, so that the sum
 * over the phases is the time measured. A last phase without calls holds the work after them.
 */
export function visitSkeleton(visit: Visit, ownTime: OwnTime, calls = inTurn(visit.component, visit.calls)): SkeletonVisit {
  const raw: { selfMs: number; staggerMs: number; calls: OwnCall[] }[] = [];
  let cursor = visit.startMs;
  let staggerMs = 0;
  for (const group of overlapping(calls)) {
    const startMs = Math.min(...group.map((call) => call.wait.startMs));
    const endMs = Math.max(...group.map((call) => call.wait.endMs));
    raw.push({ selfMs: Math.max(0, startMs - cursor), staggerMs, calls: group });
    staggerMs = Math.max(0, endMs - startMs - Math.max(...group.map((call) => call.wait.endMs - call.wait.startMs)));
    cursor = Math.max(cursor, endMs);
  }
  const afterMs = Math.max(0, visit.endMs - cursor);
  if (afterMs + staggerMs > 0 || (raw.length === 0 && visit.turn)) raw.push({ selfMs: afterMs, staggerMs, calls: [] });

  const own = ownTime(visit);
  // Wrapping belongs to the hops (`wrapMs`).
  const wrapMs = amount(visit.turn, attr.packMs);
  const selfMs = Math.max(0, own.selfMs - wrapMs);
  const cpuMs = Math.max(0, own.cpuMs - wrapMs);
  const wallMs = raw.reduce((sum, phase) => sum + phase.selfMs, 0);
  const phases = raw.map((phase) => {
    const share = wallMs > 0 ? phase.selfMs / wallMs : 1 / raw.length;
    return {
      selfMs: selfMs * share + phase.staggerMs,
      cpuMs: cpuMs * share,
      calls: phase.calls.map((call) => callSkeleton(call, ownTime, wrapShare(visit, call))),
    };
  });
  return { component: visit.component, phases };
}

/** A graph's hub wraps state for all its nodes elsewhere: of the time that took, a call's part goes by its bytes. */
function wrapShare(visit: Visit, call: VisitCall): number {
  const wrapMs = amount(visit.turn, attr.packMs);
  if (wrapMs === 0 || call.kind !== 'component' || !(attr.graphNode in call.node.span.attributes)) return 0;
  const bytesOf = ({ node }: VisitCall) =>
    attr.graphNode in node.span.attributes ? amount(node, attr.requestBytes) + amount(node, attr.responseBytes) : 0;
  const all = visit.calls.reduce((sum, each) => sum + bytesOf(each), 0);
  return all > 0 ? (wrapMs * bytesOf(call)) / all : 0;
}

/** Calls in order of start, cut where nothing is under way. One-way messages are under way until accepted. */
function overlapping(calls: readonly OwnCall[]): OwnCall[][] {
  const groups: OwnCall[][] = [];
  let endMs = Number.NEGATIVE_INFINITY;
  for (const call of calls) {
    const last = groups.at(-1);
    if (last && call.wait.startMs < endMs) last.push(call);
    else groups.push([call]);
    endMs = Math.max(endMs, call.wait.endMs);
  }
  return groups;
}

/** A call as a visit's own: `calls` are those of the callee when some that ran inside it were not its own. */
type OwnCall = VisitCall & { readonly calls?: readonly VisitCall[] };

/**
 * The calls of a visit one after the other as its component meant them. Steps of a graph that run together in another unit
 * (`Hub.segments`) show as calls inside the first of them, made in the hub's name: taken out of it, each is a call of the
 * hub, and each waits until the next begins.
 */
function inTurn(component: string, calls: readonly VisitCall[]): readonly OwnCall[] {
  return calls.flatMap((call): OwnCall[] => {
    if (call.kind !== 'component') return [call];
    const further = call.visit.calls.filter((each) => each.kind === 'component' && isMadeBy(each, component, call.visit.component));
    if (further.length === 0) return [call];
    const steps = [{ ...call, calls: call.visit.calls.filter((each) => !further.includes(each)) }, ...further];
    return steps.map((step, i) => {
      const endMs = steps[i + 1]?.wait.startMs ?? call.wait.endMs;
      return { ...step, wait: { startMs: step.wait.startMs, endMs: Math.max(step.wait.startMs, endMs) } };
    });
  });
}

const isMadeBy = ({ node }: VisitCall, component: string, inside: string): boolean =>
  component !== inside && label(node, attr.from) === component;

function callSkeleton(call: OwnCall, ownTime: OwnTime, wrapMs: number): SkeletonCall {
  if (call.kind === 'component') return componentCall(call.visit, ownTime, call.calls, wrapMs);
  const { node } = call;
  return {
    kind: 'model',
    model: label(node, attr.requestModel) ?? node.span.name.slice('chat '.length),
    tokensIn: amount(node, attr.tokensIn),
    tokensCached: amount(node, attr.tokensCached),
    tokensOut: amount(node, attr.tokensOut),
    measuredMs: modelMs(node),
    ...prefixOf(label(node, attr.prefix)),
  };
}

/** What `attr.prefix` says; absent where it says nothing, or nothing that could be read. */
function prefixOf(text: string | undefined): { readonly prefix?: readonly { readonly key: string; readonly tokens: number }[] } {
  if (text === undefined || text === '') return {};
  const prefix = text.split(',').map((entry) => {
    const [key = '', tokens] = entry.split(':');
    return { key, tokens: Number(tokens) };
  });
  return prefix.every(({ key, tokens }) => key !== '' && Number.isFinite(tokens)) ? { prefix } : {};
}

function componentCall(visit: Visit, ownTime: OwnTime, calls?: readonly VisitCall[], callerWrapMs = 0): SkeletonCall {
  const isNode = attr.graphNode in visit.call.span.attributes;
  const wrapMs = callerWrapMs + (isNode ? amount(visit.turn, attr.packMs) : 0);
  return {
    kind: 'component',
    pattern: patternOf(visit.call),
    requestBytes: amount(visit.call, attr.requestBytes),
    responseBytes: amount(visit.call, attr.responseBytes),
    ...(wrapMs > 0 ? { wrapMs } : {}),
    visit: visitSkeleton(visit, ownTime, calls),
  };
}

/** At most `limit` of the items, evenly over their order. */
export function evenly<T>(items: readonly T[], limit: number): T[] {
  if (items.length <= limit) return [...items];
  return Array.from({ length: limit }, (_, i) => items[Math.floor(((i + 0.5) * items.length) / limit)] as T);
}
