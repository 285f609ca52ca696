/**
 * What a whole run gains on a scenario: `npm run bench:gains -- scenarios/document-pipeline/scenario.yaml [more …]`.
 * Runs the loop as a user would and reads the report. The last line is one JSON object.
 *
 * `recovered` is the share of the baseline's communication time (its share of the critical path times its p50) that
 * the winner's p50 no longer has.
 */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Report } from '../../reports/report.ts';

const files = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
if (files.length === 0) files.push('scenarios/document-pipeline/scenario.yaml', 'scenarios/mixed-load/scenario.yaml');
const maxTime = process.argv.find((argument) => argument.startsWith('--max-time='))?.slice('--max-time='.length) ?? '5m';

const results = [];
for (const file of files) {
  const runs = await mkdtemp(join(tmpdir(), 'dmas-opt-gains-'));
  try {
    const child = spawnSync(process.execPath, ['--import', 'tsx', 'cli/main.ts', 'run', file, '--runs', runs, '--max-time', maxTime], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const [id] = await readdir(runs);
    if (id === undefined) throw new Error(`${file}: the run left nothing (exit code ${child.status})`);
    results.push(resultOf(JSON.parse(await readFile(join(runs, id, 'report.json'), 'utf8')) as Report, child.status));
  } finally {
    await rm(runs, { recursive: true, force: true });
  }
}
process.stdout.write(`${JSON.stringify({ gains: results })}\n`);

function resultOf(report: Report, exitCode: number | null) {
  const { verdict, trials, whereItGoes } = report;
  const baseline = trials.find((trial) => trial.configurationId === verdict.baselineId);
  const winner = trials.find((trial) => trial.configurationId === verdict.winnerId);
  const communicationShare = whereItGoes?.criticalPath.communication ?? null;
  const [before, after] = [baseline?.p50Ms?.point, winner?.p50Ms?.point];
  const recovered =
    before !== undefined && after !== undefined && communicationShare ? (before - after) / (before * communicationShare) : null;
  return {
    scenario: report.scenario.name,
    exitCode,
    verdict: verdict.kind,
    sentence: verdict.sentence,
    provenance: verdict.provenance,
    winner: winner?.layout ?? null,
    communicationShare,
    recovered,
    comparisons: verdict.comparisons.map(({ metric, requestClass, ratio, pairs, verdict: kind, baselineConfigurationId }) => ({
      metric,
      requestClass: requestClass ?? null,
      against: trials.find((trial) => trial.configurationId === baselineConfigurationId)?.label ?? null,
      ratio: ratio.point,
      low: ratio.low,
      high: ratio.high,
      pairs,
      verdict: kind,
    })),
    excludedBlocks: trials.flatMap((trial) => trial.blocks).filter((block) => !block.valid).length,
  };
}
