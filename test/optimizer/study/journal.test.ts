import { spawn } from 'node:child_process';
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { JournalEntry } from '../../../compiler/contracts/index.ts';
import { openJournal, readJournal } from '../../../optimizer/journal.ts';
import { madeBlock } from '../../profiler/stats/blocks.ts';

const started: JournalEntry = {
  type: 'study-started',
  atMs: 1,
  schemaVersion: 1,
  studyId: 's',
  seed: 1,
  toolVersion: '0',
  scenarioSha256: 'x',
  machine: { cores: 2, memoryMb: 1, cpuModel: '', platform: '', node: '' },
};
const block = (id: string): JournalEntry => ({ type: 'block-finished', atMs: 2, block: madeBlock({ id }) });
const failing = (code: string) => Object.assign(new Error(code), { code });

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmas-journal-'));
  file = join(folder, 'run', 'journal.ndjson');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = async (...entries: readonly JournalEntry[]) => {
  const journal = await openJournal(file);
  for (const entry of entries) await journal.append(entry);
  await journal.close();
};

describe('journal', () => {
  it('keeps what was appended, in order, one line each', async () => {
    await write(started, block('a'));
    await write(block('b'));
    const study = await readJournal(file);
    expect(study.entries).toEqual([started, block('a'), block('b')]);
    expect([...study.blocks.keys()]).toEqual(['a', 'b']);
    expect((await readFile(file, 'utf8')).split('\n')).toHaveLength(4);
  });

  it('writes entries appended at once one after another', async () => {
    const journal = await openJournal(file);
    await Promise.all([journal.append(started), journal.append(block('a')), journal.append(block('b'))]);
    expect(journal.study.blocks.size).toBe(2);
    await journal.close();
    expect((await readJournal(file)).entries).toHaveLength(3);
    await expect(journal.append(block('c'))).rejects.toThrow(TypeError);
  });

  it('cuts off a line torn at any byte, keeps all others, and goes on', async () => {
    await write(started, block('a'));
    const whole = await readFile(file);
    const torn = Buffer.from(`${JSON.stringify(block('torn'))}\n`);
    for (const length of [1, 2, 10, torn.length - 2, torn.length - 1]) {
      await writeFile(file, Buffer.concat([whole, torn.subarray(0, length)]));
      expect((await readJournal(file)).entries).toHaveLength(2);
      const journal = await openJournal(file);
      expect(journal.study.entries).toHaveLength(2);
      expect((await stat(file)).size).toBe(whole.length);
      await journal.append(block('after'));
      await journal.close();
      expect([...(await readJournal(file)).blocks.keys()]).toEqual(['a', 'after']);
    }
  });

  it.each([
    ['a line that is not JSON', `${JSON.stringify(started)}\n{"type":"x\n${JSON.stringify(block('a'))}\n`, 2],
    ['a whole last line that is not JSON', `${JSON.stringify(started)}\nnonsense\n`, 2],
    ['an empty line', `${JSON.stringify(started)}\n\n${JSON.stringify(block('a'))}\n`, 2],
    ['a missing start', `${JSON.stringify(block('a'))}\n`, 1],
    ['a second start', `${JSON.stringify(started)}\n${JSON.stringify(started)}\n`, 2],
    ['an entry of a newer version', `${JSON.stringify(started)}\n{"type":"later","atMs":1}\n`, 2],
    ['a newer schema', `${JSON.stringify({ ...started, schemaVersion: 2 })}\n`, 1],
    ['a block that stands there twice', `${[started, block('a'), block('a')].map((e) => JSON.stringify(e)).join('\n')}\n`, 3],
  ])('refuses %s and names the line', async (_what, text, line) => {
    await write();
    await writeFile(file, text);
    const expected = { code: 'DMAS_RUN_CORRUPT', problems: [{ at: { file, line } }] };
    await expect(openJournal(file)).rejects.toMatchObject(expected);
    await expect(readJournal(file)).rejects.toMatchObject(expected);
    expect(await readFile(file, 'utf8')).toBe(text);
    // The lock was given back, so mending the file is enough.
    await writeFile(file, '');
    await write(started);
  });

  it.each(['ENOSPC', 'EIO'])('loses nothing that stands when the disk fails with %s in the middle of a line', async (code) => {
    let full = false;
    const journal = await openJournal(file, {
      write: async (handle, line, position) => {
        await handle.write(line, 0, full ? Math.floor(line.length / 2) : line.length, position);
        if (full) throw failing(code);
      },
    });
    await journal.append(started);
    full = true;
    await expect(journal.append(block('lost'))).rejects.toMatchObject({ code: 'DMAS_ENV_DISK' });
    expect((await readFile(file, 'utf8')).trimEnd()).toBe(JSON.stringify(started));
    expect(journal.study.blocks.size).toBe(0);
    full = false;
    await journal.append(block('a'));
    await journal.close();
    expect([...(await readJournal(file)).blocks.keys()]).toEqual(['a']);
  });

  it('reads back what it wrote, so a first and a resumed run see the same values', async () => {
    const journal = await openJournal(file);
    await journal.append(started);
    const odd = { type: 'capped', cap: 'time', phase: 'race', detail: 'x', atMs: -0, extra: undefined } as unknown as JournalEntry;
    const seen = await journal.append(odd);
    await journal.close();
    expect((await readJournal(file)).entries[1]).toStrictEqual(seen);
  });
});

describe('lock', () => {
  const lockFile = () => `${file}.lock`;

  it('lets one writer in at a time and goes when it closes', async () => {
    const journal = await openJournal(file);
    await expect(openJournal(file)).rejects.toMatchObject({ code: 'DMAS_RUN_BUSY' });
    await journal.close();
    await journal.close();
    await expect(stat(lockFile())).rejects.toMatchObject({ code: 'ENOENT' });
    await write(started);
  });

  it('is taken over from an owner that was killed', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    await write();
    await writeFile(lockFile(), JSON.stringify({ pid: child.pid, started: null }));
    await expect(openJournal(file)).rejects.toMatchObject({ code: 'DMAS_RUN_BUSY' });
    child.kill('SIGKILL');
    await gone;
    await write(started);
    expect((await readJournal(file)).entries).toHaveLength(1);
  });

  it.runIf(process.platform === 'linux')('is taken over when its pid belongs to another process by now', async () => {
    await write();
    await writeFile(lockFile(), JSON.stringify({ pid: process.pid, started: 'another boot/1' }));
    await write(started);
    expect((await readJournal(file)).entries).toHaveLength(1);
  });

  it('is taken over when it is unreadable, and leaves no drafts behind', async () => {
    await write();
    await appendFile(lockFile(), 'not json');
    await write(started);
    const { readdir } = await import('node:fs/promises');
    expect(await readdir(join(folder, 'run'))).toEqual(['journal.ndjson']);
  });
});
