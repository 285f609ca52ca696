import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyLive, liveFacts } from '../../cli/live/client.ts';
import { type Command, cli, start } from '../faults/lib/command.ts';
import { createSandbox, processesOf, type Sandbox, socketsOf, stillListening, until } from '../faults/lib/sandbox.ts';
import { type Behaviour, startLoad, writeApplication } from './live-scenario.ts';

const full = process.env.DMAS_OPT_FULL === '1';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = createSandbox();
});
afterEach(() => sandbox.remove());

async function deployed(behaviour: Behaviour = {}, cwd?: string): Promise<{ command: Command; url: string; source: string }> {
  const source = join(sandbox.folder, 'app');
  const scenario = writeApplication(source, behaviour);
  const command = start(sandbox, ['deploy', scenario], cwd === undefined ? {} : { cwd });
  await command.says(/answers at http/, 90_000);
  const url = /answers at (\S+)/.exec(command.stdout())?.[1] ?? '';
  expect(url, command.stderr()).toMatch(/^http/);
  return { command, url, source };
}

const ask = async (url: string) => (await (await fetch(url, { method: 'POST', body: '{"name":"Ann"}' })).json()) as { text?: string };

function socketOf(folder: string): string {
  const [socket = ''] = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('live.sock'));
  return join(folder, socket);
}

async function stopped(command: Command): Promise<void> {
  command.child.kill('SIGINT');
  expect((await command.finished).code).toBe(0);
  expect(await until(() => processesOf(sandbox.folder).length === 0)).toBe(true);
  expect(readdirSync(join(sandbox.folder, 'state'))).toEqual([]);
}

