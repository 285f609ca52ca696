import type { Estimate } from '../../compiler/contracts/index.ts';
import { hasInterval, ms, usd, withInterval } from '../format.ts';
import type { Report, ReportTrial } from '../report.ts';
import { html, type Markup, raw } from './markup.ts';

const width = 720;
const height = 360;
const margin = { left: 74, right: 24, top: 16, bottom: 46 };

/** Round steps for about five ticks from zero (1, 2, 5 × 10ⁿ). */
export function ticks(max: number): number[] {
  if (!(max > 0)) return [0, 1];
  const rough = max / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? rough;
  return Array.from({ length: Math.ceil(max / step) + 1 }, (_, index) => index * step);
}

/** Cost against p95 with intervals; shape says the role, hollow says a limit is broken. Read as a table below it too. */
export function chartSection(report: Report): Markup {
  const trials = report.trials.filter((trial) => trial.usdPer1000 && trial.p95Ms);
  if (trials.length === 0) return html`<h2 id="chart">Cost and latency</h2><p class="note">No layout has a valid measurement yet.</p>`;
  const xs = ticks(extent(trials.map((trial) => trial.usdPer1000)));
  const ys = ticks(extent(trials.map((trial) => trial.p95Ms)));
  const x = (value: number) => margin.left + (value / (xs.at(-1) ?? 1)) * (width - margin.left - margin.right);
  const y = (value: number) => height - margin.bottom - (value / (ys.at(-1) ?? 1)) * (height - margin.top - margin.bottom);
  const slo = report.objective.slo.find((limit) => limit.metric === 'latency.p95' && limit.max !== null)?.max ?? null;
  const front = report.front.flatMap((id) => trials.find((trial) => trial.configurationId === id) ?? []);
  const n = (value: number) => value.toFixed(1);
  return html`
<h2 id="chart">Cost and latency</h2>
<p class="note">Every layout that ran, with 95 % intervals; down and left is better. ${slo !== null && html`The dashed line is the limit of ${ms(slo)}. `}The line joins the layouts nothing else beats in both.</p>
<div class="card scroll"><svg viewBox="0 0 ${width} ${height}" width="${width}" style="min-width:460px" role="img" aria-label="Cost per 1000 requests against p95 latency of every layout">
${xs.map((tick) => raw(`<line class="axis" x1="${n(x(tick))}" x2="${n(x(tick))}" y1="${margin.top}" y2="${height - margin.bottom}"/><text class="soft" text-anchor="middle" x="${n(x(tick))}" y="${height - margin.bottom + 17}">${usd(tick)}</text>`))}
${ys.map((tick) => raw(`<line class="axis" y1="${n(y(tick))}" y2="${n(y(tick))}" x1="${margin.left}" x2="${width - margin.right}"/><text class="soft" text-anchor="end" x="${margin.left - 8}" y="${n(y(tick) + 4)}">${ms(tick)}</text>`))}
<text class="soft" text-anchor="middle" x="${(margin.left + width - margin.right) / 2}" y="${height - 8}">cost per 1000 requests</text>
<text class="soft" text-anchor="middle" transform="translate(14 ${(margin.top + height - margin.bottom) / 2}) rotate(-90)">p95 latency</text>
${slo !== null && slo <= (ys.at(-1) ?? 0) && raw(`<line stroke="var(--bad)" stroke-dasharray="5 4" x1="${margin.left}" x2="${width - margin.right}" y1="${n(y(slo))}" y2="${n(y(slo))}"/>`)}
${front.length > 1 && raw(`<polyline fill="none" stroke="var(--soft)" stroke-width="1.5" points="${front.map((trial) => `${n(x(trial.usdPer1000?.point ?? 0))},${n(y(trial.p95Ms?.point ?? 0))}`).join(' ')}"/>`)}
${trials.map((trial) => point(trial, x, y))}
</svg>
<div class="legend"><span>■ baseline</span><span>▲ all in one</span><span>▼ one per agent</span><span>● searched</span><span style="color:var(--good)">green: chosen</span><span>hollow: breaks a limit</span></div></div>`;
}

/** Room for every point and its interval; a very wide interval is cut at the edge rather than flattening all others. */
function extent(estimates: readonly (Estimate | null)[]): number {
  const given = estimates.filter((estimate) => estimate !== null);
  const points = Math.max(...given.map((estimate) => estimate.point));
  const ends = Math.max(...given.map((estimate) => (hasInterval(estimate) ? estimate.high : estimate.point)));
  return Math.min(ends, points * 1.6) * 1.06;
}

function point(trial: ReportTrial, x: (value: number) => number, y: (value: number) => number): Markup {
  const { usdPer1000, p95Ms } = trial;
  if (!usdPer1000 || !p95Ms) return raw('');
  const [cx, cy] = [x(usdPer1000.point), y(p95Ms.point)];
  const colour = trial.roles.includes('winner') ? 'var(--good)' : 'var(--accent)';
  const broken = trial.slo.some((limit) => limit.holds === false);
  const shapes: { readonly [role: string]: string } = {
    baseline: 'M-6,-6h12v12h-12z',
    'all-in-one': 'M0,-7L7,6H-7z',
    'one-per-agent': 'M0,7L7,-6H-7z',
  };
  const path = shapes[trial.roles.find((role) => shapes[role]) ?? ''] ?? 'M-6,0a6,6 0 1 0 12,0a6,6 0 1 0 -12,0';
  const n = (value: number) => value.toFixed(1);
  const across = hasInterval(usdPer1000)
    ? `M${n(x(usdPer1000.low))},${n(cy)}H${n(Math.min(width - margin.right, x(usdPer1000.high)))}`
    : '';
  const along = hasInterval(p95Ms) ? `M${n(cx)},${n(y(p95Ms.low))}V${n(Math.max(margin.top, y(p95Ms.high)))}` : '';
  const bars = `<path stroke="${colour}" stroke-width="1.5" d="${across}${along}"/>`;
  const mark = `<path d="${path}" transform="translate(${n(cx)} ${n(cy)})" stroke="${colour}" stroke-width="2" fill="${broken ? 'var(--panel)' : colour}"/>`;
  return html`<g data-trial="${trial.configurationId}" tabindex="0"><title>${trial.label}: ${withInterval(usdPer1000, usd)} per 1000, p95 ${withInterval(p95Ms, ms)}</title>${raw(bars + mark)}<text x="${n(cx + 10)}" y="${n(cy - 8)}">${trial.label}</text></g>`;
}
