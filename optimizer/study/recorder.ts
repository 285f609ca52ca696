import type { Block, JournalEntry, Study } from '../../compiler/contracts/index.ts';
import type { Journal } from '../journal.ts';

type WithoutTime<E> = E extends JournalEntry ? Omit<E, 'atMs'> : never;
export type NewEntry = WithoutTime<JournalEntry>;
export type EntryType = JournalEntry['type'];
export type EntryOf<T extends EntryType> = Extract<JournalEntry, { readonly type: T }>;

/** The journal as the study uses it: what stands there is found, what does not is done and written. */
export interface Recorder {
  readonly study: Study;
  record<T extends EntryType>(entry: Extract<NewEntry, { readonly type: T }>): Promise<EntryOf<T>>;
  find<T extends EntryType>(type: T, matches?: (entry: EntryOf<T>) => boolean): EntryOf<T> | undefined;
  all<T extends EntryType>(type: T): readonly EntryOf<T>[];
  /** The entry that stands there, else the one made now. */
  once<T extends EntryType>(
    type: T,
    matches: (entry: EntryOf<T>) => boolean,
    make: () => Extract<NewEntry, { readonly type: T }> | Promise<Extract<NewEntry, { readonly type: T }>>,
  ): Promise<EntryOf<T>>;
  /** Milliseconds of work over all sessions: from each start or resume to the last entry before the next. */
  spentMs(): number;
  /** GPUs that deployments hold now, and the hours of GPUs they have held. */
  gpus(): { readonly held: number; readonly hours: number };
}

export function createRecorder(journal: Journal, now: () => number): Recorder {
  const { study } = journal;
  const all = <T extends EntryType>(type: T) => study.entries.filter((entry): entry is EntryOf<T> => entry.type === type);
  const find: Recorder['find'] = (type, matches = () => true) => all(type).find(matches);
  const record: Recorder['record'] = async (entry) =>
    (await journal.append({ ...entry, atMs: now() } as JournalEntry)) as EntryOf<typeof entry.type> as never;
  return {
    study,
    all,
    find,
    record,
    once: async (type, matches, make) => find(type, matches) ?? (await record(await make())),
    spentMs: () => spentMs(study.entries, now()),
    gpus: () => gpusIn(study.entries, now()),
  };
}

function spentMs(entries: readonly JournalEntry[], nowMs: number): number {
  let spent = 0;
  let start: number | undefined;
  let last = 0;
  for (const entry of entries) {
    if (entry.type === 'study-started' || entry.type === 'study-resumed') {
      if (start !== undefined) spent += last - start;
      start = entry.atMs;
    }
    last = entry.atMs;
  }
  return start === undefined ? 0 : spent + nowMs - start;
}

/** What a killed session held is counted to its last entry. */
function gpusIn(entries: readonly JournalEntry[], nowMs: number): { readonly held: number; readonly hours: number } {
  let held = 0;
  let gpuMs = 0;
  let last = nowMs;
  for (const entry of entries) {
    if (entry.type === 'study-resumed') held = 0;
    gpuMs += held * Math.max(0, entry.atMs - last);
    if (entry.type === 'gpus-held') held = entry.gpus;
    last = entry.atMs;
  }
  return { held, hours: (gpuMs + held * Math.max(0, nowMs - last)) / 3_600_000 };
}

/** Blocks of a phase in journal order. */
export const blocksOf = (study: Study, purpose: Block['purpose']): readonly Block[] =>
  [...study.blocks.values()].filter((block) => block.purpose === purpose);
