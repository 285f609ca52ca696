import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { analysisMarkdown } from '../../reports/analysis/markdown.ts';
import { range, saved, share } from '../../reports/analysis/numbers.ts';
import { analysisPage } from '../../reports/analysis/page.ts';
import type { Analysis } from '../../reports/analysis.ts';
import { ms } from '../../reports/format.ts';
import { analysisOfSpans } from '../optimizer/advice/analysis-of.ts';
import { agent, chat, hop, request } from '../profiler/analyze/otlp-file.ts';
import { worstContrast } from './contrast.ts';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));
if (!executablePath) process.stderr.write('browser tests are skipped: no Chromium is installed\n');

const hostile = '<script>alert(1)</script>&"\'';
const long = `agent-with-a-name-that-never-ends-${'x'.repeat(90)}`;

/** Names that hurt, many components, and a part of everything the page shows. */
const rich = (): Promise<Analysis> =>
  analysisOfSpans(
    Array.from({ length: 12 }, (_, i) =>
      request(
        agent(long, {
          at: 0,
          ms: 900 + i,
          children: [
            chat(long, 5, 300),
            chat(long, 310, 200, { in: 2500, out: 300 }),
            hop(long, 520, agent(hostile, { at: 521, ms: 40, language: null }), 12, 900_000),
            ...Array.from({ length: 8 }, (_each, k) => hop(long, 590 + 20 * k, agent(`worker-${k}`, { at: 592 + 20 * k, ms: 10 }), 6)),
          ],
        }),
      ),
    ),
  );
const empty = () => analysisOfSpans([request(agent('only', { at: 0, ms: 5 }))]);

describe('numbers of an analysis', () => {
  it('tell intervals without repeating the unit, and an end below zero as a cost', () => {
    expect(range({ low: 0.031, high: 0.12 }, share)).toBe('3.1 to 12 %');
    expect(range({ low: 0.5, high: 0.5 }, share)).toBe('50 %');
    expect(range({ low: 900, high: 12_000 }, ms)).toBe('900 ms to 12.0 s');
    expect(share(0.0001)).toBe('0 %');
    expect(saved({ low: -0.02, high: 0.3 }, share)).toBe('2.0 % more to 30 % less');
    expect(saved({ low: -0.3, high: -0.2 }, share)).toBe('20 to 30 % more');
    expect(saved({ low: 0, high: 0 }, share)).toBe('the same');
    expect(saved({ low: -0.00001, high: 0.3 }, share)).toBe('0 to 30 % less');
  });
});

describe('the summary', () => {
  it('has the answer, the changes and what to type next, and no cell that breaks the table', async () => {
    const analysis = await rich();
    const text = analysisMarkdown(analysis);
    expect(text).toContain(`**${analysis.verdict.sentence}**`);
    expect(text).toContain(`Next: \`${analysis.verdict.next}\``);
    for (const { title } of [...analysis.changes, ...analysis.notLayout]) expect(text).toContain(title);
    const rows = text.split('\n').filter((line) => line.startsWith('|'));
    expect(new Set(rows.map((line) => line.replaceAll('\\|', '').split('|').length)).size).toBe(1);
  });
});

describe('the page', () => {
  it('escapes every name', async () => {
    const page = analysisPage(await rich());
    expect(page).not.toContain(hostile);
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
  });

  it('has a sentence for everything that is missing', async () => {
    const page = analysisPage(await empty());
    for (const sentence of [
      'Only only was seen from inside',
      'No model call was recognized, so no tokens are counted.',
      'No call between two components was seen.',
    ])
      expect(page).toContain(sentence);
    expect(page.replace(/<script>[\s\S]*<\/script>/, '')).not.toMatch(/undefined|NaN|Infinity|\[object/);
  });
});

describe.skipIf(!executablePath)('the page in a browser', () => {
  let browser: Browser;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-opt-analysis-'));
    await writeFile(join(folder, 'rich.html'), analysisPage(await rich()));
    await writeFile(join(folder, 'empty.html'), analysisPage(await empty()));
    browser = await chromium.launch({
      executablePath: executablePath as string,
      args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update'],
    });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it.each([
    ['rich', 1280, 'light'],
    ['rich', 768, 'dark'],
    ['rich', 390, 'light'],
    ['empty', 390, 'dark'],
    ['empty', 1280, 'light'],
  ] as const)(
    '%s opens offline at %d px, %s, without a complaint, sideways scrolling or weak contrast',
    async (name, width, colorScheme) => {
      const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, offline: true });
      const page = await context.newPage();
      const complaints: string[] = [];
      const address = `file://${join(folder, `${name}.html`)}`;
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
      page.on('request', (asked) => asked.url() !== address && complaints.push(`request to ${asked.url()}`));
      await page.goto(address);
      expect(await page.evaluate('document.documentElement.scrollWidth - window.innerWidth')).toBeLessThanOrEqual(0);
      // What is too wide for its card scrolls inside the card.
      const outside = await page.evaluate(
        "[...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll, pre, .waterfall, svg') && e.getBoundingClientRect().right > window.innerWidth + 1).length",
      );
      expect(outside).toBe(0);
      // WCAG 2.2, 1.4.3: 4.5 to 1 for text.
      expect(await page.evaluate(worstContrast)).toBeGreaterThanOrEqual(4.5);
      expect(complaints).toEqual([]);
      await context.close();
    },
  );

  it('sorts its tables by value', async () => {
    const page = await browser.newPage();
    await page.goto(`file://${join(folder, 'rich.html')}`);
    const first = page.locator('#where ~ .grid .card:has-text("Agents, tools") tbody tr').first();
    expect(await first.textContent()).toContain(long);
    await page.click('#where ~ .grid .card:has-text("Agents, tools") th:has-text("Critical")');
    expect(await first.textContent()).not.toContain(long);
  });
});
