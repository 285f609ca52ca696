import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import {
  type CassetteEntry,
  cassetteText,
  fail,
  mergeEntries,
  type ParsedCassette,
  parseCassette,
} from '../../compiler/contracts/index.ts';

/** @throws DmasError DMAS_FILE_UNREADABLE */
export async function readCassette(file: string): Promise<ParsedCassette> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) =>
    fail('DMAS_FILE_UNREADABLE', `${file} ${cause.code === 'ENOENT' ? 'does not exist' : `cannot be read: ${cause.message}`}`, {
      cause,
      fix: 'dmas-opt record writes a cassette',
    }),
  );
  return parseCassette(text);
}

/**
 * The entries of a cassette that may be relied on.
 * @throws DmasError DMAS_FILE_UNREADABLE, DMAS_CASSETTE_DAMAGED with the place of every line that is no entry
 */
export async function readWholeCassette(file: string): Promise<readonly CassetteEntry[]> {
  const { entries, problems } = await readCassette(file);
  const [first] = problems;
  if (first !== undefined) {
    const more = problems.length > 1 ? `, and ${problems.length - 1} lines more` : '';
    fail('DMAS_CASSETTE_DAMAGED', `line ${first.line} of ${file} ${first.message}${more}`, { at: { file, line: first.line, column: 1 } });
  }
  return entries;
}

/** Replaces a cassette by the union of entries, in one step: a reader sees the old or the new file. */
export async function writeCassette(file: string, ...cassettes: readonly (readonly CassetteEntry[])[]): Promise<readonly CassetteEntry[]> {
  const merged = mergeEntries(...cassettes);
  const draft = `${file}.${process.pid}.tmp`;
  try {
    await writeFile(draft, cassetteText(merged), { mode: 0o600 });
    await rename(draft, file);
  } catch (cause) {
    await rm(draft, { force: true });
    fail('DMAS_ENV_DISK', `${file} could not be written: ${(cause as Error).message}`, { cause });
  }
  return merged;
}
