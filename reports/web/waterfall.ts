import { ms } from '../format.ts';
import type { Report, Waterfall } from '../report.ts';
import { html, type Markup } from './markup.ts';

const kinds = ['working', 'tool', 'model', 'communication', 'queueing', 'ingress'] as const;
const mostRows = 120;

/** One typical request, span by span, under the old and the new layout on the same time scale. */
export function waterfallSection({ waterfalls }: Report): Markup {
  const { before, after } = waterfalls;
  if (!before && !after) return html`<h2 id="waterfall">One request</h2><p class="note">No traced request to show.</p>`;
  const scaleMs = Math.max(before?.totalMs ?? 0, after?.totalMs ?? 0);
  return html`
<h2 id="waterfall">One request, before and after</h2>
<p class="note">A request of typical latency under each layout, on one time scale. Full colour is the critical path: making anything else faster would not make this request faster.</p>
<div class="legend">${kinds.map((kind) => html`<span><i class="kind-${kind}"></i>${kind}</span>`)}</div>
<div class="grid two" style="margin-top:10px">${before && waterfallCard('Before', before, scaleMs)}${after && waterfallCard('After', after, scaleMs)}</div>`;
}

/** One request as rows on a time scale. */
export function waterfallCard(title: string, waterfall: Waterfall, scaleMs: number): Markup {
  const rows = waterfall.rows.slice(0, mostRows);
  return html`<div class="card"><h3>${title}: ${ms(waterfall.totalMs)}, class ${waterfall.requestClass}</h3><div class="waterfall">${rows.map(
    (row) => {
      const left = (100 * row.startMs) / scaleMs;
      const width = Math.max(0.2, (100 * row.durationMs) / scaleMs);
      return html`<div class="row ${row.critical ? 'critical' : ''}" title="${row.lane} · ${row.label} · ${ms(row.durationMs)} from ${ms(row.startMs)}${row.detail === '' ? '' : ` · ${row.detail}`}"><div class="label" style="padding-left:${Math.min(row.depth, 12) * 9}px">${row.label} <span class="lane">${ms(row.durationMs)}</span></div><div class="track"><i class="kind-${row.kind}" style="left:${left.toFixed(2)}%;width:${Math.min(width, 100 - left).toFixed(2)}%"></i></div></div>`;
    },
  )}</div>${waterfall.rows.length > mostRows && html`<p class="note">${waterfall.rows.length - mostRows} more spans are in the trace file.</p>`}</div>`;
}
