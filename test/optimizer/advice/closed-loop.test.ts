import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Analysis, Range } from '../../../reports/analysis.ts';
import type { MeasuredLayout, MeasuredRun } from '../../tools/analyze-fixture.ts';
import { analysisOf } from './analysis-of.ts';

/*
 * What traces alone promise against what the closed loop then measured: fixtures hold the baseline's traces of whole runs and
 * the p50 of every block a verdict could rest on (see test/tools/analyze-fixture.ts).
 */
const folder = join(import.meta.dirname, '../../fixtures/analyze');
const runs = readdirSync(folder).sort();

/** Saving of p50 with the noise of the blocks: 95 % around the difference of mean logarithms (Welch). */
function measuredSaving(before: MeasuredLayout, after: MeasuredLayout): Range & { readonly point: number } {
  const stats = (values: readonly number[]) => {
    const logs = values.map(Math.log);
    const mean = logs.reduce((sum, each) => sum + each, 0) / logs.length;
    return { mean, variance: logs.reduce((sum, each) => sum + (each - mean) ** 2, 0) / Math.max(1, logs.length - 1) / logs.length };
  };
  const [was, is] = [stats(before.p50Ms), stats(after.p50Ms)];
  // Student's quantile for the few degrees of freedom that six blocks leave.
  const half = 2.57 * Math.sqrt(was.variance + is.variance);
  const difference = is.mean - was.mean;
  return { point: 1 - Math.exp(difference), low: 1 - Math.exp(difference + half), high: 1 - Math.exp(difference - half) };
}

const overlaps = (a: Range, b: Range) => a.low <= b.high && b.low <= a.high;

describe.each(runs)('advice on %s from the traces of its baseline', (name) => {
  const run = JSON.parse(readFileSync(join(folder, name, 'measured.json'), 'utf8')) as MeasuredRun;
  const [baseline, ...others] = run.layouts;
  if (!baseline || others.length === 0) throw new RangeError(`${name} measured no layout`);
  const analysis: Promise<Analysis> = analysisOf([join(folder, name, 'baseline.ndjson.gz')], { sampledShare: 1 });

  it('gives an interval of latency that holds what the best layout measured', async () => {
    const { layout } = await analysis;
    const [room] = layout.latency;
    const best = others.map((each) => measuredSaving(baseline, each)).reduce((a, b) => (b.point > a.point ? b : a));
    expect(room).toBeDefined();
    expect(overlaps(room?.savingShare ?? { low: 1, high: 1 }, best), JSON.stringify({ said: room?.savingShare, best })).toBe(true);
    // Not by saying anything is possible.
    expect(room?.savingShare.high).toBeLessThan(0.95);
  });

  it('gives each measured change an interval that holds what it measured', async () => {
    const { changes } = await analysis;
    const [all] = changes.filter(({ processes }) => processes === 1);
    const measured = others.find(({ label }) => label === 'all in one');
    expect(all && measured).toBeDefined();
    if (!all || !measured) return;
    const saving = measuredSaving(baseline, measured);
    expect(overlaps(all.latencySavingShare, saving), JSON.stringify({ said: all.latencySavingShare, saving })).toBe(true);
  });

  it('gives intervals of cost that hold what the best layout measured', async () => {
    const { layout } = await analysis;
    const fewest = Math.min(...others.map(({ processes }) => processes));
    const saved = 1 - fewest / baseline.processes;
    expect(layout.compute?.processesNow).toBe(baseline.processes);
    expect(layout.compute?.savingShare.low).toBeLessThanOrEqual(saved);
    expect(layout.compute?.savingShare.high).toBeGreaterThanOrEqual(saved);
    // With everything else the run paid for: model servers, tokens.
    const usd = Math.min(...others.map(({ usdPer1000 }) => usdPer1000 ?? Number.POSITIVE_INFINITY));
    const whole = 1 - usd / (baseline.usdPer1000 ?? usd);
    expect(layout.cost?.savingShare.low).toBeLessThanOrEqual(whole);
    expect(layout.cost?.savingShare.high).toBeGreaterThanOrEqual(whole - 0.01);
  });
});
