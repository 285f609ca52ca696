import { type TracedComponent, type TracedKind, tracedKinds } from '../../../compiler/contracts/trace-digest.ts';
import { languageOf } from './language.ts';
import { createTimes, type TimesTally } from './times.ts';
import { identityOf } from './tree.ts';
import type { ComponentRef, ForeignVisit } from './visits.ts';

interface Entry {
  readonly name: string;
  kind: TracedKind;
  readonly services: Set<string>;
  readonly instances: Set<string>;
  readonly languages: Set<string>;
  readonly self: TimesTally;
  readonly held: TimesTally;
  calls: number;
  errors: number;
  heard: number;
  cpuMs: number;
  cpuKnown: number;
  tokens: { in: number; out: number; cached: number | null } | null;
  costUsd: number | null;
  readonly starts: number[];
  readonly ends: number[];
}

export interface ComponentTally {
  /** `selfMs`: of its time, what was not spent in calls. */
  add(visit: ForeignVisit, selfMs: number): void;
  /** The name it has in the digest; also of visits that were never added. Final once all traces are in. */
  nameOf(component: ComponentRef): string;
  /** Called, and never heard of itself. */
  dark(): string[];
  result(): TracedComponent[];
}

/** Times of turns kept to find the most at once; more than that are told from the first. 16 bytes each. */
const maxIntervals = 2_000_000;
const maxNamed = 100;
/** What does not send traces of its own by its nature. */
const silentKinds: ReadonlySet<TracedKind> = new Set(['model', 'database', 'queue', 'human']);

export function createComponents(seed: number): ComponentTally {
  const entries = new Map<string, Entry>();
  let intervals = 0;
  let names: Map<string, string> | null = null;

  const entryOf = ({ key, name, kind }: ForeignVisit): Entry => {
    const known = entries.get(key);
    const traced = kind === 'entry' ? 'service' : kind;
    if (known) {
      // An agent's own service, or the host name that a caller used, is the agent.
      if (tracedKinds.indexOf(traced) < tracedKinds.indexOf(known.kind)) known.kind = traced;
      return known;
    }
    const entry: Entry = {
      name,
      kind: traced,
      services: new Set(),
      instances: new Set(),
      languages: new Set(),
      self: createTimes(seed, 'self', key),
      held: createTimes(seed, 'held', key),
      calls: 0,
      errors: 0,
      heard: 0,
      cpuMs: 0,
      cpuKnown: 0,
      tokens: null,
      costUsd: null,
      starts: [],
      ends: [],
    };
    entries.set(key, entry);
    return entry;
  };
  const uniqueNames = () => {
    const out = new Map<string, string>();
    const taken = new Set<string>();
    const order = [...entries].sort(([, a], [, b]) => tracedKinds.indexOf(a.kind) - tracedKinds.indexOf(b.kind));
    for (const [key, { name, kind }] of order) {
      let unique = name;
      if (taken.has(unique)) unique = `${name} (${kind})`;
      for (let i = 2; taken.has(unique); i++) unique = `${name} (${kind} ${i})`;
      taken.add(unique);
      out.set(key, unique);
    }
    return out;
  };
  const nameOf: ComponentTally['nameOf'] = ({ key, name }) => {
    names ??= uniqueNames();
    return names.get(key) ?? name;
  };

  return {
    add(visit, selfMs) {
      names = null;
      const entry = entryOf(visit);
      const { node } = visit;
      const heldMs = node.endMs - node.startMs;
      entry.calls++;
      if (!visit.ok) entry.errors++;
      entry.self.add(selfMs);
      entry.held.add(heldMs);
      if (!visit.silent) {
        entry.heard++;
        // The caller's span of a model call says where the caller ran.
        const own = visit.kind !== 'model' || visit.at !== node || node.span.label.kind === 'server';
        const { service, instance } = identityOf(visit.at.span.resource);
        if (own && visit.kind !== 'human') {
          entry.services.add(service);
          const language = languageOf(visit.at.span.resource);
          if (language !== null) entry.languages.add(language);
          if (entry.instances.size < 10_000) entry.instances.add(instance);
        }
      }
      if (visit.cpuMs !== null) {
        entry.cpuMs += visit.cpuMs;
        entry.cpuKnown++;
      }
      if (intervals < maxIntervals) {
        intervals++;
        entry.starts.push(node.startMs);
        entry.ends.push(node.endMs);
      }
      if (visit.kind !== 'model') return;
      addUse(entry, visit);
      const agent = visit.caller;
      if (agent && agent.kind !== 'entry') addUse(entryOf(agent), visit);
    },
    nameOf,
    dark: () =>
      [...entries]
        .filter(([, { kind, heard }]) => heard === 0 && !silentKinds.has(kind))
        .map(([key, { name, kind }]) => nameOf({ key, name, kind })),
    result: () =>
      [...entries]
        .map(([key, entry]) => ({
          name: nameOf({ key, name: entry.name, kind: entry.kind }),
          kind: entry.kind,
          services: [...entry.services].sort(),
          instances: [...entry.instances].sort().slice(0, maxNamed),
          instanceCount: entry.instances.size,
          languages: [...entry.languages].sort(),
          peakConcurrency: mostAtOnce(entry.starts, entry.ends),
          calls: entry.calls,
          errors: entry.errors,
          self: entry.self.times(),
          held: entry.held.times(),
          tokens: entry.tokens,
          costUsd: entry.costUsd,
          cpuMsPerCall: entry.cpuKnown === 0 ? null : entry.cpuMs / entry.cpuKnown,
        }))
        .filter(({ calls }) => calls > 0)
        .sort((a, b) => b.self.totalMs - a.self.totalMs || (a.name < b.name ? -1 : 1)),
  };
}

function addUse(entry: Entry, { facts }: ForeignVisit): void {
  if (!facts) return;
  const { tokensIn, tokensOut, tokensCached, costUsd } = facts;
  if (tokensIn !== undefined || tokensOut !== undefined) {
    entry.tokens ??= { in: 0, out: 0, cached: null };
    entry.tokens.in += tokensIn ?? 0;
    entry.tokens.out += tokensOut ?? 0;
    if (tokensCached !== undefined) entry.tokens.cached = (entry.tokens.cached ?? 0) + tokensCached;
  }
  if (costUsd !== undefined) entry.costUsd = (entry.costUsd ?? 0) + costUsd;
}

/** Most intervals at one moment; one that ends where another starts is over. */
export function mostAtOnce(starts: readonly number[], ends: readonly number[]): number {
  const from = Float64Array.from(starts).sort();
  const to = Float64Array.from(ends).sort();
  let [most, j] = [0, 0];
  for (let i = 0; i < from.length; i++) {
    while (j < to.length && (to[j] as number) <= (from[i] as number) && j < i) j++;
    most = Math.max(most, i - j + 1);
  }
  return most;
}
