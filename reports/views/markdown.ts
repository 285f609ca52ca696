import { z } from 'zod';
import { change, humanSentence, ms, usd, withInterval } from '../format.ts';
import type { Report } from '../report.ts';
import { defineView } from '../view.ts';

/** A short summary for a job page or a chat. */
export const markdownView = defineView({
  id: 'markdown',
  title: 'Markdown summary',
  options: z.object({}),
  traits: { files: ['report.md'] },
  load: async () => ({ render: (report) => [{ name: 'report.md', content: summary(report) }] }),
});

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function summary(report: Report): string {
  const rows = report.trials.map(
    (trial) =>
      `| ${trial.number} | ${cell(trial.label)}${trial.roles.includes('winner') ? ' **(chosen)**' : ''} | ${withInterval(trial.p50Ms, ms)} | ${withInterval(trial.p95Ms, ms)} | ${withInterval(trial.usdPer1000, usd)} | ${trial.state} |`,
  );
  const comparisons = report.verdict.comparisons.map(
    (comparison) =>
      `- ${comparison.metric}${comparison.requestClass ? ` (${comparison.requestClass})` : ''} against ${report.trials.find((trial) => trial.configurationId === comparison.baselineConfigurationId)?.label ?? 'baseline'}: ${change(comparison.ratio.point)} [${change(comparison.ratio.low)}, ${change(comparison.ratio.high)}], ${comparison.pairs} pairs: **${comparison.verdict}**`,
  );
  return [
    `# ${report.scenario.name}`,
    '',
    `${report.verdict.sentence} _(${report.verdict.provenance})_`,
    '',
    ...comparisons,
    '',
    '| # | Layout | p50 | p95 | Cost per 1000 | State |',
    '|--:|--------|----:|----:|--------------:|-------|',
    ...rows,
    ...(report.human === undefined ? [] : ['', ...report.human.map(humanSentence)]),
    ...(report.warnings.length > 0 ? ['', ...report.warnings.map((warning) => `> ${warning.message} ${warning.advice}`)] : []),
    '',
  ].join('\n');
}
