import type { TracedEdge } from '../../../compiler/contracts/trace-digest.ts';
import { crossesProcesses } from './canonical.ts';
import { createTimes, type TimesTally } from './times.ts';
import { identityOf } from './tree.ts';
import { type ComponentRef, type ForeignVisit, refOf } from './visits.ts';

interface Entry {
  readonly caller: ComponentRef;
  readonly visit: ComponentRef;
  readonly kind: TracedEdge['kind'];
  readonly protocols: Map<string, number>;
  readonly latency: TimesTally;
  readonly gap: TimesTally;
  errors: number;
  inRequests: number;
  sameInstance: number;
  /** Calls of which both ends are known, the same hosts among those with hosts, and those. */
  ends: number;
  sameHost: number;
  hosts: number;
  readonly request: { sum: number; count: number };
  readonly response: { sum: number; count: number };
}

export interface EdgeTally {
  /** `complete`: in a trace that counts as a request. */
  add(visit: ForeignVisit, complete: boolean): void;
  result(requests: number, nameOf: (component: ComponentRef) => string): TracedEdge[];
}

/** Turns that answer one client span: retries and fan-outs of a library. Beyond, its time says nothing of one of them. */
const maxAnswers = 16;

export function createEdges(seed: number): EdgeTally {
  const entries = new Map<string, Entry>();
  return {
    add(visit, complete) {
      const { caller, hop, node, at, silent } = visit;
      if (!caller || caller.kind === 'entry') return;
      const kind = visit.async ? 'async' : 'sync';
      const key = `${caller.key}\n${visit.key}\n${kind}`;
      let entry = entries.get(key);
      if (!entry) {
        const count = () => ({ sum: 0, count: 0 });
        entry = {
          caller: refOf(caller),
          visit: refOf(visit),
          kind,
          protocols: new Map(),
          latency: createTimes(seed, 'latency', key),
          gap: createTimes(seed, 'gap', key),
          errors: 0,
          inRequests: 0,
          sameInstance: 0,
          ends: 0,
          sameHost: 0,
          hosts: 0,
          request: count(),
          response: count(),
        };
        entries.set(key, entry);
      }
      const side = hop?.node ?? node;
      entry.latency.add(side.endMs - side.startMs);
      if (!visit.ok) entry.errors++;
      if (complete) entry.inRequests++;
      if (hop && !silent && hop.node !== node && kind === 'sync' && hop.visits.length <= maxAnswers) {
        const answeredMs = hop.visits.reduce((sum, each) => sum + each.node.endMs - each.node.startMs, 0);
        const gapMs = Math.max(0, hop.node.endMs - hop.node.startMs - answeredMs) / hop.visits.length;
        entry.gap.add(gapMs);
      }
      const told = side.span.label.protocol ?? node.span.label.protocol;
      const protocol = told === 'inproc' ? 'in-process' : (told ?? (hop || silent || crossesProcesses(visit) ? null : 'in-process'));
      if (protocol !== null) entry.protocols.set(protocol, (entry.protocols.get(protocol) ?? 0) + 1);
      // Where a silent callee runs is not known, and a model's caller tells its own place.
      const known = !silent && !(visit.kind === 'model' && at === node && node.span.label.kind !== 'server');
      if (known) {
        const [a, b] = [identityOf(caller.at.span.resource), identityOf(at.span.resource)];
        entry.ends++;
        if (a.instance === b.instance) entry.sameInstance++;
        if (a.host !== null && b.host !== null) {
          entry.hosts++;
          if (a.host === b.host) entry.sameHost++;
        }
      }
      const own = hop ? node.span.facts : null;
      size(entry.request, side.span.facts?.requestBytes ?? own?.requestBytes);
      size(entry.response, side.span.facts?.responseBytes ?? own?.responseBytes);
    },
    result: (requests, nameOf) =>
      [...entries.values()]
        .map((entry): TracedEdge => {
          const calls = entry.latency.count;
          const [protocol = null] = [...entry.protocols].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0] ?? [];
          return {
            from: nameOf(entry.caller),
            to: nameOf(entry.visit),
            kind: entry.kind,
            calls,
            errors: entry.errors,
            callsPerRequest: requests === 0 ? 0 : entry.inRequests / requests,
            protocol,
            sameInstanceShare: entry.ends === 0 ? 0 : entry.sameInstance / entry.ends,
            sameHostShare: entry.hosts === 0 ? null : entry.sameHost / entry.hosts,
            requestBytes: entry.request.count === 0 ? null : entry.request.sum / entry.request.count,
            responseBytes: entry.response.count === 0 ? null : entry.response.sum / entry.response.count,
            latency: entry.latency.times(),
            gap: entry.gap.count === 0 ? null : entry.gap.times(),
          };
        })
        .sort((a, b) => b.latency.totalMs - a.latency.totalMs || (`${a.from}\n${a.to}` < `${b.from}\n${b.to}` ? -1 : 1)),
  };
}

function size(into: { sum: number; count: number }, bytes: number | undefined): void {
  if (bytes === undefined) return;
  into.sum += bytes;
  into.count++;
}
