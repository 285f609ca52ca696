import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cli, scenarioFile, start } from './lib/command.ts';
import { blocksOf, createSandbox, journalOf, processesOf, type Sandbox, until } from './lib/sandbox.ts';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = createSandbox();
});
afterEach(() => sandbox.remove());

const blocksSoFar = () => {
  const run = sandbox.run();
  return run === undefined ? [] : blocksOf(run);
};

/** A small disk of its own, where this user may mount one. */
function mountSmallDisk(path: string): boolean {
  mkdirSync(path, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', path], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const mayMount = (() => {
  const probe = createSandbox();
  const path = join(probe.folder, 'disk');
  const mounted = mountSmallDisk(path);
  if (mounted) execFileSync('umount', [path]);
  rmSync(probe.folder, { recursive: true, force: true });
  return mounted;
})();

/** Takes all space that is left. */
function fill(file: string): void {
  const handle = openSync(file, 'w');
  try {
    for (const size of [65_536, 512]) {
      const chunk = Buffer.alloc(size, 1);
      try {
        for (;;) writeSync(handle, chunk);
      } catch {
        // Full for this size.
      }
    }
  } finally {
    closeSync(handle);
  }
}

describe('a disk that cannot be written', () => {
  // Skipped where file systems cannot be mounted: only a full disk of its own shows a full disk.
  it.skipIf(!mayMount)(
    'that fills up ends the run with its finished blocks safe, and resume goes on',
    async () => {
      const disk = join(sandbox.folder, 'runs');
      expect(mountSmallDisk(disk)).toBe(true);
      try {
        const command = start(sandbox, ['run', scenarioFile, '--progress', 'plain']);
        expect(await until(() => blocksSoFar().some((block) => block.purpose === 'race'), 60_000), command.stderr()).toBe(true);
        fill(join(disk, 'filler'));
        const ended = await command.finished;
        expect(ended.code, ended.stderr).toBe(11);
        expect(ended.stderr).toContain('DMAS_ENV_DISK');
        expect(ended.stderr).not.toContain(' failed: ');
        expect(processesOf(sandbox.folder)).toEqual([]);

        const run = sandbox.run() ?? '';
        const before = readFileSync(join(run, 'journal.ndjson'), 'utf8');
        rmSync(join(disk, 'filler'));
        expect(journalOf(run).filter((entry) => entry.type === 'trial-failed')).toEqual([]);
        const resumed = await cli(sandbox, ['resume', run, '--progress', 'plain']);
        expect([0, 30], resumed.stderr).toContain(resumed.code);
        expect(readFileSync(join(run, 'journal.ndjson'), 'utf8').startsWith(before)).toBe(true);
        expect(journalOf(run).at(-1)?.type).toBe('study-ended');
      } finally {
        execFileSync('umount', ['-l', disk]);
      }
    },
    120_000,
  );

  it('because files may not grow is told as such', async () => {
    const ended = await cli(sandbox, ['run', scenarioFile, '--progress', 'plain'], { shell: 'ulimit -f 40; exec "$@"' });
    expect(ended.code, ended.stderr).toBe(11);
    expect(ended.stderr).toContain('DMAS_ENV_DISK');
    expect(processesOf(sandbox.folder)).toEqual([]);
    const run = sandbox.run() ?? '';
    expect(journalOf(run).filter((entry) => entry.type === 'trial-failed')).toEqual([]);
  }, 60_000);

  it('from the start is told before anything is deployed', async () => {
    writeFileSync(join(sandbox.folder, 'runs'), 'no folder');
    const ended = await cli(sandbox, ['run', scenarioFile, '--progress', 'plain']);
    expect(ended.code, ended.stderr).toBe(11);
    expect(ended.stderr).toContain('DMAS_ENV_DISK');
  });
});
