import { count, ms, percent, usd } from '../format.ts';
import type { Report, ReportPool, SpanTimes } from '../report.ts';
import { html, type Markup, raw } from './markup.ts';

/** Load, waiting and money of each pool of models while the profile was taken. */
export function modelsSection({ models, whereItGoes }: Report): Markup {
  const head = html`<h2 id="models">Models</h2>`;
  if (!models || !whereItGoes) return html`${head}<p class="note">Not known: nothing was profiled.</p>`;
  if (models.pools.length === 0) return html`${head}<p class="note">This application called no model in any traced request.</p>`;
  const silent = models.pools.filter(({ engine }) => engine === null).map(({ model }) => model);
  return html`
${head}
<p class="note">What the servers of each model did while the profile was taken, and who waited for them. Per request means: of the application. Shaded in the charts: warm-up, and what came after. ${
    silent.length > 0 &&
    html`No server of ${[...new Set(silent)].join(', ')} told its load; a server that has a page of metrics is named under <code>models.&lt;name&gt;.metrics</code>.`
  }</p>
${models.pools.map(poolCard)}`;
}

const sources = { vllm: 'vLLM’s metrics', 'llama-cpp': 'llama.cpp’s metrics', simulated: 'the simulated engine’s metrics' } as const;

function poolCard(pool: ReportPool): Markup {
  const { perRequest, usdPer1000, engine, replicas, gpus } = pool;
  const size = [
    ...(replicas === null ? [] : [`${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`]),
    ...(gpus === null ? [] : [`${gpus.count} × ${gpus.gpu}`]),
  ].join(', ');
  const money = usdPer1000.tokens + usdPer1000.gpus;
  return html`<section class="card pool" aria-label="Pool ${pool.pool}">
<header><strong>${pool.pool}</strong>${pool.pool !== pool.model && html`<span class="note">of model ${pool.model}</span>`}<span class="note">${size}</span><span class="badge plain">${pool.provenance}</span>${
    pool.estimate &&
    html`<span class="badge inconclusive" title="No measurement stands behind the step times of its hardware profile">estimate</span>`
  }${pool.source && html`<span class="note">from ${sources[pool.source]}</span>`}</header>
<dl class="facts">
${fact('Calls per request', count(perRequest.calls))}
${fact('Tokens in', count(perRequest.tokensIn), perRequest.tokensIn > 0 ? `${percent(perRequest.tokensCached / perRequest.tokensIn)} cached` : null)}
${fact('Tokens out', count(perRequest.tokensOut))}
${fact('Waiting for it', ms(perRequest.waitMs), perRequest.queueMs > 0 ? `${ms(perRequest.queueMs)} in its queue` : null)}
${fact('Per 1000 requests', usd(money), usdPer1000.gpus > 0 ? `${usd(usdPer1000.gpus)} GPUs, ${usd(usdPer1000.tokens)} tokens` : null)}
${engine && engineFacts(engine)}
</dl>
${engine && charts(pool.pool, engine)}
${
  pool.agents.length > 0 &&
  html`<div class="scroll"><table>
<thead><tr><th data-sort>Agent</th><th class="n" data-sort>Waits for it</th><th class="n" data-sort>Share of the waiting</th><th class="n" data-sort>In the queue</th><th class="n" data-sort>Calls</th><th class="n" data-sort>Tokens in</th><th class="n" data-sort>Cached</th><th class="n" data-sort>Tokens out</th><th class="n" data-sort>Per 1000 requests</th></tr></thead>
<tbody>${[...pool.agents]
    .sort((a, b) => b.waitMs - a.waitMs)
    .map(
      (row) => html`<tr><td>${row.agent}</td><td class="n" data-value="${row.waitMs}">${ms(row.waitMs)}</td>
<td class="n" data-value="${row.waitShare}"><span class="share"><i style="width:${(row.waitShare * 100).toFixed(0)}%"></i></span>${percent(row.waitShare)}</td><td class="n" data-value="${row.queueMs}">${ms(row.queueMs)}</td>
<td class="n" data-value="${row.calls}">${count(row.calls)}</td><td class="n" data-value="${row.tokensIn}">${count(row.tokensIn)}</td><td class="n" data-value="${row.tokensCached}">${count(row.tokensCached)}</td>
<td class="n" data-value="${row.tokensOut}">${count(row.tokensOut)}</td><td class="n" data-value="${row.usdPer1000}">${usd(row.usdPer1000)}</td></tr>`,
    )}</tbody></table></div>`
}
</section>`;
}

const fact = (name: string, value: string, more: string | null = null): Markup =>
  html`<div><dt>${name}</dt><dd>${value}${more !== null && html`<small>${more}</small>`}</dd></div>`;

const spread = (times: SpanTimes): string => `95 % within ${ms(times.p95AtMost)}`;

