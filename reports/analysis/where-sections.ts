import { type Analysis, analysisPathKinds } from '../analysis.ts';
import { count, ms, percent, usd } from '../format.ts';
import { html, type Markup } from '../web/markup.ts';
import { range, share } from './numbers.ts';
import { pathTitles } from './words.ts';

/** Colours of the report for kinds that it has not. */
const colour = { working: 'working', tool: 'tool', model: 'model', external: 'ingress', communication: 'communication' } as const;
const mostRows = 40;

/** Where time, money and tokens of a request go. */
export function whereSections({ where }: Analysis): Markup {
  return html`
<h2 id="where">Where time goes</h2>
${
  where.classes.length === 0
    ? html`<p class="note">No request was seen from its beginning.</p>`
    : html`<p class="note">What a user waits for, along the critical paths of all whole traces${where.humanMsPerRequest > 0 && html`; waits for people, ${ms(where.humanMsPerRequest)} per request, are kept apart`}.</p>
${pathBar(where)}
<div class="grid two" style="margin-top:16px">${classCard(where)}${componentCard(where)}</div>`
}
<h2 id="money">Where money goes</h2>
${where.money.length === 0 ? html`<p class="note">Nothing that costs money was seen: no model call and no process.</p>` : moneyCard(where)}
${where.models.length === 0 ? html`<p class="note">No model call was recognized, so no tokens are counted.</p>` : modelCard(where)}`;
}

function pathBar({ criticalPath }: Analysis['where']): Markup {
  const shares = analysisPathKinds.map((kind) => ({ kind, share: criticalPath[kind] })).filter((each) => each.share > 0);
  if (shares.length === 0) return html`<p class="note">No whole trace, so no critical path.</p>`;
  return html`<div class="bar" role="img" aria-label="${shares.map((each) => `${pathTitles[each.kind]} ${percent(each.share)}`).join(', ')}">${shares.map((each) => html`<span class="kind-${colour[each.kind]}" style="flex:${each.share}"></span>`)}</div>
<div class="legend">${shares.map((each) => html`<span><i class="kind-${colour[each.kind]}"></i>${pathTitles[each.kind]} ${share(each.share)}</span>`)}</div>`;
}

function classCard({ classes, commonPaths }: Analysis['where']): Markup {
  return html`<div class="card scroll"><h3>Requests</h3><table>
<thead><tr><th>Request</th><th class="n">Traced</th><th class="n">p50</th><th class="n">p95</th><th class="n">Failed</th></tr></thead>
<tbody>${classes.slice(0, mostRows).map((each) => html`<tr><td>${each.name}</td><td class="n">${each.requests}</td><td class="n">${ms(each.p50Ms)}</td><td class="n">${ms(each.p95Ms)}</td><td class="n">${share(each.errorShare)}</td></tr>`)}</tbody></table>
${commonPaths.length > 0 && html`<h3 style="margin-top:16px">Most frequent critical paths</h3><ul class="plain">${commonPaths.map((each) => html`<li>${each.path} <span class="note">${percent(each.share)}</span></li>`)}</ul>`}</div>`;
}

function componentCard({ components }: Analysis['where']): Markup {
  return html`<div class="card scroll"><h3>Agents, tools and services, per request</h3><table>
<thead><tr><th data-sort>Component</th><th class="n" data-sort>Critical</th><th class="n" data-sort>Own time</th><th class="n" data-sort>Turns</th><th class="n">CPU</th></tr></thead>
<tbody>${components.slice(0, mostRows).map(
    (
      row,
    ) => html`<tr><td>${row.name}<small>${row.kind}${row.errorShare > 0 && html`, ${share(row.errorShare)} failed`}</small></td><td class="n" data-value="${row.criticalMsPerRequest}">${ms(row.criticalMsPerRequest)}</td>
<td class="n" data-value="${row.selfMsPerRequest}">${ms(row.selfMsPerRequest)}</td><td class="n" data-value="${row.visitsPerRequest}">${count(row.visitsPerRequest)}</td><td class="n">${row.cpuMsPerRequest === null ? '–' : row.cpuMsPerRequest.low === row.cpuMsPerRequest.high ? ms(row.cpuMsPerRequest.high) : `≤ ${ms(row.cpuMsPerRequest.high)}`}</td></tr>`,
  )}</tbody></table>${components.length > mostRows && html`<p class="note">${components.length - mostRows} more are in analysis.json.</p>`}</div>`;
}

function moneyCard({ money }: Analysis['where']): Markup {
  return html`<div class="card scroll"><table>
<thead><tr><th>What</th><th class="n">Per 1000 requests</th><th>Counted</th><th>Moves with the layout</th></tr></thead>
<tbody>${money.map((line) => html`<tr><td>${line.name}<small>${line.kind}</small></td><td class="n">${line.usdPer1000 === null ? 'no price' : range(line.usdPer1000, usd)}</td><td>${line.amount}</td><td>${line.dependsOnLayout ? 'yes' : 'no'}</td></tr>`)}</tbody></table></div>`;
}

function modelCard({ models }: Analysis['where']): Markup {
  const tokens = (value: number | null) => (value === null ? '–' : count(value));
  return html`<div class="card scroll" style="margin-top:16px"><h3>Model calls, per request</h3><table>
<thead><tr><th data-sort>Agent</th><th>Model</th><th class="n" data-sort>Calls</th><th class="n">p50 of a call</th><th class="n" data-sort>Time</th><th class="n">Tokens in</th><th class="n">cached</th><th class="n">sent again</th><th class="n">Tokens out</th><th class="n">Per 1000</th></tr></thead>
<tbody>${models.slice(0, mostRows).map(
    (
      row,
    ) => html`<tr><td>${row.agent}</td><td>${row.model}</td><td class="n" data-value="${row.callsPerRequest}">${count(row.callsPerRequest)}</td><td class="n">${ms(row.latencyMsP50)}</td><td class="n" data-value="${row.msPerRequest}">${ms(row.msPerRequest)}</td>
<td class="n">${tokens(row.tokensInPerRequest)}</td><td class="n">${tokens(row.tokensCachedPerRequest)}</td><td class="n">${row.repeatedShare === null ? '–' : percent(row.repeatedShare)}</td><td class="n">${tokens(row.tokensOutPerRequest)}</td><td class="n">${row.usdPer1000 === null ? 'no price' : usd(row.usdPer1000)}</td></tr>`,
  )}</tbody></table></div>`;
}
