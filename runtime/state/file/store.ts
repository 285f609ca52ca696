import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { toStoredJson } from '../json-value.ts';
import type { StateStore, Versioned } from '../store.ts';
import { readFileIfAny, removeFile, replaceFile, syncFolder } from './atomic-file.ts';
import { KeyLocks } from './key-lock.ts';
import { isGone, parseOwner } from './owner.ts';

/**
 * The folder:
 * - `<hash>.json`: key, version and value of one key; the hash is of the key, so any string can be one
 * - `<hash>.lock`: held while one process writes the key
 * - `floor.json`: the highest version that was ever deleted, so that a key written anew never repeats a version
 * - `owner-<token>.json`, `<…>.tmp`: of one opened store; left ones are swept when a store is opened
 */
export async function openFileStore(folder: string, fsync: boolean): Promise<StateStore> {
  await mkdir(folder, { recursive: true });
  await sweep(folder);
  const locks = await KeyLocks.open((token) => join(folder, `owner-${token}.json`));
  const floorFile = join(folder, 'floor.json');
  const temporary = () => join(folder, `${locks.token}-${randomUUID()}.tmp`);
  const lockOf = (path: string) => `${path.slice(0, -'.json'.length)}.lock`;

  const pathOf = (key: string) => {
    // UTF-16, because UTF-8 would make all lone surrogates one key.
    const hash = createHash('sha256').update(Buffer.from(key, 'utf16le')).digest('hex');
    return join(folder, `${hash.slice(0, 40)}.json`);
  };

  const read = async (path: string): Promise<Versioned | undefined> => {
    const text = await readFileIfAny(path);
    if (text === undefined) return undefined;
    const { value, version } = JSON.parse(text) as Versioned;
    return { value, version };
  };

  const floor = async (): Promise<number> => {
    const text = await readFileIfAny(floorFile);
    return text === undefined ? 0 : (JSON.parse(text) as { readonly version: number }).version;
  };

  return {
    get: (key) => read(pathOf(key)),

    async put(key, value, expected) {
      const json = toStoredJson(value);
      const path = pathOf(key);
      return locks.hold(lockOf(path), async (commit) => {
        const present = (await read(path))?.version;
        if (expected !== undefined && (present ?? 0) !== expected) return false;
        const version = (present ?? (await floor())) + 1;
        const text = `{"key":${JSON.stringify(key)},"version":${version},"value":${json}}`;
        await replaceFile(path, temporary(), text, fsync, commit);
        return true;
      });
    },

    async delete(key) {
      const path = pathOf(key);
      await locks.hold(lockOf(path), async (commit) => {
        const present = await read(path);
        if (present === undefined) return;
        await locks.hold(lockOf(floorFile), async (commitFloor) => {
          if ((await floor()) >= present.version) return;
          await replaceFile(floorFile, temporary(), `{"version":${present.version}}`, fsync, commitFloor);
        });
        commit();
        await removeFile(path);
        if (fsync) await syncFolder(folder);
      });
    },

    close: () => locks.close(),
  };
}

/** A process of another host that was silent for so long is taken for dead; should it live, it writes its file anew. */
const sweepSilenceMs = 3_600_000;

/** Removes what stores of dead processes left. Never touches values or locks. */
async function sweep(folder: string): Promise<void> {
  const names = await readdir(folder);
  for (const name of names) {
    if (!name.startsWith('owner-') || !name.endsWith('.json')) continue;
    const path = join(folder, name);
    const owner = parseOwner((await readFileIfAny(path)) ?? '');
    if (owner === undefined || !(await isGone(owner, path, sweepSilenceMs))) continue;
    for (const left of names) if (left.startsWith(`${owner.token}-`) && left.endsWith('.tmp')) await removeFile(join(folder, left));
    await removeFile(path);
  }
}
