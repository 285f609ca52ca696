import type { Analysis } from '../analysis.ts';
import { count } from '../format.ts';
import { html, raw } from '../web/markup.ts';
import { script } from '../web/script.ts';
import { style } from '../web/style.ts';
import { waterfallCard } from '../web/waterfall.ts';
import { changesSection, findingsSection, roomSection } from './advice-sections.ts';
import { topologySection } from './topology-sections.ts';
import { whereSections } from './where-sections.ts';
import { verdictTitles } from './words.ts';

/** The analysis as one self-contained page that opens from disk with the network off; in the look of the report. */
export function analysisPage(analysis: Analysis): string {
  const { source, verdict } = analysis;
  const seconds = Math.max(0, source.toMs - source.fromMs) / 1000;
  const from = source.fromMs > 0 ? ` from ${new Date(source.fromMs).toISOString().slice(0, 16).replace('T', ' ')} UTC` : '';
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>What the traces say: dmas-opt analysis</title><style>${raw(style)}${raw(more)}</style></head>
<body>
<header class="top"><span><strong>What the traces say</strong> · ${source.traces} traces, ${source.spans} spans over ${count(seconds)} s${from}</span><button id="theme" type="button">Theme</button></header>
<main>
<section class="verdict ${verdict.kind === 'worth-trying' ? 'better' : verdict.kind === 'maybe' ? 'inconclusive' : ''}" id="verdict">
  <span class="badge ${verdict.kind === 'worth-trying' ? 'better' : verdict.kind === 'maybe' ? 'inconclusive' : 'same'}">${verdictTitles[verdict.kind]}</span>
  <span class="badge plain" title="Computed from the traces; nothing ran">${analysis.provenance}</span>
  <h1>${verdict.sentence}</h1>
  ${verdict.detail !== '' && html`<p>${verdict.detail}</p>`}
  <p class="note">A draft scenario from the same traces, to measure it:</p>
  <pre class="apply"><code>${verdict.next}</code></pre>
</section>
${roomSection(analysis)}
${changesSection(analysis)}
${findingsSection(analysis)}
${whereSections(analysis)}
${topologySection(analysis)}
${
  analysis.waterfall &&
  html`<h2 id="waterfall">One request</h2>
<p class="note">A whole traced request of typical latency. Full colour is the critical path: making anything else faster would not make this request faster.</p>
${waterfallCard('As traced', analysis.waterfall, analysis.waterfall.totalMs)}`
}
${trustSection(analysis)}
</main>
<script>${raw(script.replaceAll('</script', '<\\/script'))}</script>
</body></html>
`.html;
}

function trustSection({ quality, assumptions, questions, source, toolVersion }: Analysis) {
  const share = quality.unbrokenShare;
  return html`
<h2 id="trust">How far to trust this</h2>
<p class="note">Intervals are corner cases, not levels of confidence: the low end takes everything the traces leave open against a change, the high end for it.</p>
<div class="grid three">
<div class="card"><h3>Whole traces</h3><div class="big">${(share * 100).toFixed(share > 0.99 && share < 1 ? 1 : 0)} %</div><div class="note">${quality.partialTraces} partial of ${source.traces}; layouts are judged on ${source.sampledTraces}</div></div>
<div class="card"><h3>Dark components</h3><div class="big">${quality.dark.length}</div><div class="note">${quality.dark.length === 0 ? 'everything that is called sends spans, or is somebody else’s' : quality.dark.join(', ')}</div></div>
<div class="card"><h3>Clock skew repaired</h3><div class="big">${quality.skewRepaired}</div><div class="note">of ${quality.skewFound} server spans outside the call that waited for them</div></div>
</div>
${quality.notes.length > 0 && html`<ul class="plain" style="margin-top:12px">${quality.notes.map((note) => html`<li>${note}</li>`)}</ul>`}
${source.rejected.length > 0 && html`<h3 style="margin-top:16px">Not used</h3><ul class="plain">${source.rejected.map((reason) => html`<li>${reason}</li>`)}</ul>`}
${
  assumptions.length > 0 &&
  html`<div class="card scroll" style="margin-top:16px"><h3>Assumed, because the traces do not say it</h3><table>
<thead><tr><th>What</th><th>Range</th><th>Source</th><th>Instead</th></tr></thead>
<tbody>${assumptions.map((each) => html`<tr><td>${each.what}</td><td>${each.range}</td><td>${each.source}</td><td>${each.instead ?? '–'}</td></tr>`)}</tbody></table></div>`
}
${questions.length > 0 && html`<div class="card" style="margin-top:16px"><h3>What only you can answer</h3><ul class="plain">${questions.map((question) => html`<li>${question}</li>`)}</ul></div>`}
<footer>dmas-opt ${toolVersion} · ${source.inputs.join(', ')} · the data behind this page is analysis.json beside it; no content of prompts or replies is in it</footer>`;
}

/** What the report’s style does not have: bars of an interval. */
const more = `
.range { position: relative; height: 14px; background: var(--line); border-radius: 7px; margin: 8px 0 4px; overflow: hidden; } .range i { position: absolute; top: 0; bottom: 0; border-radius: 7px; background: var(--accent); min-width: 3px; }
ol.changes { list-style: none; padding: 0; margin: 12px 0 0; display: grid; gap: 16px; } ol.changes li { min-width: 0; } ol.changes h3 { color: var(--ink); font-size: 15.5px; margin-bottom: 4px; }
dl.facts { display: flex; flex-wrap: wrap; gap: 8px 28px; margin: 10px 0 6px; } dl.facts div { min-width: 0; } dl.facts dt { color: var(--soft); font-size: 12.5px; } dl.facts dd { margin: 0; font-weight: 600; font-variant-numeric: tabular-nums; }
header.top, main { overflow-wrap: anywhere; } header.top button { flex: none; overflow-wrap: normal; } table { overflow-wrap: break-word; } td { min-width: 84px; } td.n { min-width: 0; } table .note { max-width: none; }
@media (max-width: 560px) { section.verdict h1 { font-size: 18px; } }
`;
