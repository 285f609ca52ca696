import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cli, type Finished } from '../faults/lib/command.ts';
import { blocksOf, createSandbox, journalOf, processesOf, type Sandbox } from '../faults/lib/sandbox.ts';

const python = process.env.DMAS_OPT_PYTHON ?? 'python3';
const missing = spawnSync(python, ['--version']).status === 0 ? undefined : `${python} is not here`;
const scenario = join(import.meta.dirname, '../fixtures/elsewhere/python/scenario.yaml');
/** The busy machine a test runs on may excuse these; the others would be our own fault. */
const ofTheHost = ['host-bound', 'driver-lag', 'load-not-delivered'];

describe.skipIf(missing)(`the loop over an application of Python programs alone${missing ? `: skipped, ${missing}` : ''}`, () => {
  let sandbox: Sandbox;
  let ended: Finished;
  beforeAll(async () => {
    sandbox = createSandbox();
    ended = await cli(sandbox, ['run', scenario, '--progress', 'plain', '--max-time', '15s'], { environment: { DMAS_OPT_PYTHON: python } });
  }, 90_000);
  afterAll(() => sandbox.remove());
  const run = () => sandbox.run() ?? '';

  it('ends with a report, and leaves no process behind', () => {
    expect([0, 30], ended.stderr).toContain(ended.code);
    expect(existsSync(join(run(), 'report.html'))).toBe(true);
    expect(processesOf(sandbox.folder)).toEqual([]);
  });

  it('sees every request whole, though the programs send no spans', () => {
    const faults = blocksOf(run()).flatMap(({ quality }) => quality.faults.map(({ fault }) => fault));
    expect(faults.filter((fault) => !ofTheHost.includes(fault))).toEqual([]);
    const profile = journalOf(run()).flatMap((entry) => (entry.type === 'profiled' ? [entry.profile] : []))[0];
    // What one silent program asks another nobody sees: the second is dark, and its time is the first one's.
    expect(profile?.traces).toMatchObject({ unbrokenShare: 1, darkComponents: ['helper'], silentComponents: ['desk'] });
    expect(profile?.components.desk?.visitsPerRequest).toBe(1);
    expect(profile?.components.desk?.osCpuMs).toBeGreaterThan(0);
  });

  it('hands back files that start the programs as well', async () => {
    const child: ChildProcess = spawn(process.execPath, [join(run(), 'best/start.mjs')], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...sandbox.environment, PORT: '0' },
    });
    try {
      const url = await new Promise<string>((resolve, reject) => {
        child.once('exit', () => reject(new Error('it ended')));
        child.stdout?.on('data', (data: Buffer) => {
          const found = /answers at (\S+)/.exec(data.toString())?.[1];
          if (found !== undefined) resolve(found);
        });
      });
      const response = await fetch(url, { method: 'POST', body: '{"topic":"tides"}' });
      expect(await response.json()).toEqual({ text: 'all about tides' });
    } finally {
      child.kill('SIGINT');
      if (child.exitCode === null) await once(child, 'exit');
    }
  }, 30_000);

  it('says before it starts that a command is not there, or that too much is offered', async () => {
    const absent = await cli(sandbox, ['run', scenario], { environment: { DMAS_OPT_PYTHON: 'python-of-nobody' } });
    expect(absent.code).toBe(11);
    expect(absent.stderr).toContain('agents.desk: python-of-nobody: not found.');
    expect(absent.stderr).toMatch(/scenario\.yaml:4:\d+/);
    const much = await cli(sandbox, ['validate', join(import.meta.dirname, '../fixtures/elsewhere/too-much.yaml')]);
    expect(much.code).toBe(10);
    expect(much.stderr).toContain('the workload offers 30 requests/s with 2 calls each, but the external "rater" may be given 20 calls/s');
  });
});
