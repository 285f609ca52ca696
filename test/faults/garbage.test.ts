import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Report } from '../../reports/report.ts';
import { cli, fixture, scenarioFile, start } from './lib/command.ts';
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

/** Content and time of change of every file of a run; the lock of a dead process may go. */
const snapshot = (run: string) =>
  readdirSync(run, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.lock'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => [file, statSync(file).mtimeMs, createHash('sha256').update(readFileSync(file)).digest('hex')]);

describe('a damaged run folder', () => {
  it('with a torn last line goes on; damaged in the middle it is refused and left as it is; one process works on it at a time', async () => {
    const first = start(sandbox, ['run', scenarioFile, '--progress', 'plain']);
    expect(await until(() => blocksSoFar().length >= 2, 60_000), first.stderr()).toBe(true);
    const run = sandbox.run() ?? '';

    const second = await cli(sandbox, ['resume', run, '--progress', 'plain']);
    expect(second.code, second.stderr).toBe(11);
    expect(second.stderr).toContain('DMAS_RUN_BUSY');
    expect(second.stderr).toContain(`process ${first.pid} is working on this run`);

    first.child.kill('SIGKILL');
    await first.finished;
    expect(await until(() => processesOf(sandbox.folder).length === 0)).toBe(true);

    const journal = join(run, 'journal.ndjson');
    const whole = readFileSync(journal, 'utf8');
    const lines = whole.split('\n');
    writeFileSync(journal, [lines[0], (lines[1] ?? '').slice(0, 20), ...lines.slice(2)].join('\n'));
    // What the killed process left goes first, as it does at any start.
    await cli(sandbox, ['doctor', '--clean']);
    const before = snapshot(run);
    for (const command of ['resume', 'report']) {
      const refused = await cli(sandbox, [command, run]);
      expect(refused.code, refused.stderr).toBe(10);
      expect(refused.stderr).toContain('DMAS_RUN_CORRUPT');
      expect(refused.stderr).toContain('journal.ndjson:2');
    }
    expect(snapshot(run)).toEqual(before);

    writeFileSync(journal, whole);
    appendFileSync(journal, '{"type":"block-finished","block":{"id":"ra');
    const resumed = await cli(sandbox, ['resume', run, '--progress', 'plain']);
    expect([0, 30], resumed.stderr).toContain(resumed.code);
    expect(readFileSync(journal, 'utf8').startsWith(whole)).toBe(true);
    expect(journalOf(run).at(-1)?.type).toBe('study-ended');

    // An ended run stays as it is.
    const ended = readFileSync(journal, 'utf8');
    expect((await cli(sandbox, ['resume', run, '--progress', 'quiet'])).code).toBe(resumed.code);
    expect(readFileSync(journal, 'utf8')).toBe(ended);
  }, 120_000);
});

/** A scenario around a workflow of its own, in the sandbox. */
function scenario(workflow: string, more: readonly string[] = []): string {
  const folder = join(sandbox.folder, 'scenario');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'scenario.yaml');
  writeFileSync(
    file,
    [
      'name: broken',
      `workflow: ${workflow}`,
      'workload:',
      '  inputs: [{ text: hello }]',
      '  classes: { default: { arrivals: { process: constant, perSecond: 20 }, timeout: 1s } }',
      '  warmup: 50ms',
      '  duration: 300ms',
      'search: { candidates: 1 }',
      'budget: { time: 60s, trials: 3 }',
      ...more,
      '',
    ].join('\n'),
  );
  return file;
}

const reportOf = () => JSON.parse(readFileSync(join(sandbox.run() ?? '', 'report.json'), 'utf8')) as Report;
const failures = () => journalOf(sandbox.run() ?? '').flatMap((entry) => (entry.type === 'trial-failed' ? [entry.message] : []));

describe('a workflow that misbehaves', () => {
  it('at import is told with its place, and nothing is started', async () => {
    mkdirSync(join(sandbox.folder, 'scenario'));
    writeFileSync(join(sandbox.folder, 'scenario', 'workflow.ts'), "const url: string = 'x';\nthrow new Error('no weather today');\n");
    const ended = await cli(sandbox, ['run', scenario('./workflow.ts')]);
    expect(ended.code, ended.stderr).toBe(10);
    expect(ended.stderr).toContain('DMAS_WF_LOAD');
    expect(ended.stderr).toContain('workflow.ts:2:');
    expect(ended.stderr).toContain('no weather today');
    expect(sandbox.run()).toBeUndefined();
  });

  it.each([
    ['throwing', /failed/],
    ['silent', /timeout|deadline|incomplete/],
    ['exiting', /replica-lost|unavailable/],
  ])(
    'by %s at every call fails its trials with the reason',
    async (workflow, reason) => {
      const ended = await cli(sandbox, ['run', scenario(`${fixture('broken.ts')}#${workflow}`), '--progress', 'plain']);
      expect(ended.code, ended.stderr).toBe(12);
      expect(journalOf(sandbox.run() ?? '').at(-1)?.type).toBe('study-ended');
      expect(failures().length).toBeGreaterThan(0);
      for (const message of failures()) expect(message).toMatch(reason);
      const report = reportOf();
      expect(report.verdict.kind).toBe('nothing-measured');
      expect(report.verdict.sentence).toMatch(reason);
      expect(report.trials[0]).toMatchObject({ state: 'failed', failure: { message: expect.stringMatching(reason) } });
      expect(processesOf(sandbox.folder)).toEqual([]);
    },
    90_000,
  );

  it('by not starting in one layout fails that trial with the last lines of its log, and the others are measured', async () => {
    const ended = await cli(sandbox, ['run', scenario(fixture('unit-dies.ts')), '--progress', 'plain']);
    expect([0, 30], ended.stderr).toContain(ended.code);
    const failed = reportOf().trials.filter((trial) => trial.state === 'failed');
    expect(failed).toHaveLength(1);
    expect(failed[0]?.failure).toMatchObject({ code: 'DMAS_DEPLOY_FAILED' });
    expect(failed[0]?.failure?.message).toContain('opening the database');
    expect(failed[0]?.failure?.message).toContain('both agents want the one database connection');
    // The other has its blocks, whether this host let them count or not.
    const others = reportOf().trials.filter((trial) => trial.state !== 'failed');
    expect(others).toHaveLength(1);
    expect(others[0]?.blocks.some((block) => block.purpose === 'race')).toBe(true);
    expect(processesOf(sandbox.folder)).toEqual([]);
  }, 90_000);
});
