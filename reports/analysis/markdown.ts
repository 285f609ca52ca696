import type { Analysis } from '../analysis.ts';
import { count, ms, percent, usd } from '../format.ts';
import { range, saved, share } from './numbers.ts';
import { pathTitles } from './words.ts';

const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const row = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`;
/** The analysis for a chat, a ticket or a job page. */
export function analysisMarkdown(analysis: Analysis): string {
  const { verdict, source, quality, where, layout, changes, notLayout, assumptions, questions } = analysis;
  const seconds = (source.toMs - source.fromMs) / 1000;
  return [
    '# What the traces say',
    '',
    `**${verdict.sentence}** _(${analysis.provenance})_`,
    '',
    ...(verdict.detail === '' ? [] : [verdict.detail, '']),
    `${source.traces} traces, ${source.spans} spans over ${count(seconds)} s; ${percent(quality.unbrokenShare, 1)} of the traces are whole.`,
    '',
    ...quality.notes.map((note) => `> ${note}`),
    ...(quality.notes.length > 0 ? [''] : []),
    '## Where it goes',
    '',
    ...Object.entries(where.criticalPath)
      .filter(([, value]) => value > 0)
      .map(([kind, value]) => `- ${pathTitles[kind as keyof typeof pathTitles]}: ${share(value)} of latency`),
    ...(where.humanMsPerRequest > 0 ? [`- waits for people, kept apart: ${ms(where.humanMsPerRequest)} per request`] : []),
    '',
    row(['Per 1000 requests', 'USD', 'Counted', 'Moves with the layout']),
    row(['---', '---:', '---', '---']),
    ...where.money.map((line) =>
      row([
        line.name,
        line.usdPer1000 === null ? 'no price' : range(line.usdPer1000, usd),
        line.amount,
        line.dependsOnLayout ? 'yes' : 'no',
      ]),
    ),
    '',
    '## What a layout could change',
    '',
    ...(layout.nothing === null ? [] : [layout.nothing, '']),
    ...layout.latency.map((each) => `- p50 of ${each.requestClass}: ${range(each.savingShare, share)} of ${ms(each.nowMs)}`),
    ...(layout.compute === null
      ? []
      : [`- what the processes cost: ${range(layout.compute.savingShare, share)} (${layout.compute.processesNow} processes now)`]),
    ...(layout.cost === null ? [] : [`- everything that was priced: ${range(layout.cost.savingShare, share)}`]),
    '',
    ...changes.map(
      (change, i) =>
        `${i + 1}. **${change.title}**: latency ${saved(change.latencySavingShare, share)}, processes’ cost ${saved(change.computeSavingShare, share)}${change.usdPer1000Saving === null ? '' : ` (${saved(change.usdPer1000Saving, usd)} per 1000 requests)`}. ${change.why}${change.risk === null ? '' : ` ${change.risk}`}`,
    ),
    '',
    '## What is not a matter of layout',
    '',
    ...(notLayout.length === 0
      ? ['Nothing stands out.']
      : notLayout.map(
          (finding) =>
            `- **${finding.title}**${finding.latencyShare === null ? '' : ` (${share(finding.latencyShare)} of latency)`}. ${finding.detail}`,
        )),
    '',
    ...(assumptions.length === 0
      ? []
      : [
          '## Assumed',
          '',
          ...assumptions.map(
            (each) => `- ${each.what}: ${each.range} (${each.source})${each.instead === null ? '' : `; instead: ${each.instead}`}`,
          ),
          '',
        ]),
    ...(questions.length === 0 ? [] : ['## Open questions', '', ...questions.map((question) => `- ${question}`), '']),
    `Next: \`${verdict.next}\``,
    '',
  ].join('\n');
}