function engineFacts(engine: NonNullable<ReportPool['engine']>): Markup {
  const timed: readonly (readonly [string, SpanTimes | null])[] = [
    ['Time to first token', engine.timeToFirstTokenMs],
    ['Queue, per call', engine.queueMs],
    ['Prefill, per call', engine.prefillMs],
    ['Decode, per call', engine.decodeMs],
    ['Per output token', engine.timePerOutputTokenMs],
  ];
  return html`${timed.map(([name, times]) => times && fact(name, ms(times.mean), spread(times)))}
${engine.preemptions !== null && fact('Preemptions', count(engine.preemptions))}
${engine.gpuUse !== null && fact('GPU busy', percent(engine.gpuUse), gpuMore(engine))}
${engine.gaps > 0 && fact('Readings that failed', count(engine.gaps))}`;
}

const gpuMore = ({ gpuMemoryMb, gpuPowerW }: NonNullable<ReportPool['engine']>): string | null => {
  const parts = [
    ...(gpuMemoryMb === null ? [] : [`${(gpuMemoryMb / 1024).toFixed(1)} GB each`]),
    ...(gpuPowerW === null ? [] : [`${gpuPowerW.toFixed(0)} W each`]),
  ];
  return parts.length === 0 ? null : parts.join(', ');
};

interface Line {
  readonly values: readonly number[];
  readonly colour: string;
  readonly filled?: boolean;
}

function charts(pool: string, engine: NonNullable<ReportPool['engine']>): Markup {
  const { series, gpuSeries, running, waiting, kvUse } = engine;
  if (series.atMs.length < 2) return html`<p class="note">Too short a block to draw its course.</p>`;
  const counted = { fromMs: engine.fromMs, toMs: engine.toMs };
  const most = Math.max(1, ...series.running, ...series.waiting);
  const seconds = `${((series.atMs.at(-1) ?? 0) / 1000).toFixed(0)} s`;
  return html`<div class="sparks">
${figure({
  title: html`<span style="color:var(--model)">running</span>, <span style="color:var(--queueing)">waiting</span>`,
  right: `at most ${count(running.max)} and ${count(waiting.max)}`,
  label: `Pool ${pool}: requests running and waiting over ${seconds}; on average ${count(running.mean)} ran and ${count(waiting.mean)} waited`,
  atMs: series.atMs,
  max: most,
  lines: [
    { values: series.waiting, colour: 'var(--queueing)', filled: true },
    { values: series.running, colour: 'var(--model)' },
  ],
  counted,
})}
${
  series.kvUse &&
  kvUse &&
  figure({
    title: html`KV cache in use`,
    right: `mean ${percent(kvUse.mean, kvUse.mean < 0.1 ? 1 : 0)}, at most ${percent(kvUse.max, kvUse.max < 0.1 ? 1 : 0)}`,
    label: `Pool ${pool}: share of the KV cache in use over ${seconds}`,
    atMs: series.atMs,
    max: 1,
    lines: [{ values: series.kvUse, colour: 'var(--working)', filled: true }],
    counted,
  })
}
${
  gpuSeries &&
  figure({
    title: html`GPU busy`,
    right: `mean ${percent(engine.gpuUse)}`,
    label: `Pool ${pool}: share of the time its GPUs were busy over ${seconds}`,
    atMs: gpuSeries.atMs,
    max: 1,
    lines: [{ values: gpuSeries.use, colour: 'var(--tool)', filled: true }],
    counted,
  })
}
</div>`;
}

const [width, height] = [280, 72];

/** A small chart that stretches to its place; the shade is what was sent before the counted stretch began. */
function figure(chart: {
  readonly title: Markup;
  readonly right: string;
  readonly label: string;
  readonly atMs: readonly number[];
  readonly max: number;
  readonly lines: readonly Line[];
  readonly counted: { readonly fromMs: number | null; readonly toMs: number | null };
}): Markup {
  const { atMs, max, lines, counted } = chart;
  const [first, last] = [atMs[0] ?? 0, atMs.at(-1) ?? 1];
  const x = (at: number) => (((at - first) / Math.max(1, last - first)) * width).toFixed(1);
  const y = (value: number) => (height - 1 - (Math.min(value, max) / max) * (height - 6)).toFixed(1);
  const shade = (fromMs: number, toMs: number) =>
    toMs > fromMs
      ? `<rect x="${x(fromMs)}" y="0" width="${Number(x(toMs)) - Number(x(fromMs))}" height="${height}" fill="var(--line)" opacity=".45"/>`
      : '';
  const drawn = lines.map(({ values, colour, filled }) => {
    const points = values.map((value, index) => `${x(atMs[index] ?? last)},${y(value)}`).join(' ');
    const area = filled ? `<polygon points="0,${height - 1} ${points} ${width},${height - 1}" fill="${colour}" opacity=".18"/>` : '';
    return `${area}<polyline points="${points}" fill="none" stroke="${colour}" stroke-width="1.6" vector-effect="non-scaling-stroke"/>`;
  });
  const shades = `${counted.fromMs === null ? '' : shade(first, counted.fromMs)}${counted.toMs === null ? '' : shade(counted.toMs, last)}`;
  return html`<figure><figcaption><span>${chart.title}</span><span>${chart.right}</span></figcaption>
<svg viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" role="img" aria-label="${chart.label}">${raw(shades)}<line class="axis" x1="0" x2="${width}" y1="${height - 1}" y2="${height - 1}"/>${raw(drawn.join(''))}</svg></figure>`;
}
