import type { Analysis, AnalysisPathKind, AnalysisVerdict, Range } from '../../reports/analysis.ts';
import { ms, msRange, percent, percentRange, usdRange } from './words.ts';

const pathWords: { readonly [kind in AnalysisPathKind]: string } = {
  model: 'model calls',
  working: 'the agents’ own work',
  tool: 'tools',
  external: 'databases and services of others',
  communication: 'hops between processes',
};

/** The whole answer, first line of everything. */
export function verdictOf(analysis: Omit<Analysis, 'verdict'>, marginShare: number, inputs: readonly string[]): AnalysisVerdict {
  const next = `dmas-opt import ${inputs.map(quoted).join(' ')}`;
  const { layout, changes, where } = analysis;
  const verdict = (kind: AnalysisVerdict['kind'], sentence: string): AnalysisVerdict => ({ kind, sentence, marginShare, next });
  if (layout.nothing !== null) {
    const [note] = layout.latency.length === 0 && analysis.source.sampledTraces === 0 ? analysis.quality.notes : [];
    return verdict(
      'nothing-to-say',
      note !== undefined ? `Nothing can be said of the layout. ${note}` : `No layout would change anything. ${layout.nothing}`,
    );
  }
  const main = [...layout.latency].sort((a, b) => shareOf(b.requestClass) - shareOf(a.requestClass))[0];
  const latency: Range = main?.savingShare ?? { low: 0, high: 0 };
  const cost: Range = layout.cost?.savingShare ?? layout.compute?.savingShare ?? { low: 0, high: 0 };
  const [kind, share] = largest(where.criticalPath);
  const rest = kind === null ? '' : ` ${percent(share)} of the time is ${pathWords[kind]}.`;
  const times = main ? ` (${msRange(main.savingMs)} of ${ms(main.nowMs)})` : '';
  const dollars = layout.cost ? ` (${usdRange(layout.cost.savingUsdPer1000)} per 1000 requests)` : '';
  const basis = layout.cost?.unpriced ? 'what was priced' : layout.cost ? 'cost' : 'what the processes cost';
  if (latency.high <= marginShare && cost.high <= marginShare)
    return verdict(
      'not-worth-it',
      `Not worth it: no layout could save more than ${percent(latency.high)} of latency or ${percent(cost.high)} of ${basis}.${rest}`,
    );
  const room = `${percentRange(latency)} of latency${times} and ${percentRange(cost)} of ${basis}${dollars}`;
  const first = changes[0] ? ` First: ${lower(changes[0].title)}.` : '';
  if (latency.low > marginShare || cost.low > marginShare)
    return verdict('worth-trying', `Worth trying: another layout could save ${room}.${first}${rest}`);
  return verdict('maybe', `Perhaps: another layout could save ${room}; traces alone cannot say it closer, a run can.${rest}`);

  function shareOf(name: string): number {
    return where.classes.find((each) => each.name === name)?.share ?? 0;
  }
}

function largest(shares: { readonly [kind in AnalysisPathKind]: number }): readonly [AnalysisPathKind | null, number] {
  let best: readonly [AnalysisPathKind | null, number] = [null, 0];
  for (const [kind, share] of Object.entries(shares)) if (share > best[1]) best = [kind as AnalysisPathKind, share];
  return best;
}

const lower = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);
const quoted = (text: string) => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
