import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { ProcessUsage } from '../../compiler/contracts/index.ts';
import type { Report } from '../../reports/report.ts';
import type { Finished } from '../faults/lib/command.ts';

/**
 * Holds against a run what does not depend on how busy the host is: it ended with a verdict and a report, from traces, and
 * what was answered was right.
 *
 * @returns the usage of every process of every block
 */
export function expectWholeLoop(ended: Finished, run: string): readonly ProcessUsage[] {
  // 30: the time cap came before the verdict, as on a busy host.
  expect([0, 30], ended.stderr).toContain(ended.code);
  expect(existsSync(join(run, 'report.html'))).toBe(true);
  const report = JSON.parse(readFileSync(join(run, 'report.json'), 'utf8')) as Report;
  expect(report.verdict.sentence).not.toBe('');
  const blocks = report.trials.flatMap((trial) => trial.blocks);
  const traced = readdirSync(join(run, 'traces')).filter((file) => statSync(join(run, 'traces', file)).size > 0);
  expect(traced.length).toBeGreaterThan(0);
  // A host that is too busy for any valid block has a verdict that says so, and no profile.
  if (blocks.some(({ purpose, valid }) => purpose === 'profile' && valid)) {
    expect(report.traces?.unbrokenShare).toBe(1);
    expect(report.traces?.darkComponents).toEqual([]);
  }
  // Late answers are the host's, wrong ones would be ours.
  const errors = blocks.flatMap(({ classes }) => Object.values(classes)).flatMap((result) => Object.keys(result.errors));
  expect(errors.filter((error) => !['timeout', 'deadline'].includes(error))).toEqual([]);
  const usage = blocks.flatMap((block) => block.usage);
  expect(usage.length).toBeGreaterThan(0);
  return usage;
}
