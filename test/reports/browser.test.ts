import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { page as renderPage } from '../../reports/web/page.ts';
import { worstContrast } from './contrast.ts';
import { sampleReport } from './sample-report.ts';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));
if (!executablePath) process.stderr.write('browser tests are skipped: no Chromium is installed\n');

describe.skipIf(!executablePath)('the page in a browser', () => {
  let browser: Browser;
  let folder: string;
  let address: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dmas-opt-page-'));
    const file = join(folder, 'report.html');
    await writeFile(file, renderPage(sampleReport));
    address = `file://${file}`;
    browser = await chromium.launch({
      executablePath: executablePath as string,
      args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update'],
    });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function open(width: number, colorScheme: 'light' | 'dark'): Promise<{ page: Page; complaints: string[] }> {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme, offline: true });
    const page = await context.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('request', (request) => request.url() !== address && complaints.push(`request to ${request.url()}`));
    await page.goto(address);
    return { page, complaints };
  }

  it.each([
    [1280, 'light'],
    [768, 'dark'],
    [390, 'light'],
  ] as const)('opens from disk with the network off at %d px, %s, without a complaint or sideways scrolling', async (width, scheme) => {
    const { page, complaints } = await open(width, scheme);
    expect(await page.locator('h1').textContent()).toContain('Put travel');
    expect(await page.evaluate('document.documentElement.scrollWidth - window.innerWidth')).toBeLessThanOrEqual(0);
    expect(complaints).toEqual([]);
  });

  it('follows the system theme and lets the reader change it', async () => {
    const { page } = await open(1280, 'dark');
    const theme = () => page.evaluate("document.documentElement.getAttribute('data-theme')");
    expect(await theme()).toBe('dark');
    await page.click('#theme');
    expect(await theme()).toBe('light');
  });

  it('sorts the trial table by value, not by text', async () => {
    const { page } = await open(1280, 'light');
    await page.click('#trials ~ .card th:has-text("Cost/1000")');
    const first = page.locator('#trials ~ .card >> nth=0').locator('tbody tr').first();
    expect(await first.textContent()).toContain('all in one');
  });

  it('draws what the models did in the width there is', async () => {
    for (const width of [390, 768, 1280]) {
      const { page } = await open(width, 'light');
      const pool = page.locator('section.pool');
      expect(await pool.locator('figure').count()).toBe(3);
      const wide = await page.evaluate(
        "(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.querySelector('section.pool'))",
      );
      expect(wide).toBeLessThanOrEqual(0);
      // The waiting is shared out to the last agent.
      expect(await pool.locator('tbody tr').count()).toBe(2);
    }
  });

  it('has readable contrast in both themes', async () => {
    for (const scheme of ['light', 'dark'] as const) {
      const { page } = await open(1280, scheme);
      const ratio = (await page.evaluate(worstContrast)) as number;
      // WCAG 2.2, 1.4.3: 4.5 to 1 for text.
      expect(ratio).toBeGreaterThanOrEqual(4.5);
    }
  });
});
