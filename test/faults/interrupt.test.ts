import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Report } from '../../reports/report.ts';
import { cli, scenarioFile, start } from './lib/command.ts';
import { blocksOf, createSandbox, journalOf, processesOf, type Sandbox, until } from './lib/sandbox.ts';

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = createSandbox();
});
afterEach(() => sandbox.remove());

/** A run that has measured at least one block of the race and is measuring the next. */
async function running() {
  const command = start(sandbox, ['run', scenarioFile, '--progress', 'ndjson']);
  expect(await until(() => blocksOfRun().some((block) => block.purpose === 'race'), 60_000), command.stderr()).toBe(true);
  return command;
}
const blocksOfRun = () => {
  const run = sandbox.run();
  return run === undefined ? [] : blocksOf(run);
};
const runPath = () => sandbox.run() ?? '';

describe('stopping a run', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    'once by %s ends cleanly with a report of what is known, and resume goes on',
    async (signal) => {
      const command = await running();
      command.child.kill(signal);
      const ended = await command.finished;
      expect(ended.code, ended.stderr).toBe(130);
      expect(processesOf(sandbox.folder)).toEqual([]);

      const before = journalOf(runPath());
      expect(before.at(-1)).toMatchObject({ type: 'interrupted', reason: `stopped by ${signal}` });
      expect(readFileSync(join(runPath(), 'report.html'), 'utf8')).toContain('</html>');
      const report = JSON.parse(readFileSync(join(runPath(), 'report.json'), 'utf8')) as Report;
      expect(report.state).toBe('interrupted');
      expect(report.trials.flatMap((trial) => trial.blocks)).toHaveLength(blocksOfRun().length);
      // No failure of any layout is told of what the user did.
      expect(before.filter((entry) => entry.type === 'trial-failed')).toEqual([]);
      expect(blocksOfRun().filter((block) => block.quality.faults.some(({ fault }) => fault === 'replica-lost'))).toEqual([]);
      expect(ended.stdout + ended.stderr).toContain('report.html');

      if (signal === 'SIGTERM') return;
      const resumed = await cli(sandbox, ['resume', runPath(), '--progress', 'plain']);
      expect([0, 30], resumed.stderr).toContain(resumed.code);
      expect(journalOf(runPath()).slice(0, before.length)).toEqual(before);
      expect(journalOf(runPath()).at(-1)?.type).toBe('study-ended');
    },
    120_000,
  );

  it('twice ends at once, and nothing lives on', async () => {
    const command = await running();
    const atMs = Date.now();
    command.child.kill('SIGINT');
    // Two signals that are one in the queue of the system would be one Ctrl-C.
    await command.says('Ctrl-C again');
    command.child.kill('SIGINT');
    const ended = await command.finished;
    // A clean end is allowed to be as quick.
    expect(ended.code).toBe(130);
    expect(Date.now() - atMs).toBeLessThan(10_000);
    expect(await until(() => processesOf(sandbox.folder).length === 0)).toBe(true);
    await cli(sandbox, ['doctor', '--clean']);
    const doctor = await cli(sandbox, ['doctor', '--json']);
    expect((JSON.parse(doctor.stdout) as { what: string }[]).filter(({ what }) => what === 'left behind (process)')).toEqual([]);
  }, 120_000);

  it('before anything is measured ends cleanly too', async () => {
    const command = start(sandbox, ['run', scenarioFile, '--progress', 'plain']);
    await until(() => sandbox.run() !== undefined);
    await sleep(50);
    command.child.kill('SIGINT');
    const ended = await command.finished;
    expect(ended.code, ended.stderr).toBe(130);
    expect(existsSync(join(runPath(), 'report.html'))).toBe(true);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 60_000);
});
