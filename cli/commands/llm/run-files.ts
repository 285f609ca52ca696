import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fail } from '../../../compiler/contracts/index.ts';
import type { OperatorFiles, TableFile } from '../../../profiler/engine/operator-timings.ts';
import { type RunFacts, readRunFacts } from '../../../profiler/engine/run-setup.ts';

/** @throws DmasError DMAS_FILE_UNREADABLE */
export async function readTable(path: string): Promise<TableFile> {
  try {
    return { path, text: await readFile(path, 'utf8') };
  } catch (error) {
    return fail('DMAS_FILE_UNREADABLE', `${path}: ${(error as Error).message}`, { fix: 'Check the path.', cause: error });
  }
}

/** The texts a folder of operator timings holds for one tensor-parallel degree. */
export async function readOperatorFiles(folder: string, tensorParallelSize: number, experts: boolean): Promise<OperatorFiles> {
  const file = (name: string) => readTable(join(folder, `${name}.csv`));
  const [attention, dense, perSequence] = await Promise.all(
    ['attention', 'dense', 'per_sequence'].map((name) => file(`tp${tensorParallelSize}-${name}`)),
  );
  return {
    attention: attention as TableFile,
    dense: dense as TableFile,
    perSequence: perSequence as TableFile,
    ...(experts ? { experts: await file('tp1-moe') } : {}),
  };
}

/** What `meta.json` and the `config.json` beside it say. */
export async function readRunFolderFacts(metaPath: string): Promise<RunFacts> {
  return readRunFacts(await readTable(metaPath), await readTable(join(dirname(metaPath), 'config.json')));
}

export const isFolder = async (path: string) => (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
export const exists = async (path: string) => (await stat(path).catch(() => undefined)) !== undefined;
