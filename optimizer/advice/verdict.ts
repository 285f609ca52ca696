import type { Analysis, AnalysisPathKind, AnalysisVerdict, Range } from '../../reports/analysis.ts';
import { listed, ms, msRange, percent, percentRange, usdRange } from './words.ts';

const pathWords: { readonly [kind in AnalysisPathKind]: string } = {
  model: 'model calls',
  working: 'own work of agents and services',
  tool: 'tools',
  external: 'databases and services of others',
  communication: 'hops between processes',
};

/** The whole answer, first line of everything. */
export function verdictOf(analysis: Omit<Analysis, 'verdict'>, marginShare: number, inputs: readonly string[]): AnalysisVerdict {
  const next = `dmas-opt import ${inputs.map(quoted).join(' ')}`;
  const { layout, changes, where } = analysis;
  const verdict = (kind: AnalysisVerdict['kind'], sentence: string, detail: readonly string[] = []): AnalysisVerdict => ({
    kind,
    sentence,
    detail: detail.filter((part) => part !== '').join(' '),
    marginShare,
    next,
  });
  if (layout.nothing !== null) {
    return verdict('nothing-to-say', layout.judged ? 'No layout would change anything.' : 'Nothing can be said of the layout.', [
      layout.nothing,
    ]);
  }
  const main = [...layout.latency].sort((a, b) => shareOf(b.requestClass) - shareOf(a.requestClass))[0];
  const latency: Range = main?.savingShare ?? { low: 0, high: 0 };
  const cost: Range = layout.cost?.savingShare ?? layout.compute?.savingShare ?? { low: 0, high: 0 };
  const basis = layout.cost ? 'cost' : 'what the processes cost';
  const [kind, share] = largest(where.criticalPath);
  const rest = kind === null ? '' : `${percent(share)} of the time is ${pathWords[kind]}.`;
  const unpriced = where.money.filter((line) => line.usdPer1000 === null && line.kind === 'tokens').map(({ name }) => name);
  const unknown =
    unpriced.length > 0 ? `Tokens of ${listed(unpriced)} have no price here (--model-price ${quoted(`${unpriced[0]}=in/out`)}).` : '';
  const times = main ? `${msRange(main.savingMs)} of ${ms(main.nowMs)}` : '';
  const dollars = layout.cost ? `${usdRange(layout.cost.savingUsdPer1000)} per 1000 requests` : '';
  const amounts = [times, dollars].filter((part) => part !== '').join(', and ');
  const meaning = amounts === '' ? '' : `That is ${amounts}.`;
  if (latency.high <= marginShare && cost.high <= marginShare)
    return verdict(
      'not-worth-it',
      `Not worth it: no layout could save more than ${ceiling(latency.high)} of latency or ${ceiling(cost.high)} of ${basis}.`,
      [rest, unknown],
    );
  const room = `${percentRange(latency)} of latency and ${percentRange(cost)} of ${basis}`;
  const first = changes[0] ? `First${changes[0].who === 'you' ? ', by the owners of the code' : ''}: ${lower(changes[0].title)}.` : '';
  if (latency.low > marginShare || cost.low > marginShare)
    return verdict('worth-trying', `Worth trying: another layout could save ${room}.`, [meaning, first, rest, unknown]);
  return verdict('maybe', `Perhaps: another layout could save ${room}.`, [
    meaning,
    'Traces alone cannot say it closer; a run can.',
    rest,
    unknown,
  ]);

  function shareOf(name: string): number {
    return where.classes.find((each) => each.name === name)?.share ?? 0;
  }
}

function largest(shares: { readonly [kind in AnalysisPathKind]: number }): readonly [AnalysisPathKind | null, number] {
  let best: readonly [AnalysisPathKind | null, number] = [null, 0];
  for (const [kind, share] of Object.entries(shares)) if (share > best[1]) best = [kind as AnalysisPathKind, share];
  return best;
}

/** An upper end that does not round to nothing. */
const ceiling = (share: number) => percent(share > 0 ? Math.max(share, 0.001) : 0);
const lower = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);
const quoted = (text: string) => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
