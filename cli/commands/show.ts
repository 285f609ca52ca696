import { fail } from '../../compiler/contracts/index.ts';
import type { Report, ReportTrial } from '../../reports/report.ts';
import { renderEnding } from '../render/ending.ts';
import { ms, table } from '../render/format.ts';
import { findRunFolder, readJson } from '../run-folder.ts';

/** What a run found, or one of its trials in full. */
export async function show(
  run: string | undefined,
  options: { readonly runs: string; readonly trial?: number; readonly json?: boolean },
): Promise<number> {
  const folder = await findRunFolder(options.runs, run);
  const report = await readJson<Report>(folder.file('report.json'));
  if (options.trial === undefined) {
    process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : renderEnding(report, folder));
    return 0;
  }
  const trial = report.trials.find((candidate) => candidate.number === options.trial);
  if (!trial)
    fail('DMAS_CLI_USAGE', `the run has no trial ${options.trial}`, {
      allowed: report.trials.map((candidate) => String(candidate.number)),
    });
  process.stdout.write(options.json ? `${JSON.stringify(trial, null, 2)}\n` : describe(trial));
  return 0;
}

function describe(trial: ReportTrial): string {
  const blocks = trial.blocks.map((block) => {
    const [result] = Object.values(block.classes).sort((a, b) => b.requests - a.requests);
    const faults = block.faults.map((fault) => fault.fault).join(', ');
    return [block.id, block.purpose, ms(result?.latencyMs?.p50), ms(result?.latencyMs?.p95), block.valid ? '' : `excluded: ${faults}`];
  });
  return [
    `Trial ${trial.number}: ${trial.label} (${trial.configurationId}), ${trial.state}${trial.failure ? `: ${trial.failure.message}` : ''}`,
    ...trial.layout.map((line) => `  ${line}`),
    ...trial.changes.map((line) => `  change: ${line}`),
    ...(blocks.length > 0 ? [table([['block', 'purpose', 'p50', 'p95', ''], ...blocks], [2, 3])] : []),
    '',
  ].join('\n');
}
