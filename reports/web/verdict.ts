import type { Comparison } from '../../compiler/contracts/index.ts';
import { change, ms, percent, usd } from '../format.ts';
import type { Report } from '../report.ts';
import { html, type Markup } from './markup.ts';

const titles = {
  better: 'Better',
  'keep-baseline': 'Keep what you have',
  inconclusive: 'Inconclusive',
  'nothing-measured': 'Nothing could be measured',
} as const;

/** First screen: the finding, how sure it is, where the numbers come from, and how to apply it. */
export function verdictSection(report: Report): Markup {
  const { verdict } = report;
  // A number and its unit stay on one line.
  const [finding, serving] = verdict.sentence.replaceAll(' %', '\u00a0%').split(/ (?=What to change in serving: )/);
  const badge = verdict.kind === 'nothing-measured' ? 'failed' : verdict.kind === 'keep-baseline' ? 'same' : verdict.kind;
  return html`
<section class="verdict ${verdict.kind}" id="verdict">
  <span class="badge ${badge}">${titles[verdict.kind]}</span>
  <span class="badge plain" title="The weakest source of the numbers below">${verdict.provenance}</span>
  ${report.state !== 'completed' && html`<span class="badge inconclusive">${report.state}</span>`}
  <h1>${finding}</h1>
  ${serving && html`<p class="lead">${serving}</p>`}
  ${report.stateDetail && html`<p class="note">${report.stateDetail}</p>`}
  ${verdict.kind === 'better' && html`<pre class="apply"><code>${verdict.apply}</code></pre>`}
</section>`;
}

/** Each metric of the winner against the references, with interval and verdict. */
export function comparisonSection(report: Report): Markup {
  const { comparisons } = report.verdict;
  const label = (id: string) => report.trials.find((trial) => trial.configurationId === id)?.label ?? id;
  if (comparisons.length === 0) {
    return html`<h2 id="comparison">Baseline against best</h2><p class="note">No comparison was made: ${report.stateDetail ?? 'nothing was left to compare with the baseline'}.</p>`;
  }
  const challenger = comparisons[0]?.challengerConfigurationId ?? '';
  return html`
<h2 id="comparison">${challenger === report.verdict.winnerId ? 'Baseline against best' : 'The nearest challenger'}</h2>
<p class="note">What ${label(challenger)} changes. Ratios come from blocks run next to each other under the same requests (pairs). A difference inside ${percent(report.objective.margin)} counts as the same; an interval that allows both answers is inconclusive.</p>
<div class="scroll"><table>
<thead><tr><th>Metric</th><th>Against</th><th class="n">There</th><th class="n">${label(challenger)}</th><th class="n">Change</th><th class="n">Interval</th><th class="n">Pairs</th><th>Verdict</th></tr></thead>
<tbody>${comparisons.map(
    (comparison) => html`<tr>
<td>${metricTitle(comparison)}</td><td>${label(comparison.baselineConfigurationId)}</td>
<td class="n">${show(comparison, comparison.baseline)}</td><td class="n">${show(comparison, comparison.challenger)}</td>
<td class="n">${change(comparison.ratio.point)}</td><td class="n">${comparison.pairs < 2 ? '–' : html`${change(comparison.ratio.low)} … ${change(comparison.ratio.high)}`}</td>
<td class="n">${comparison.pairs}${comparison.excludedBlocks > 0 && html` <small>${comparison.excludedBlocks} excluded</small>`}</td>
<td title="${comparison.reason}"><span class="badge ${comparison.verdict}">${comparison.verdict}</span></td></tr>`,
  )}</tbody></table></div>`;
}

const metricNames: { readonly [metric: string]: string } = {
  cost: 'Cost per 1000 requests',
  cpu: 'CPU per request',
  requestsPerCpuSecond: 'Requests per CPU-second',
  grants: 'Rights of all units and services',
  throughput: 'Throughput',
  errorRate: 'Error rate',
  completion: 'Completion',
};

export function metricTitle(comparison: { readonly metric: string; readonly requestClass?: string | null }): string {
  const [family = '', quantile] = comparison.metric.split('.');
  const families: { readonly [family: string]: string } = {
    latency: 'Latency',
    elapsed: 'Time to the answer, people included,',
    firstToken: 'Time to first token',
    gap: 'Gap between tokens',
  };
  const title = quantile !== undefined && families[family] ? `${families[family]} ${quantile}` : (metricNames[family] ?? comparison.metric);
  return comparison.requestClass ? `${title}, ${comparison.requestClass}` : title;
}

/** The bound of a limit, in the unit of its metric. */
export function limitText(metric: string, value: number): string {
  const [family = ''] = metric.split('.');
  if (['latency', 'elapsed', 'firstToken', 'gap'].includes(family)) return ms(value);
  if (['errorRate', 'completion'].includes(family)) return percent(value, value < 0.1 ? 1 : 0);
  return family === 'cost' ? usd(value) : String(value);
}

function show(comparison: Comparison, value: number): string {
  switch (comparison.unit) {
    case 'ms':
      return ms(value);
    case 'usd':
      return usd(value);
    case 'share':
      return percent(value, 2);
    default:
      return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
  }
}
