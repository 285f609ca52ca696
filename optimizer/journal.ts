import { constants, type FileHandle, mkdir, open, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Block, fail, type JournalEntry, type Study } from '../compiler/contracts/index.ts';
import { takeLock } from './study/lock.ts';

/** The append-only record of one study. One writer at a time. */
export interface Journal {
  /** What stood in the file when it was opened, and everything appended since. */
  readonly study: Study;
  /**
   * Writes one entry and syncs it to disk; returns it as a reader of the file would see it.
   *
   * @throws DmasError DMAS_ENV_DISK when it could not be written; everything before it still stands
   */
  append(entry: JournalEntry): Promise<JournalEntry>;
  /** Gives the lock back. */
  close(): Promise<void>;
}

export interface JournalOptions {
  /** Writes the bytes of one line at the end of the file and syncs. Replaced in tests of failing disks. */
  readonly write?: (handle: FileHandle, line: Buffer, position: number) => Promise<void>;
}

/**
 * Opens a journal for writing, or starts one. A torn last line (the process died while writing) was never acknowledged
 * and is cut off; any other damage is an error.
 *
 * @throws DmasError DMAS_RUN_BUSY, DMAS_RUN_CORRUPT, DMAS_ENV_DISK
 */
export async function openJournal(file: string, options: JournalOptions = {}): Promise<Journal> {
  const write = options.write ?? writeAndSync;
  await onDisk(file, () => mkdir(dirname(file), { recursive: true }));
  const release = await onDisk(file, async () => takeLock(`${file}.lock`));
  try {
    const handle = await onDisk(file, () => open(file, constants.O_RDWR | constants.O_CREAT, 0o644));
    try {
      const { entries, size } = parseJournal(file, await handle.readFile());
      await onDisk(file, () => handle.truncate(size));
      return writer(file, handle, { entries: [...entries], size }, write, release);
    } catch (error) {
      await handle.close();
      throw error;
    }
  } catch (error) {
    release();
    throw error;
  }
}

/**
 * Reads a journal without taking it: for reports of a run that may still be going on.
 *
 * @throws DmasError DMAS_FILE_UNREADABLE, DMAS_RUN_CORRUPT
 */
export async function readJournal(file: string): Promise<Study> {
  const bytes = await readFile(file).catch((cause: unknown) => fail('DMAS_FILE_UNREADABLE', `${file} could not be read`, { cause }));
  return foldStudy(parseJournal(file, bytes).entries);
}

/** The study a list of entries describes. */
export function foldStudy(entries: readonly JournalEntry[]): Study {
  const blocks = new Map<string, Block>();
  for (const entry of entries) if (entry.type === 'block-finished') blocks.set(entry.block.id, entry.block);
  return { entries, blocks };
}

function writer(
  file: string,
  handle: FileHandle,
  state: { entries: JournalEntry[]; size: number },
  write: NonNullable<JournalOptions['write']>,
  release: () => void,
): Journal {
  const blocks = new Map(foldStudy(state.entries).blocks);
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;
  const appendNow = async (entry: JournalEntry): Promise<JournalEntry> => {
    if (closed) throw new TypeError('the journal is closed');
    const text = JSON.stringify(entry);
    const line = Buffer.from(`${text}\n`);
    await onDisk(file, async () => {
      try {
        await write(handle, line, state.size);
      } catch (error) {
        // Whatever part of the line got through goes, so that the next line does not continue it.
        await handle.truncate(state.size).catch(() => undefined);
        throw error;
      }
    });
    state.size += line.length;
    // As read back from the file, so that a first run and a resumed one see the very same values.
    const written = JSON.parse(text) as JournalEntry;
    state.entries.push(written);
    if (written.type === 'block-finished') blocks.set(written.block.id, written.block);
    return written;
  };
  return {
    study: { entries: state.entries, blocks },
    append: (entry) => {
      const turn = last.then(() => appendNow(entry));
      last = turn.catch(() => undefined);
      return turn;
    },
    close: async () => {
      await last;
      if (closed) return;
      closed = true;
      await handle.close();
      release();
    },
  };
}

async function writeAndSync(handle: FileHandle, line: Buffer, position: number): Promise<void> {
  for (let done = 0; done < line.length; ) {
    const { bytesWritten } = await handle.write(line, done, line.length - done, position + done);
    done += bytesWritten;
  }
  await handle.sync();
}

const diskErrors = new Set(['ENOSPC', 'EIO', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EFBIG']);

async function onDisk<T>(file: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    if (!diskErrors.has(code)) throw cause;
    return fail('DMAS_ENV_DISK', `${file} could not be written (${code})`, { cause });
  }
}

const newline = 0x0a;

/** Entries of the whole lines, and the size of those in bytes. */
function parseJournal(file: string, bytes: Buffer): { entries: readonly JournalEntry[]; size: number } {
  const size = bytes.lastIndexOf(newline) + 1;
  const lines = bytes.subarray(0, size).toString('utf8').split('\n').slice(0, -1);
  const entries = lines.map((line, index) => parseEntry(file, line, index + 1));
  const seen = new Set<string>();
  for (const [index, entry] of entries.entries()) {
    if (entry.type !== 'block-finished') continue;
    if (seen.has(entry.block.id)) corrupt(file, index + 1, `block ${entry.block.id} stands there twice`);
    seen.add(entry.block.id);
  }
  return { entries, size };
}

const corrupt = (file: string, line: number, what: string): never =>
  fail('DMAS_RUN_CORRUPT', `${file}:${line}: ${what}`, { at: { file, line } });

function parseEntry(file: string, text: string, line: number): JournalEntry {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return corrupt(file, line, 'not valid JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return corrupt(file, line, 'not a journal entry');
  const entry = value as { type?: unknown; atMs?: unknown; schemaVersion?: unknown; block?: { id?: unknown } };
  if (typeof entry.type !== 'string' || typeof entry.atMs !== 'number') return corrupt(file, line, 'not a journal entry');
  if (!entryTypes.has(entry.type)) return corrupt(file, line, `entry of unknown type ${entry.type}, written by a newer version?`);
  if ((line === 1) !== (entry.type === 'study-started')) return corrupt(file, line, 'a study starts with study-started, once');
  if (entry.type === 'study-started' && entry.schemaVersion !== 1)
    return corrupt(file, line, `schema version ${entry.schemaVersion}, 1 is known`);
  if (entry.type === 'block-finished' && typeof entry.block?.id !== 'string') return corrupt(file, line, 'a block without an id');
  return value as JournalEntry;
}

const entryTypeFlags: { readonly [type in JournalEntry['type']]: true } = {
  'study-started': true,
  'study-resumed': true,
  'trial-added': true,
  'block-finished': true,
  'gpus-held': true,
  'trial-failed': true,
  predicted: true,
  'prices-measured': true,
  profiled: true,
  'capacity-measured': true,
  headroom: true,
  searched: true,
  planned: true,
  compared: true,
  decided: true,
  capped: true,
  interrupted: true,
  'study-ended': true,
};
const entryTypes: ReadonlySet<string> = new Set(Object.keys(entryTypeFlags));
