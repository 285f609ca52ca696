import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { link, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { thisOwner } from '../../../runtime/state/file/owner.ts';
import { openFileStore } from '../../../runtime/state/file/store.ts';

const childFile = fileURLToPath(new URL('./increment-child.ts', import.meta.url));

describe('file store between processes', () => {
  let folder: string;
  const children: ChildProcess[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-file-store-'));
  });
  afterEach(async () => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    await rm(folder, { recursive: true });
  });

  const startChild = async (key: string, times: number) => {
    const child = spawn(process.execPath, ['--import', 'tsx', childFile, folder, key, String(times)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    await once(child.stdout, 'data');
    return child;
  };
  const read = async (key: string) => {
    const store = await openFileStore(folder, false);
    const value = (await store.get(key))?.value as { n: number; padding: string } | undefined;
    await store.close();
    return value;
  };

  it('loses no update of two processes', async () => {
    const running = await Promise.all([startChild('n', 60), startChild('n', 60)]);
    const codes = await Promise.all(running.map(async (child) => child.exitCode ?? (await once(child, 'exit'))[0]));
    expect(codes).toEqual([0, 0]);
    expect((await read('n'))?.n).toBe(120);
  });

  it('has a whole value and goes on after kill -9 at any moment', async () => {
    let least = 0;
    for (let round = 0; round < 6; round++) {
      const child = await startChild('n', 1_000_000);
      await new Promise((resolve) => setTimeout(resolve, 5 + 13 * round));
      child.kill('SIGKILL');
      await once(child, 'exit');
      const value = await read('n');
      // What was acknowledged in earlier rounds is still there, and the value is not torn.
      expect(value?.n ?? 0).toBeGreaterThanOrEqual(least);
      if (value) expect(value.padding).toHaveLength(20_000);
      const store = await openFileStore(folder, false);
      const present = await store.get('n');
      expect(await store.put('n', { n: (value?.n ?? 0) + 1, padding: 'x'.repeat(20_000) }, present?.version ?? 0)).toBe(true);
      await store.close();
      least = (value?.n ?? 0) + 1;
    }
    // Nothing but values is left: the next store swept what the killed ones held.
    const left = (await readdir(folder)).filter((name) => !/^[0-9a-f]{40}\.json$/.test(name));
    expect(left).toEqual([]);
  });

  it('takes over a lock whose owner is gone, also when a taker died in between', async () => {
    const store = await openFileStore(folder, false);
    await store.put('a', 1);
    const [name = ''] = (await readdir(folder)).filter((entry) => /^[0-9a-f]{40}\.json$/.test(entry));
    const lock = join(folder, name.replace('.json', '.lock'));
    // Process ids are never this large, so these owners are certainly gone.
    const dead = { ...thisOwner(), pid: 2 ** 30, started: '1' };
    const deadTaker = { ...thisOwner(), pid: 2 ** 30, started: '1' };
    await writeFile(lock, JSON.stringify(dead));
    await writeFile(`${lock}.${dead.token.slice(0, 8)}`, JSON.stringify(deadTaker));
    const rivals = await Promise.all([store, await openFileStore(folder, false), await openFileStore(folder, false)]);
    const won = await Promise.all(rivals.map((rival, index) => rival.put('a', index + 2, 1)));
    expect(won.filter(Boolean)).toHaveLength(1);
    for (const rival of rivals) await rival.close();
    expect((await readdir(folder)).filter((entry) => entry.includes('.lock'))).toEqual([]);
  });

  it('waits for a lock whose owner lives', async () => {
    const store = await openFileStore(folder, false);
    await store.put('a', 1);
    const [name = ''] = (await readdir(folder)).filter((entry) => /^[0-9a-f]{40}\.json$/.test(entry));
    const ownerFile = join(folder, 'someone.json');
    const lock = join(folder, name.replace('.json', '.lock'));
    await writeFile(ownerFile, JSON.stringify(thisOwner()));
    await link(ownerFile, lock);
    let written = false;
    const writing = store.put('a', 2).then(() => {
      written = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(written).toBe(false);
    await rm(lock);
    await writing;
    expect((await store.get('a'))?.value).toBe(2);
    await store.close();
  });
});
