import { bytes, count, ms, percent, usd } from '../format.ts';
import type { Report } from '../report.ts';
import { html, type Markup } from './markup.ts';

const kinds = ['working', 'model', 'communication', 'queueing', 'ingress'] as const;

/** How much any layout could win, before anything was searched. */
export function headroomSection({ headroom, capacity }: Report): Markup {
  if (!headroom) return html`<h2 id="headroom">Headroom</h2><p class="note">Not computed: the baseline was never profiled.</p>`;
  return html`
<h2 id="headroom">Headroom</h2>
<p class="note">${headroom.sentence} These are bounds on what any layout could reach (no communication, no queueing, best packing), not promises. <span class="badge plain">modelled</span></p>
<div class="grid three">
${Object.entries(headroom.latency).map(
  ([requestClass, bound]) =>
    html`<div class="card"><h3>p50, ${requestClass}</h3><div class="big">${percent(bound.savingShare)}</div><div class="note">${ms(bound.baselineMs)} now, not below ${ms(bound.boundMs)}</div></div>`,
)}
<div class="card"><h3>Cost per 1000 requests</h3><div class="big">${percent(headroom.cost.savingShare)}</div><div class="note">${usd(headroom.cost.baselineUsdPer1000)} now, not below ${usd(headroom.cost.boundUsdPer1000)}</div></div>
<div class="card"><h3>Latency that is communication</h3><div class="big">${percent(headroom.communicationShare)}</div><div class="note">and ${percent(headroom.queueingShare)} queueing</div></div>
${capacity && html`<div class="card"><h3>Load against capacity</h3><div class="big">${percent(capacity.offeredShare)}</div><div class="note">${count(capacity.offeredPerSecond)} requests/s offered; the baseline takes ${count(capacity.requestsPerSecond)} from ${capacity.clients} clients that never pause</div></div>`}
</div>`;
}

/** Where a request's time, bytes, tokens and money go in the baseline. */
export function whereSection({ whereItGoes, traces }: Report): Markup {
  if (!whereItGoes) return html`<h2 id="where">Where it goes</h2><p class="note">No traces were collected.</p>`;
  const shares = kinds.map((kind) => ({ kind, share: whereItGoes.criticalPath[kind] ?? 0 }));
  return html`
<h2 id="where">Where it goes</h2>
<p class="note">The baseline’s critical path: what a user waits for, from ${traces?.requests ?? 0} traced requests${traces && traces.unbrokenShare < 1 && html` (${percent(traces.unbrokenShare, 1)} of them unbroken)`}.</p>
<div class="bar" role="img" aria-label="${shares.map(({ kind, share }) => `${kind} ${percent(share)}`).join(', ')}">${shares.map(({ kind, share }) => html`<span class="kind-${kind}" style="flex:${share}"></span>`)}</div>
<div class="legend">${shares.map(({ kind, share }) => html`<span><i class="kind-${kind}"></i>${kind} ${percent(share, share < 0.1 ? 1 : 0)}</span>`)}</div>
<div class="grid two" style="margin-top:16px">
<div class="card scroll"><h3>Agents and tool servers, per request</h3><table>
<thead><tr><th data-sort>Component</th><th class="n" data-sort>Visits</th><th class="n" data-sort>CPU</th><th class="n" data-sort>Own time</th><th class="n" data-sort>Queue</th></tr></thead>
<tbody>${[...whereItGoes.components]
    .sort((a, b) => b.selfMsPerRequest - a.selfMsPerRequest)
    .map(
      (
        row,
      ) => html`<tr><td>${row.name}</td><td class="n" data-value="${row.visitsPerRequest}">${count(row.visitsPerRequest)}</td><td class="n" data-value="${row.cpuMsPerRequest}">${ms(row.cpuMsPerRequest)}</td>
<td class="n" data-value="${row.selfMsPerRequest}">${ms(row.selfMsPerRequest)}</td><td class="n" data-value="${row.queueMsPerRequest}">${ms(row.queueMsPerRequest)}</td></tr>`,
    )}</tbody></table></div>
<div class="card scroll"><h3>Edges, per request</h3><table>
<thead><tr><th data-sort>From → to</th><th>Protocol</th><th class="n" data-sort>Calls</th><th class="n" data-sort>Bytes</th><th class="n" data-sort>Encode</th><th class="n" data-sort>Transport</th></tr></thead>
<tbody>${[...whereItGoes.edges]
    .sort((a, b) => b.serializeMsPerRequest + b.transportMsPerRequest - a.serializeMsPerRequest - a.transportMsPerRequest)
    .map(
      (
        row,
      ) => html`<tr><td>${row.from} → ${row.to}</td><td>${row.protocol}</td><td class="n" data-value="${row.callsPerRequest}">${count(row.callsPerRequest)}</td><td class="n" data-value="${row.bytesPerRequest}">${bytes(row.bytesPerRequest)}</td>
<td class="n" data-value="${row.serializeMsPerRequest}">${ms(row.serializeMsPerRequest)}</td><td class="n" data-value="${row.transportMsPerRequest}">${ms(row.transportMsPerRequest)}</td></tr>`,
    )}</tbody></table></div>
</div>
${
  whereItGoes.graphSteps !== undefined &&
  html`<div class="card scroll" style="margin-top:16px"><h3>Ways through the graph, per request</h3><table>
<thead><tr><th data-sort>From → to</th><th class="n" data-sort>Times</th><th>Known from</th></tr></thead>
<tbody>${whereItGoes.graphSteps.map(
    (row) => html`<tr><td>${row.from} → ${row.to}</td><td class="n" data-value="${row.perRequest}">${count(row.perRequest)}</td>
<td>${row.declared ? 'the graph' : 'traces alone'}</td></tr>`,
  )}</tbody></table></div>`
}
${
  whereItGoes.models.length > 0 &&
  html`<div class="card scroll" style="margin-top:16px"><h3>Models, per request</h3><table>
<thead><tr><th>Model</th><th class="n">Calls</th><th class="n">Tokens in</th><th class="n">of them cached</th><th class="n">Tokens out</th><th class="n">p50 of a call</th><th class="n">Queue</th><th class="n">Per 1000 requests</th><th>Source</th></tr></thead>
<tbody>${whereItGoes.models.map(
    (
      row,
    ) => html`<tr><td>${row.model}</td><td class="n">${count(row.callsPerRequest)}</td><td class="n">${count(row.tokensInPerRequest)}</td><td class="n">${count(row.tokensCachedPerRequest)}</td><td class="n">${count(row.tokensOutPerRequest)}</td>
<td class="n">${ms(row.latencyMsP50)}</td><td class="n">${ms(row.queueMsPerRequest)}</td><td class="n">${usd(row.usdPer1000Requests)}</td><td><span class="badge plain">${row.provenance}</span></td></tr>`,
  )}</tbody></table></div>`
}`;
}
