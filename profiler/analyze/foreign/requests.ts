import type { TracedCriticalPath, TracedRoot } from '../../../compiler/contracts/trace-digest.ts';
import { crispPath } from './path.ts';
import { createTimes, type TimesTally } from './times.ts';
import type { ForeignTree } from './tree.ts';
import { type ComponentRef, type ForeignVisit, refOf } from './visits.ts';

interface RootEntry {
  readonly name: string;
  readonly entry: ComponentRef;
  errors: number;
  readonly latency: TimesTally;
  readonly human: TimesTally;
  humans: number;
}
interface Share {
  readonly from: ComponentRef;
  readonly to: ComponentRef | null;
  ms: number;
}

export interface RequestTally {
  /** A complete trace with its visits. */
  add(tree: ForeignTree, visits: readonly ForeignVisit[]): void;
  readonly requests: number;
  roots(nameOf: NameOf): TracedRoot[];
  criticalPath(nameOf: NameOf): TracedCriticalPath;
}
type NameOf = (component: ComponentRef) => string;

/** Kinds of requests told apart; a name that changes with every request is told as `(other)` behind these. */
const maxRoots = 1_000;
const maxPaths = 5_000;
const pathLength = 12;
const commonPaths = 5;

/** Waits this short are the rounding of timestamps. */
const visibleMs = 1e-3;

/** What a kind of request is called: its class or route where spans say, else its root span. */
export const requestName = ({ root }: ForeignTree): string => {
  const { requestClass, operation, name } = root.span.label;
  return requestClass ?? operation ?? (name === '' ? '(unnamed)' : name);
};

export function createRequests(seed: number): RequestTally {
  const roots = new Map<string, RootEntry>();
  const shares = new Map<string, Share>();
  const paths = new Map<string, { readonly visits: readonly ComponentRef[]; count: number }>();
  let requests = 0;
  let pathMs = 0;

  const share = (from: ForeignVisit, to: ForeignVisit | null, ms: number) => {
    const key = `${from.key}\n${to?.key ?? ''}`;
    let entry = shares.get(key);
    if (!entry) {
      entry = { from: refOf(from), to: to && refOf(to), ms: 0 };
      shares.set(key, entry);
    }
    entry.ms += ms;
  };

  return {
    add(tree, visits) {
      const first = visits[0];
      if (!first) return;
      requests++;
      const entered = first.kind === 'entry' ? (first.children[0] ?? first) : first;
      let humanMs = 0;
      const order: ForeignVisit[] = [];
      for (const { node, startMs, endMs } of crispPath(tree.root)) {
        const ms = endMs - startMs;
        const [answered] = node.hop?.absorbed ? [] : (node.hop?.visits ?? []);
        const visit = answered?.silent ? answered : node.inside;
        if (!visit) continue;
        if (visit.kind === 'human') {
          humanMs += ms;
          continue;
        }
        pathMs += ms;
        const owner = visit.kind === 'entry' ? entered : visit;
        if (answered && !answered.silent && answered.node !== node) share(owner, answered, ms);
        else share(owner, null, ms);
        if (order.at(-1)?.key !== owner.key && order.length < pathLength && !order.some((each) => each.key === owner.key))
          order.push(owner);
      }
      const way = order.map((visit) => visit.key).join('\n');
      const path = paths.get(way);
      if (path) path.count++;
      else if (paths.size < maxPaths) paths.set(way, { visits: order.map(refOf), count: 1 });

      const wanted = requestName(tree);
      const name = roots.size < maxRoots || roots.has(`${entered.key}\n${wanted}`) ? wanted : '(other)';
      const key = `${entered.key}\n${name}`;
      let root = roots.get(key);
      if (!root) {
        root = {
          name,
          entry: entered,
          errors: 0,
          latency: createTimes(seed, 'root', key),
          human: createTimes(seed, 'human', key),
          humans: 0,
        };
        roots.set(key, root);
      }
      root.latency.add(tree.root.endMs - tree.root.startMs - humanMs);
      root.human.add(humanMs);
      if (humanMs > visibleMs) root.humans++;
      if (!tree.root.span.ok) root.errors++;
    },
    get requests() {
      return requests;
    },
    roots: (nameOf) =>
      [...roots.values()]
        .map(({ name, entry, errors, latency, human, humans }) => ({
          name,
          entry: nameOf(entry),
          requests: latency.count,
          errors,
          latency: latency.times(),
          humanWait: humans === 0 ? null : human.times(),
        }))
        .sort((a, b) => b.requests - a.requests || (a.name < b.name ? -1 : 1)),
    criticalPath(nameOf) {
      const n = Math.max(1, requests);
      const all = [...shares.values()].sort((a, b) => b.ms - a.ms);
      const part = (ms: number) => ({ meanMs: ms / n, share: pathMs === 0 ? 0 : ms / pathMs });
      return {
        requests,
        meanMs: pathMs / n,
        components: all.flatMap(({ from, to, ms }) => (to ? [] : [{ component: nameOf(from), ...part(ms) }])),
        edges: all.flatMap(({ from, to, ms }) => (to ? [{ from: nameOf(from), to: nameOf(to), ...part(ms) }] : [])),
        commonPaths: [...paths.values()]
          .sort((a, b) => b.count - a.count)
          .slice(0, commonPaths)
          .map(({ visits, count }) => ({ path: visits.map((visit) => nameOf(visit)).join(' → '), requests: count })),
      };
    },
  };
}
