import { describe, expect, it } from 'vitest';
import type { Report } from '../../reports/report.ts';
import { htmlView } from '../../reports/views/html.ts';
import { jsonView } from '../../reports/views/json.ts';
import { markdownView } from '../../reports/views/markdown.ts';
import { ticks } from '../../reports/web/chart.ts';
import { html, raw } from '../../reports/web/markup.ts';
import { sampleReport } from './sample-report.ts';

const hostile = '<script>alert(1)</script>"\'&';
const render = async (report: Report) => (await htmlView.load()).render(report)[0]?.content ?? '';

describe('html view', () => {
  it('says the verdict, the source of the numbers and how to apply them', async () => {
    const page = await render(sampleReport);
    expect(page).toContain('Put travel, weather and weather-tools in one process');
    expect(page).toContain('<span class="badge plain" title="The weakest source of the numbers below">simulated</span>');
    expect(page).toContain('node best/start.mjs');
  });

  it('says what to change in serving below the finding, and limits in their units', async () => {
    const serving = 'What to change in serving: serve main on 1 × h100 instead of 4 × h100.';
    const page = await render({ ...sampleReport, verdict: { ...sampleReport.verdict, sentence: `Cost −74.6 %. ${serving}` } });
    expect(page).toContain('<h1>Cost −74.6\u00a0%.</h1>');
    expect(page).toContain(`<p class="lead">${serving}</p>`);
    expect(page).toContain('Latency p95, trip at most 600 ms');
  });

  it('loads nothing from anywhere', async () => {
    const page = await render(sampleReport);
    expect(page).toContain("default-src 'none'");
    expect(page).not.toMatch(/(src|href)\s*=\s*["']?(https?:|\/\/)/);
    expect(page).not.toMatch(/@import|url\(/);
  });

  it('escapes whatever a user or a model named', async () => {
    const [first] = sampleReport.trials;
    if (!first) throw new Error('the sample has trials');
    const page = await render({
      ...sampleReport,
      scenario: { ...sampleReport.scenario, name: hostile },
      verdict: { ...sampleReport.verdict, sentence: hostile },
      trials: [{ ...first, label: hostile, layout: [hostile], failure: { code: 'X', message: hostile } }],
    });
    expect(page).not.toContain('<script>alert(1)');
  });

  it.each<[string, Partial<Report>]>([
    ['no trial', { trials: [], front: [] }],
    ['no traces', { whereItGoes: null, traces: null, waterfalls: { before: null, after: null } }],
    ['no headroom and no comparison', { headroom: null, verdict: { ...sampleReport.verdict, comparisons: [], kind: 'nothing-measured' } }],
    ['an interrupted run', { state: 'interrupted', stateDetail: 'stopped by Ctrl-C', search: null }],
  ])('has something to say with %s', async (_what, change) => {
    const page = await render({ ...sampleReport, ...change });
    expect(page).toContain('<h2 id="trials">');
    expect(page).not.toMatch(/undefined|NaN|\[object/);
  });
});

describe('the time people took', () => {
  const human = [{ requestClass: 'trip', answered: 40, requests: 20, pauses: 30, meanMs: 45_000, maxMs: 60_000 }];
  const sentence = 'People were asked 30 times in 20 of 40 requests of trip; they took 45.0 s per such request on average, 60.0 s at most';

  it('stands apart from latency in every view, and nowhere when nobody was asked', async () => {
    const views = [await htmlView.load(), await markdownView.load(), await jsonView.load()];
    const [page, summary, data] = views.map((view) => view.render({ ...sampleReport, human })[0]?.content ?? '');
    expect(page).toContain(sentence);
    expect(summary).toContain(sentence);
    expect(JSON.parse(data ?? '')).toMatchObject({ human });
    for (const view of views) expect(view.render(sampleReport)[0]?.content).not.toMatch(/People were asked|"human"/);
  });
});

describe('markup', () => {
  it('escapes values and leaves markup alone', () => {
    expect(html`<p title="${'"'}">${'<b>'}${raw('<b>')}${[1, null, false, '&']}</p>`.html).toBe('<p title="&quot;">&lt;b&gt;<b>1&amp;</p>');
  });
});

describe('ticks', () => {
  it.each([0.0031, 0.9, 7, 640, 12_345])('covers 0 to %d in round steps', (max) => {
    const steps = ticks(max);
    expect(steps[0]).toBe(0);
    expect(steps.at(-1)).toBeGreaterThanOrEqual(max);
    expect(steps.length).toBeLessThanOrEqual(7);
  });
});

describe('json and markdown views', () => {
  it('round-trips the report', async () => {
    const [file] = (await jsonView.load()).render(sampleReport);
    expect(JSON.parse(file?.content ?? '')).toEqual(sampleReport);
  });

  it('summarizes in a table that a cell cannot break', async () => {
    const [first] = sampleReport.trials;
    if (!first) throw new Error('the sample has trials');
    const [file] = (await markdownView.load()).render({ ...sampleReport, trials: [{ ...first, label: 'a|b' }] });
    expect(file?.content).toContain('| 0 | a\\|b |');
    expect(file?.content).toContain('_(simulated)_');
  });
});
