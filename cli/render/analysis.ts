import pc from 'picocolors';
import { range, saved, share } from '../../reports/analysis/numbers.ts';
import { pathTitles } from '../../reports/analysis/words.ts';
import { type Analysis, analysisPathKinds } from '../../reports/analysis.ts';
import { ms, table, usd } from './format.ts';

const mostNotes = 4;
const mostRows = 8;
const mostFindings = 5;

/** The analysis in one screen or two: the answer first, then why, then what to type. */
export function renderAnalysis(analysis: Analysis, page: string): string {
  const { verdict, quality, changes, notLayout, questions, layout } = analysis;
  const colour = verdict.kind === 'worth-trying' ? pc.green : verdict.kind === 'maybe' ? pc.yellow : pc.bold;
  const blocks = [
    [`${colour(verdict.sentence)} ${pc.dim(`(${analysis.provenance})`)}`, ...(verdict.detail === '' ? [] : [verdict.detail])],
    [
      seen(analysis),
      ...quality.notes.slice(0, mostNotes).map((note) => `  ${pc.yellow('!')} ${note}`),
      ...more(quality.notes.length - mostNotes, 'notes'),
    ],
    where(analysis),
    money(analysis),
    layout.nothing === null
      ? [pc.bold('What a layout could change'), ...room(analysis), ...changes.flatMap((change, i) => changeLines(change, i))]
      : [],
    notLayout.length === 0
      ? []
      : [
          pc.bold('Not a matter of layout'),
          ...notLayout
            .slice(0, mostFindings)
            .map((finding) => `  ${finding.title}${finding.latencyShare === null ? '' : ` (${share(finding.latencyShare)} of latency)`}`),
          ...more(notLayout.length - mostFindings, 'findings'),
        ],
    [
      ...(questions.length > 0
        ? [`Open:    ${questions.length} question${questions.length === 1 ? '' : 's'} only you can answer, in the report`]
        : []),
      `Report:  ${page}`,
      `Next:    ${verdict.next}`,
    ],
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

const more = (left: number, what: string): string[] => (left > 0 ? [pc.dim(`  ${left} more ${what} in the report`)] : []);

function seen({ source, quality }: Analysis): string {
  const seconds = (source.toMs - source.fromMs) / 1000;
  const parts = [
    `${source.traces} trace${source.traces === 1 ? '' : 's'}, ${source.spans} spans over ${seconds.toFixed(seconds < 10 ? 1 : 0)} s`,
    `${share(quality.unbrokenShare)} whole`,
    quality.dark.length === 0 ? '' : `${quality.dark.length} dark`,
    quality.skewRepaired === 0 ? '' : `${quality.skewRepaired} clocks repaired`,
  ];
  return parts.filter((part) => part !== '').join(', ');
}

function where({ where: { criticalPath, components, classes, humanMsPerRequest } }: Analysis): string[] {
  const kinds = analysisPathKinds.filter((kind) => criticalPath[kind] > 0).sort((a, b) => criticalPath[b] - criticalPath[a]);
  if (kinds.length === 0) return [];
  const [main] = classes;
  const rows = components
    .slice(0, mostRows)
    .map((row) => [
      `  ${row.name}`,
      row.kind,
      ms(row.criticalMsPerRequest),
      ms(row.selfMsPerRequest),
      row.visitsPerRequest.toFixed(row.visitsPerRequest < 10 ? 2 : 0),
    ]);
  return [
    pc.bold(`Where time goes${main ? `: ${main.name}, p50 ${ms(main.p50Ms)}, p95 ${ms(main.p95Ms)}` : ''}`),
    `  ${kinds.map((kind) => `${pathTitles[kind]} ${share(criticalPath[kind])}`).join(', ')}`,
    ...(humanMsPerRequest > 0 ? [`  waits for people, kept apart: ${ms(humanMsPerRequest)} per request`] : []),
    table([['  component', 'kind', 'critical', 'own time', 'turns'], ...rows], [2, 3, 4]),
    ...more(components.length - mostRows, 'components'),
  ];
}

function money({ where: { money: lines } }: Analysis): string[] {
  if (lines.length === 0) return [];
  const rows = lines.map((line) => [`  ${line.name}`, line.usdPer1000 === null ? 'no price' : range(line.usdPer1000, usd), line.amount]);
  return [pc.bold('Where money goes, per 1000 requests'), table(rows, [1])];
}

function room({ layout }: Analysis): string[] {
  const rows = [
    ...layout.latency.slice(0, 4).map((each) => [`  p50 of ${each.requestClass}`, range(each.savingShare, share), `of ${ms(each.nowMs)}`]),
    ...(layout.compute
      ? [['  what processes cost', range(layout.compute.savingShare, share), `${layout.compute.processesNow} processes now`]]
      : []),
    ...(layout.cost
      ? [['  everything priced', range(layout.cost.savingShare, share), layout.cost.unpriced ? 'something has no price' : '']]
      : []),
  ];
  return rows.length > 0 ? [table(rows, [1])] : [];
}

function changeLines(change: Analysis['changes'][number], index: number): string[] {
  const saves = [
    `latency ${saved(change.latencySavingShare, share)} (${saved(change.latencySavingMs, ms)})`,
    `processes’ cost ${saved(change.computeSavingShare, share)}${change.usdPer1000Saving === null ? '' : ` (${saved(change.usdPer1000Saving, usd)} per 1000)`}`,
  ];
  return [`  ${index + 1}. ${change.title}`, `     ${saves.join(', ')}${change.who === 'you' ? '; by the owners of the code' : ''}`];
}