/** A small disk of its own, where this user may mount one. */
function mountSmallDisk(path: string): boolean {
  mkdirSync(path, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', path], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('apply', () => {
  it('shows the difference, moves a live deployment under load without a failed request, and leaves nothing', async () => {
    const { command, url } = await deployed();
    const shown = await cli(sandbox, ['apply', 'all-in-one', '--dry-run']);
    expect(shown.code, shown.stderr).toBe(0);
    expect(shown.stdout).toContain('merged: greet + shout');
    const refused = await cli(sandbox, ['apply', 'all-in-one']);
    expect(refused).toMatchObject({ code: 10, stderr: expect.stringContaining('--yes') });

    const load = startLoad(url);
    const applied = await cli(sandbox, ['apply', 'all-in-one', '--yes', '--watch', '3s']);
    expect(applied.code, applied.stdout + applied.stderr).toBe(0);
    expect(applied.stdout).toMatch(/applied: every limit held \(\d+ requests/);
    const back = await cli(sandbox, ['apply', 'baseline', '--yes', '--watch', '0s']);
    expect(back.stdout).toContain('applied; it was not watched');
    const { sent, failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(sent).toBeGreaterThan(100);
    expect((await cli(sandbox, ['apply', 'baseline', '--yes'])).stdout).toContain('nothing changes');
    expect(await ask(url)).toEqual({ text: 'HELLO ANN' });

    const socket = socketOf(sandbox.folder);
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    await stopped(command);
    expect(existsSync(socket)).toBe(false);
    const nobody = await cli(sandbox, ['apply', 'baseline', '--yes']);
    expect(nobody).toMatchObject({ code: 11, stderr: expect.stringContaining('no deployment') });
  }, 180_000);

  it.runIf(full)(
    'says that nothing is proven where nobody asked',
    async () => {
      const { command, url } = await deployed();
      const kept = await cli(sandbox, ['apply', 'all-in-one', '--yes', '--watch', '300ms']);
      expect(kept).toMatchObject({ code: 22, stdout: expect.stringContaining('applied, but not proven: no request came') });
      const taken = await cli(sandbox, ['apply', 'baseline', '--yes', '--watch', '300ms', '--inconclusive', 'fail']);
      expect(taken).toMatchObject({
        code: 22,
        stdout: expect.stringContaining('not applied: The old layout serves again: no request came'),
      });
      expect(await ask(url)).toEqual({ text: 'HELLO ANN' });
      await stopped(command);
    },
    180_000,
  );

  const bad: [string, Behaviour, RegExp, number][] = [
    ['does not start', { dies: true }, /not applied: unit shout replica 0 did not start: ended with code 1.*\n(.*\n)*.*licence server/, 11],
    ['crashes while it is watched', { diesAfterMs: 2_500 }, /not applied: .*unit shout replica 0 crashed while it was watched/, 20],
    ['is too slow', { sleepMs: 700 }, /not applied: .*latency\.p50 of default was 7\d\d ms over \d+ requests, not at most 400 ms/, 20],
  ];
  it.each(full ? bad : bad.filter(([, { diesAfterMs }]) => diesAfterMs === undefined))(
    'rolls back a unit that %s, and drops nothing',
    async (_, behaviour, sentence, code) => {
      const { command, url, source } = await deployed();
      writeApplication(source, behaviour);
      const load = startLoad(url);
      const outcome = await cli(sandbox, ['apply', 'baseline', '--yes', '--watch', '20s']);
      expect(outcome.stdout, outcome.stderr).toMatch(sentence);
      expect(outcome.code).toBe(code);
      const { failures } = await load.stop();
      // What a crash broke off was on its way through the unit that crashed; nothing else is lost.
      if (behaviour.diesAfterMs === undefined) expect(failures).toEqual([]);
      const startedMs = Date.now();
      expect(await ask(url)).toEqual({ text: 'HELLO ANN' });
      expect(Date.now() - startedMs).toBeLessThan(500);
      await stopped(command);
    },
    180_000,
  );

  it.runIf(full)(
    'goes back when the disk is full',
    async ({ skip }) => {
      const disk = join(sandbox.folder, 'disk');
      if (!mountSmallDisk(disk)) return skip('no small disk can be mounted here');
      try {
        const { command, url, source } = await deployed({}, disk);
        writeApplication(source, { version: 10 });
        const load = startLoad(url);
        fill(join(disk, 'filler'));
        const outcome = await cli(sandbox, ['apply', 'baseline', '--yes', '--watch', '1s']);
        expect(outcome.stdout, outcome.stderr).toMatch(/not applied: .*disk is full/i);
        expect(outcome.code).toBe(11);
        expect((await load.stop()).failures).toEqual([]);
        expect(await ask(url)).toEqual({ text: 'HELLO ANN' });
        await stopped(command);
      } finally {
        execFileSync('umount', ['-l', disk]);
      }
    },
    180_000,
  );
});

describe('kill -9', () => {
  it.runIf(full)(
    'of apply changes nothing: the deployment goes on by itself',
    async () => {
      const { command, url } = await deployed();
      const load = startLoad(url);
      const applying = start(sandbox, ['apply', 'all-in-one', '--yes', '--watch', '3s']);
      await applying.says('watch:');
      applying.child.kill('SIGKILL');
      await applying.finished;
      const facts = await liveFacts(socketOf(sandbox.folder));
      expect(facts).toMatchObject({ changing: 'watch', health: { failures: 0 } });
      const wanted = { ...facts, bundles: [], watch: { durationMs: 0, limits: [], insist: false } };
      const second = applyLive(socketOf(sandbox.folder), wanted, () => {}, new AbortController().signal);
      await expect(second).rejects.toMatchObject({ code: 'DMAS_LIVE_BUSY' });
      expect(await command.says('apply, commit', 60_000)).toBe(true);
      await sleep(500);
      expect((await load.stop()).failures).toEqual([]);
      await stopped(command);
    },
    180_000,
  );

  it.each(full ? ['prepare:', 'watch:', 'commit:'] : ['watch:'])(
    'of deploy at %s leaves nothing behind',
    async (phase) => {
      const { command } = await deployed();
      const applying = start(sandbox, ['apply', 'all-in-one', '--yes', '--watch', '1500ms']);
      await applying.says(phase);
      const sockets = socketsOf(sandbox.folder);
      command.child.kill('SIGKILL');
      await command.finished;
      expect(await applying.finished).toMatchObject({ code: expect.toSatisfy((code: number) => code === 11 || code === 22) });
      expect((await cli(sandbox, ['doctor', '--clean'])).code).toBe(0);
      expect(await until(() => processesOf(sandbox.folder).length === 0)).toBe(true);
      expect(stillListening(sockets)).toEqual([]);
      expect(readdirSync(join(sandbox.folder, 'state'))).toEqual([]);
      expect(readdirSync(join(sandbox.folder, 'tmp')).filter((name) => name.startsWith('dmas-'))).toEqual([]);
    },
    180_000,
  );
});

function fill(file: string): void {
  try {
    writeFileSync(file, Buffer.alloc(64 * 1024 * 1024, 1));
  } catch {
    // Full.
  }
}
