import { type CassetteEntry, canonicalJson, type TapeKeys, type TapeKind } from '../../compiler/contracts/index.ts';
import { createOccurrences } from './occurrences.ts';
import type { Asker } from './recorder.ts';

export interface Wanted extends Asker {
  readonly kind: TapeKind;
  readonly target: string;
  readonly keys: TapeKeys;
}

export type Found =
  | { readonly entry: CassetteEntry; readonly by: keyof TapeKeys; readonly ambiguous: boolean }
  | { readonly entry: undefined; readonly by: undefined; readonly ambiguous: false };

/** Recorded replies, found by what was asked. */
export interface Tape {
  /** What would be answered the first time; counts nothing. */
  peek(wanted: Wanted): CassetteEntry | undefined;
  /** The reply to this question at this point of its conversation. */
  draw(wanted: Wanted): Found;
  has(kind: TapeKind, target: string): boolean;
  readonly size: number;
}

const strengths = ['exact', 'near', 'loose'] as const;

export function createTape(entries: readonly CassetteEntry[]): Tape {
  const index = new Map<string, CassetteEntry[]>();
  const names = new Set<string>();
  for (const entry of entries) {
    names.add(`${entry.kind} ${entry.target}`);
    for (const strength of strengths) {
      const key = indexKey(entry, strength);
      const list = index.get(key);
      if (list) list.push(entry);
      else index.set(key, [entry]);
    }
  }
  const occurrences = createOccurrences();

  const find = (wanted: Wanted, occurrence: number): Found => {
    for (const by of strengths) {
      const candidates = index.get(indexKey(wanted, by));
      if (candidates !== undefined) return choose(candidates, wanted, occurrence, by);
    }
    return { entry: undefined, by: undefined, ambiguous: false };
  };
  return {
    peek: (wanted) => find(wanted, 1).entry,
    draw: (wanted) =>
      find(wanted, occurrences.next({ ...wanted, caller: wanted.caller, conversation: wanted.conversation, loose: wanted.keys.loose })),
    has: (kind, target) => names.has(`${kind} ${target}`),
    size: entries.length,
  };
}

const indexKey = ({ kind, target, keys }: Pick<CassetteEntry, 'kind' | 'target' | 'keys'>, by: keyof TapeKeys) =>
  `${by} ${kind} ${target} ${keys[by]}`;

/**
 * The n-th time gets what the n-th time got; after the last recorded one, the last. Of several recordings of the same
 * moment the one with the smallest id, so that the choice depends on the tape alone, never on time, replica or order.
 */
function choose(candidates: readonly CassetteEntry[], wanted: Wanted, occurrence: number, by: keyof TapeKeys): Found {
  const own = candidates.filter(({ caller }) => caller === wanted.caller);
  const pool = own.length > 0 ? own : candidates;
  const rank = (entry: CassetteEntry) => (entry.occurrence <= occurrence ? occurrence - entry.occurrence : 1e9 + entry.occurrence);
  // A reply is worth more than a hash of one.
  const better = (a: CassetteEntry, b: CassetteEntry) =>
    Number(a.reply.content === undefined) - Number(b.reply.content === undefined) || rank(a) - rank(b) || (a.id < b.id ? -1 : 1);
  const entry = pool.reduce((best, candidate) => (better(candidate, best) < 0 ? candidate : best));
  const others = by === 'exact' ? [] : pool.filter((other) => rank(other) === rank(entry) && other.keys.exact !== entry.keys.exact);
  const ambiguous = others.some((other) => canonicalJson(other.reply.content ?? null) !== canonicalJson(entry.reply.content ?? null));
  return { entry, by, ambiguous };
}
