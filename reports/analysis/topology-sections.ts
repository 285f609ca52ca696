import type { Analysis } from '../analysis.ts';
import { bytes, count, ms } from '../format.ts';
import { html, type Markup } from '../web/markup.ts';
import { share } from './numbers.ts';

const mostRows = 60;

/** Who there is, what may move, and who calls whom. */
export function topologySection({ topology }: Analysis): Markup {
  const { components, edges } = topology;
  return html`
<h2 id="topology">What was seen</h2>
<div class="grid two">
<div class="card scroll"><h3>${components.length} components</h3><table>
<thead><tr><th data-sort>Component</th><th class="n" data-sort>Processes</th><th data-sort>May</th></tr></thead>
<tbody>${components
    .slice(0, mostRows)
    .map(
      (row) =>
        html`<tr><td>${row.name}<small>${row.kind}${row.services.length > 0 && row.services[0] !== row.name && html` in ${row.services.join(', ')}`}${row.holds.length > 0 && html`; with ${row.holds.slice(0, 6).join(', ')}${row.holds.length > 6 && html` and ${row.holds.length - 6} more`}`}</small></td><td class="n" data-value="${row.instances}">${row.instances === 0 ? '–' : row.instances}</td><td>${row.mobility}<small>${row.reason}</small></td></tr>`,
    )}</tbody></table>${components.length > mostRows && html`<p class="note">${components.length - mostRows} more are in analysis.json.</p>`}</div>
<div class="card scroll"><h3>${edges.length} edges, per request</h3>${
    edges.length === 0
      ? html`<p class="note">No call between two components was seen.</p>`
      : html`<table>
<thead><tr><th data-sort>From → to</th><th class="n" data-sort>Calls</th><th class="n" data-sort>p50</th><th class="n" data-sort>of it hop</th><th class="n" data-sort>Bytes</th><th class="n">Failed</th></tr></thead>
<tbody>${edges.slice(0, mostRows).map(
          (
            row,
          ) => html`<tr><td>${row.from} → ${row.to}<small>${row.protocol}${row.async && html`, not waited for`}</small></td><td class="n" data-value="${row.callsPerRequest}">${count(row.callsPerRequest)}</td><td class="n" data-value="${row.latencyMsP50}">${ms(row.latencyMsP50)}</td>
<td class="n" data-value="${row.hopMsP50 ?? ''}">${row.hopMsP50 === null ? '–' : ms(row.hopMsP50)}</td><td class="n" data-value="${row.bytesPerRequest ?? ''}">${row.bytesPerRequest === null ? '–' : bytes(row.bytesPerRequest)}</td><td class="n">${share(row.errorShare)}</td></tr>`,
        )}</tbody></table>${edges.length > mostRows && html`<p class="note">${edges.length - mostRows} more are in analysis.json.</p>`}`
  }</div>
</div>`;
}
