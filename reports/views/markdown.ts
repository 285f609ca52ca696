import { z } from 'zod';
import { change, count, humanSentence, ms, percent, unitUsageSentence, usd, withInterval } from '../format.ts';
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
    ...usageLines(report),
    ...modelLines(report),
    ...(report.human === undefined ? [] : ['', ...report.human.map(humanSentence)]),
    ...(report.warnings.length > 0 ? ['', ...report.warnings.map((warning) => `> ${warning.message} ${warning.advice}`)] : []),
    '',
  ].join('\n');
}

/** Of the chosen layout: the limits its units ran into, where the target counts it. */
function usageLines({ trials }: Report): string[] {
  const units = trials.find(({ roles }) => roles.includes('winner'))?.units ?? [];
  return units.length === 0 ? [] : ['', ...units.map((unit) => `- ${cell(unitUsageSentence(unit))}`)];
}

/** One line per pool, and the agent that waits longest for it. */
function modelLines({ models }: Report): string[] {
  if (!models || models.pools.length === 0) return [];
  const rows = models.pools.map((pool) => {
    const { perRequest, engine, usdPer1000 } = pool;
    const [longest] = [...pool.agents].sort((a, b) => b.waitMs - a.waitMs);
    const cells = [
      cell(pool.pool),
      `${pool.provenance}${pool.estimate ? ', estimate' : ''}`,
      count(perRequest.calls),
      `${count(perRequest.tokensIn)} (${count(perRequest.tokensCached)} cached) / ${count(perRequest.tokensOut)}`,
      ms(perRequest.waitMs),
      ms(perRequest.queueMs),
      engine === null ? '–' : `${count(engine.running.mean)} / ${count(engine.waiting.mean)}`,
      engine?.kvUse ? percent(engine.kvUse.max) : '–',
      percent(engine?.gpuUse),
      usd(usdPer1000.tokens + usdPer1000.gpus),
      longest === undefined ? '–' : `${cell(longest.agent)} ${percent(longest.waitShare)}`,
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    '',
    '| Pool | Source | Calls | Tokens in / out | Waiting | in its queue | Running / waiting | KV cache, most | GPU busy | Cost per 1000 | Waits longest |',
    '|------|--------|------:|----------------:|--------:|-------------:|------------------:|---------------:|---------:|--------------:|---------------|',
    ...rows,
  ];
}
