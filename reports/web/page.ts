import { change, usd } from '../format.ts';
import type { Report } from '../report.ts';
import { chartSection } from './chart.ts';
import { layoutSection } from './layouts.ts';
import { html, type Markup, raw } from './markup.ts';
import { modelsSection } from './models.ts';
import { script } from './script.ts';
import { style } from './style.ts';
import { trialSection } from './trials.ts';
import { comparisonSection, limitText, metricTitle, verdictSection } from './verdict.ts';
import { waterfallSection } from './waterfall.ts';
import { headroomSection, whereSection } from './where.ts';

/** The report as one self-contained page: it loads nothing, so it opens from disk with the network off. */
export function page(report: Report): string {
  const body: Markup = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>${report.scenario.name}: dmas-opt report</title><style>${raw(style)}</style></head>
<body>
<header class="top"><span><strong>${report.scenario.name}</strong> · ${new Date(report.startedAtMs).toISOString().slice(0, 16).replace('T', ' ')} UTC · ${Math.round((report.endedAtMs - report.startedAtMs) / 1000)} s on ${report.scenario.target}</span><button id="theme" type="button">Theme</button></header>
<main>
${verdictSection(report)}
${headroomSection(report)}
${comparisonSection(report)}
${layoutSection(report)}
${chartSection(report)}
${whereSection(report)}
${modelsSection(report)}
${waterfallSection(report)}
${trialSection(report)}
${aboutSection(report)}
</main>
<script>${raw(script.replaceAll('</script', '<\\/script'))}</script>
</body></html>
`;
  return body.html;
}

/** What a doubter asks: warnings, goals, machine, prices, and what each word about sources means. */
function aboutSection(report: Report): Markup {
  const { machine, objective } = report;
  return html`
<h2 id="trust">How far to trust this</h2>
${
  report.warnings.length > 0
    ? html`<ul class="plain">${report.warnings.map((warning) => html`<li><strong>${warning.message}</strong> <span class="note">${warning.advice}</span></li>`)}</ul>`
    : html`<p class="note">No warnings.</p>`
}
<div class="grid two" style="margin-top:12px">
<div class="card"><h3>What was asked</h3><ul class="plain"><li>Minimize ${objective.minimize.map((metric) => metricTitle({ metric })).join(', then ')}</li>${objective.slo.map(
    (limit) =>
      html`<li>${metricTitle(limit)}${limit.max !== null && html` at most ${limitText(limit.metric, limit.max)}`}${limit.min !== null && html` at least ${limitText(limit.metric, limit.min)}`}</li>`,
  )}<li>Seed ${report.scenario.seed}; the same seed gives the same requests to every layout</li><li>Latency counts from the moment a request was meant to be sent</li></ul></div>
<div class="card"><h3>Where and with what</h3><ul class="plain"><li>${machine.cores} cores (${machine.cpuModel}), ${Math.round(machine.memoryMb / 1024)} GB, ${machine.platform}, Node ${machine.node}</li>
<li>Prices: ${report.prices.source}; vCPU ${usd(report.prices.vcpuHourUsd)}/h, memory ${usd(report.prices.memoryGbHourUsd)}/GB h. Cost is what a layout allocates, not what it uses</li>
${report.tracingOverhead && html`<li>The fully traced block of the baseline: p50 ${change(report.tracingOverhead.p50Ratio)}, CPU per request ${change(report.tracingOverhead.cpuRatio)} against its blocks at verdict sampling (one block, not paired, and the first of fresh processes: warming up is in it)</li>`}
<li><em>measured</em>: real peers; <em>replayed</em>: from a recording; <em>simulated</em>: a simulated model answered; <em>modelled</em>: computed, nothing ran</li></ul></div>
</div>
<footer>dmas-opt ${report.toolVersion} · run ${report.studyId} · scenario ${report.scenario.sha256.slice(0, 12)} · the data behind this page is report.json beside it</footer>`;
}
