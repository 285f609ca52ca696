import type { Analysis, LayoutChange, Range } from '../analysis.ts';
import { ms, usd } from '../format.ts';
import { html, type Markup } from '../web/markup.ts';
import { range, saved, share } from './numbers.ts';

/** Where in 0 to 100 % an interval lies. */
function bar({ low, high }: Range, title: string): Markup {
  const [from, to] = [Math.max(0, Math.min(1, low)), Math.max(0, Math.min(1, high))];
  return html`<div class="range" role="img" aria-label="${title}"><i style="left:${(from * 100).toFixed(1)}%;width:${Math.max(0.5, (to - from) * 100).toFixed(1)}%"></i></div>`;
}

/** What any layout could change at all. */
export function roomSection({ layout, where }: Analysis): Markup {
  if (layout.nothing !== null) return html`<h2 id="room">What a layout could change</h2><p class="note">${layout.nothing}</p>`;
  const { compute, cost } = layout;
  const classes = layout.latency.slice(0, 4);
  return html`
<h2 id="room">What a layout could change at all</h2>
<p class="note">What the best of all layouts would save lies in these intervals. Nothing was deployed. <span class="badge plain">modelled</span></p>
<div class="grid three">
${classes.map(
  (each) =>
    html`<div class="card"><h3>p50, ${each.requestClass}</h3><div class="big">${range(each.savingShare, share)}</div>${bar(each.savingShare, `saves ${range(each.savingShare, share)}`)}<div class="note">${range(each.savingMs, ms)} of ${ms(each.nowMs)}</div></div>`,
)}
${
  compute &&
  html`<div class="card"><h3>What the processes cost</h3><div class="big">${range(compute.savingShare, share)}</div>${bar(compute.savingShare, `saves ${range(compute.savingShare, share)}`)}<div class="note">${compute.processesNow} processes now, not below ${compute.processesThen.low}</div></div>`
}
${
  cost &&
  html`<div class="card"><h3>Everything that was priced</h3><div class="big">${range(cost.savingShare, share)}</div>${bar(cost.savingShare, `saves ${range(cost.savingShare, share)}`)}<div class="note">${range(cost.nowUsdPer1000, usd)} per 1000 requests now${cost.unpriced && html`; something has no price, so its share may be smaller`}</div></div>`
}
</div>
${layout.latency.length > classes.length && html`<p class="note">${layout.latency.length - classes.length} more kinds of requests are in analysis.json.</p>`}
${where.humanMsPerRequest > 0 && html`<p class="note">Waits for people (${ms(where.humanMsPerRequest)} per request) are in none of these.</p>`}`;
}

export function changesSection({ changes, layout }: Analysis): Markup {
  if (layout.nothing !== null) return html``;
  if (changes.length === 0)
    return html`<h2 id="changes">Changes</h2><p class="note">No change of layout saves anything that these traces could show.</p>`;
  return html`
<h2 id="changes">The best ${changes.length === 1 ? 'change' : `${changes.length} changes`}</h2>
<p class="note">Each against what runs today, best first; they are alternatives, their savings do not add up. <span class="badge plain">modelled</span></p>
<ol class="changes">${changes.map(changeCard)}</ol>`;
}

function changeCard(change: LayoutChange, index: number): Markup {
  return html`<li class="card"><h3>${index + 1}. ${change.title}</h3>
<dl class="facts"><div><dt>latency (p50)</dt><dd>${saved(change.latencySavingShare, share)}</dd></div><div><dt>per request</dt><dd>${saved(change.latencySavingMs, ms)}</dd></div>
<div><dt>processes’ cost</dt><dd>${saved(change.computeSavingShare, share)}</dd></div>${change.usdPer1000Saving && html`<div><dt>per 1000 requests</dt><dd>${saved(change.usdPer1000Saving, usd)}</dd></div>`}<div><dt>by</dt><dd>${change.who === 'dmas-opt' ? 'dmas-opt can try it' : 'the owners of the code'}</dd></div></dl>
<div class="note">${change.why}</div>${change.risk && html`<div class="note" style="margin-top:6px">${change.risk}</div>`}</li>`;
}

export function findingsSection({ notLayout }: Analysis): Markup {
  if (notLayout.length === 0)
    return html`<h2 id="not-layout">What is not a matter of layout</h2><p class="note">Nothing stands out: no slow model call, repeated context, serial chain, error or fan-out above 3 %.</p>`;
  return html`
<h2 id="not-layout">What is not a matter of layout</h2>
<p class="note">What costs time, tokens or answers wherever it runs. Shares are of latency along the critical path, or of all input tokens.</p>
<div class="card scroll"><table>
<thead><tr><th>What</th><th class="n" data-sort>Latency</th><th class="n" data-sort>Tokens</th></tr></thead>
<tbody>${notLayout.map(
    (finding) =>
      html`<tr><td><strong>${finding.title}</strong><small>${finding.detail}</small></td><td class="n" data-value="${finding.latencyShare ?? 0}">${finding.latencyShare === null ? '–' : share(finding.latencyShare)}</td><td class="n" data-value="${finding.tokensShare ?? 0}">${finding.tokensShare === null ? '–' : share(finding.tokensShare)}</td></tr>`,
  )}</tbody></table></div>`;
}
