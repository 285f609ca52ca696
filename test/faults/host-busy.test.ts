import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Report } from '../../reports/report.ts';
import { cli, scenarioFile } from './lib/command.ts';
import { blocksOf, createSandbox, journalOf, type Sandbox } from './lib/sandbox.ts';

let sandbox: Sandbox;
let spinners: ChildProcess[] = [];
beforeEach(() => {
  sandbox = createSandbox();
});
afterEach(async () => {
  for (const spinner of spinners) spinner.kill('SIGKILL');
  spinners = [];
  await sandbox.remove();
});

describe('a host that is kept busy by others', () => {
  it('is told of every block, no verdict rests on them, and the loop completes', async () => {
    spinners = Array.from({ length: cpus().length }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
    const ended = await cli(sandbox, ['run', scenarioFile, '--progress', 'plain', '--max-time', '12s']);
    expect([0, 30], ended.stderr).toContain(ended.code);

    const run = sandbox.run() ?? '';
    const blocks = blocksOf(run);
    expect(blocks.length).toBeGreaterThan(0);
    for (const { id, quality } of blocks) {
      expect(quality.valid, id).toBe(false);
      expect(
        quality.faults.map(({ fault }) => fault),
        id,
      ).toContain('host-bound');
    }
    const compared = journalOf(run).flatMap((entry) => (entry.type === 'compared' ? entry.comparisons : []));
    for (const { verdict, pairs } of compared) expect({ verdict, pairs }).toEqual({ verdict: 'inconclusive', pairs: 0 });
    const report = JSON.parse(readFileSync(join(run, 'report.json'), 'utf8')) as Report;
    expect(['inconclusive', 'nothing-measured']).toContain(report.verdict.kind);
    expect(report.verdict.sentence).toContain('host-bound');
    expect(report.trials.every((trial) => trial.failure === null || trial.failure === undefined)).toBe(true);
    expect(JSON.stringify(report.warnings)).toMatch(/busy|host/i);
    expect(ended.stdout).toContain(report.verdict.sentence);
  }, 120_000);
});
