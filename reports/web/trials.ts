import { humanSentence, interval, ms, percent, unitUsageSentence, usd } from '../format.ts';
import type { Report, ReportTrial } from '../report.ts';
import { html, type Markup } from './markup.ts';
import { metricTitle } from './verdict.ts';

/** Every layout that was deployed: what it is, what it measured, and how well it was predicted. */
export function trialSection(report: Report): Markup {
  const { search } = report;
  const certificate =
    search &&
    html` The search (${search.strategy}) evaluated ${search.evaluated} layouts and pruned ${search.pruned} of ${search.spaceSize}; the pick is ${search.optimalUnder === 'none' ? 'the best found' : `optimal under the ${search.optimalUnder}`}${search.gap > 0 && html`, proven gap ${percent(search.gap, 1)}`}.`;
  return html`
<h2 id="trials">Layouts measured</h2>
<p class="note">Medians over valid blocks with 95 % intervals. “Predicted” is the predictor’s p50 over the measured one: 1 is perfect.${certificate}</p>${(
    report.human ?? []
  ).map(
    (human) => html`
<p class="note">${humanSentence(human)}</p>`,
  )}
<div class="card scroll"><table>
<thead><tr><th data-sort class="n">#</th><th data-sort>Layout</th><th>Units</th><th class="n" data-sort>p50</th><th class="n" data-sort>p95</th><th class="n" data-sort>Cost/1000</th><th class="n" data-sort>CPU/request</th><th class="n" data-sort>Errors</th><th class="n" data-sort>Rights</th><th>Limits</th><th class="n" data-sort>Predicted</th><th class="n" data-sort>Blocks</th></tr></thead>
<tbody>${report.trials.map(row)}</tbody></table></div>
${report.trials.some(({ units }) => units !== undefined) && usageDetails(report)}<details><summary>Every block</summary><div class="card scroll"><table>
<thead><tr><th data-sort>Block</th><th data-sort>Layout</th><th data-sort>Purpose</th><th class="n" data-sort>Round</th><th data-sort>Deployment</th><th class="n">Requests</th><th class="n">p50</th><th class="n">p95</th><th>Faults and incidents</th></tr></thead>
<tbody>${report.trials.flatMap((trial) => trial.blocks.map((block) => blockRow(trial, block)))}</tbody></table></div></details>`;
}

/** What the limits of each unit did, where the target counts it. */
const usageDetails = ({ trials }: Report): Markup => html`<details><summary>Every unit’s limits and traffic</summary><div class="card">
${trials.map(({ label, units }) => units && html`<h3>${label}</h3>${units.map((unit) => html`<p class="note">${unitUsageSentence(unit)}</p>`)}`)}</div></details>
`;

function row(trial: ReportTrial): Markup {
  const valid = trial.blocks.filter((block) => block.valid).length;
  const value = (estimate: { readonly point: number } | null) => (estimate === null ? '' : String(estimate.point));
  return html`<tr data-trial="${trial.configurationId}" id="trial-${trial.configurationId}" class="${trial.roles.includes('winner') ? 'winner' : ''}">
<td class="n" data-value="${trial.number}">${trial.number}</td>
<td>${trial.label}${trial.state !== 'measured' && html` <span class="badge ${trial.state}">${trial.state === 'pending' ? 'not measured' : trial.state}</span>`}<small><code>${trial.configurationId}</code></small>${trial.failure && html`<small>${trial.failure.message}</small>`}</td>
<td class="units">${trial.layout.map((line) => html`<small>${line}</small>`)}</td>
<td class="n" data-value="${value(trial.p50Ms)}">${cell(trial.p50Ms, ms)}</td><td class="n" data-value="${value(trial.p95Ms)}">${cell(trial.p95Ms, ms)}</td>
<td class="n" data-value="${value(trial.usdPer1000)}">${cell(trial.usdPer1000, usd)}</td><td class="n" data-value="${value(trial.cpuMsPerRequest)}">${cell(trial.cpuMsPerRequest, ms)}</td>
<td class="n" data-value="${trial.errorRate ?? ''}">${percent(trial.errorRate, 1)}</td>
<td class="n" data-value="${trial.grants ?? ''}">${trial.grants ?? '–'}</td>
<td>${trial.slo.map((limit) => html`<span class="badge ${limit.holds === null ? 'pending' : limit.holds ? 'ok' : 'failed'}" title="${metricTitle(limit)}">${limit.holds === null ? '?' : limit.holds ? 'holds' : 'broken'}</span> `)}</td>
<td class="n" data-value="${trial.predictedRatio ?? ''}">${trial.predictedRatio === null ? '–' : trial.predictedRatio.toFixed(2)}</td>
<td class="n" data-value="${valid}">${valid}${valid < trial.blocks.length && html`<small>of ${trial.blocks.length}</small>`}</td></tr>`;
}

const cell = (estimate: ReportTrial['p50Ms'], show: (value: number) => string): Markup =>
  estimate === null ? html`–` : html`${show(estimate.point)}<small>${interval(estimate, show)}</small>`;

function blockRow(trial: ReportTrial, block: ReportTrial['blocks'][number]): Markup {
  const results = Object.values(block.classes);
  const main = [...results].sort((a, b) => b.requests - a.requests)[0];
  const notes = [
    ...block.faults.map((fault) => `${fault.fault}: ${fault.detail}`),
    ...block.incidents.map((incident) => `${incident.unit} ${incident.replica} ${incident.what}`),
  ];
  return html`<tr><td><code>${block.id}</code>${!block.valid && html` <span class="badge failed">excluded</span>`}</td><td>${trial.label}</td><td>${block.purpose}</td><td class="n" data-value="${block.round}">${block.round}</td><td><code>${block.deploymentId}</code></td>
<td class="n">${results.reduce((sum, result) => sum + result.requests, 0)}</td><td class="n">${ms(main?.latencyMs?.p50)}</td><td class="n">${ms(main?.latencyMs?.p95)}</td><td>${notes.map((note) => html`<small>${note}</small>`)}</td></tr>`;
}
