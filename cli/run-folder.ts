import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fail } from '../compiler/contracts/index.ts';

/**
 * Everything one run leaves behind. `journal.ndjson` is the truth; the rest is derived from it or kept beside it.
 *
 *     scenario.json  workflow.json   what was asked, resolved
 *     journal.ndjson                 every block and decision, append-only
 *     traces/  samples/              per block, one JSON object per line
 *     deployments/                   logs per unit and replica
 *     report.json  report.html       what was found
 *     best/                          files that start the winning layout by themselves
 */
export interface RunFolder {
  readonly id: string;
  readonly path: string;
  file(name: string): string;
}

export const runFolder = (path: string, id: string): RunFolder => ({ id, path, file: (name) => join(path, name) });

/** A new folder named after the scenario and the time. */
export async function createRunFolder(runs: string, name: string, nowMs: number): Promise<RunFolder> {
  const stamp = new Date(nowMs).toISOString().replace(/[-:]/g, '').replace(/\..*/, '').replace('T', '-');
  const suffix = createHash('sha256').update(`${process.pid}-${nowMs}`).digest('hex').slice(0, 4);
  const id = `${name}-${stamp}-${suffix}`;
  const path = resolve(runs, id);
  for (const part of ['traces', 'samples', 'deployments'])
    await mkdir(join(path, part), { recursive: true }).catch((cause: NodeJS.ErrnoException) =>
      fail('DMAS_ENV_DISK', `${path} could not be written (${cause.code})`, { cause, fix: 'Choose another folder with --runs.' }),
    );
  return runFolder(path, id);
}

/** A run by id, by the start of its id, by path, or the newest one. */
export async function findRunFolder(runs: string, wanted: string | undefined): Promise<RunFolder> {
  if (wanted !== undefined) {
    const direct = resolve(wanted);
    if (await isRun(direct)) return runFolder(direct, direct.split('/').at(-1) ?? wanted);
  }
  const ids = await listRunIds(runs);
  const matches = wanted === undefined ? ids.slice(-1) : ids.filter((id) => id === wanted || id.startsWith(wanted));
  const [id] = matches;
  if (id === undefined)
    fail('DMAS_RUN_NOT_FOUND', wanted === undefined ? `there is no run in ${runs}` : `there is no run "${wanted}" in ${runs}`);
  if (matches.length > 1) fail('DMAS_RUN_NOT_FOUND', `"${wanted}" fits several runs`, { allowed: matches });
  return runFolder(resolve(runs, id), id);
}

/** Oldest first. */
export async function listRunIds(runs: string): Promise<string[]> {
  const entries = await readdir(runs).catch(() => []);
  const found = await Promise.all(
    entries.map(async (id) => {
      const journal = await stat(join(runs, id, 'journal.ndjson')).catch(() => null);
      return journal ? [{ id, at: journal.birthtimeMs || journal.ctimeMs }] : [];
    }),
  );
  return found
    .flat()
    .sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1))
    .map((run) => run.id);
}

const isRun = async (path: string) => (await stat(join(path, 'journal.ndjson')).catch(() => null)) !== null;

/** Writes a file so that a reader sees the old or the new content, never half of one. */
export async function writeWhole(path: string, content: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, content);
  await rename(temporary, path);
}

export const writeJson = (path: string, value: unknown) => writeWhole(path, `${JSON.stringify(value, null, 2)}\n`);

export async function readJson<T>(path: string): Promise<T> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    fail('DMAS_RUN_CORRUPT', `${path}: ${(error as Error).message}`, { cause: error });
  }
}
