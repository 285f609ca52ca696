import { relative } from 'node:path';
import { humanSentence } from '../../reports/format.ts';
import type { Report } from '../../reports/report.ts';
import type { RunFolder } from '../run-folder.ts';
import { ms, table, usd } from './format.ts';

/** How a run ends on the terminal: the layouts, then verdict, best change and what to open. */
export function renderEnding(report: Report, folder: RunFolder): string {
  const rows = report.trials.map((trial) => [
    `${trial.number}`,
    `${trial.label}${trial.roles.includes('winner') ? ' *' : ''}`,
    ms(trial.p50Ms?.point),
    ms(trial.p95Ms?.point),
    usd(trial.usdPer1000?.point),
    trial.predictedRatio === null ? '–' : trial.predictedRatio.toFixed(2),
    trial.state === 'measured'
      ? trial.slo.every((limit) => limit.holds !== false)
        ? ''
        : 'breaks a limit'
      : trial.state === 'pending'
        ? 'not measured'
        : trial.state,
  ]);
  const header = ['#', 'layout', 'p50', 'p95', 'cost/1000', 'predicted/measured', ''];
  const path = (name: string) => relative(process.cwd(), folder.file(name)) || folder.file(name);
  return [
    '',
    ...(rows.length > 0 ? [table([header, ...rows], [0, 2, 3, 4, 5]), ''] : []),
    ...(report.human ?? []).map((human) => `People:  ${humanSentence(human)}`),
    `Verdict: ${report.verdict.sentence} (${report.verdict.provenance})`,
    ...(report.verdict.kind === 'better' ? [`Apply:   node ${path('best/start.mjs')}`] : []),
    `Report:  ${path('report.html')}`,
    '',
  ].join('\n');
}
