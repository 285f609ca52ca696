import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { crispPath } from '../../../../profiler/analyze/foreign/path.ts';
import { identityOf } from '../../../../profiler/analyze/foreign/tree.ts';
import { sharedData, treesOf } from './fixture.ts';

const folder = sharedData('jaeger');

/** Pieces as [service, operation, from, to], in microseconds from the start of the root. */
type Piece = readonly [string, string, number, number];

/**
 * Decided by hand from the times in each file. The definition: a span waits for the child that returned last by its end, then
 * for the one that returned last before that one started, and so on; what lies between is its own. Who overflows is cut, who
 * is outside is left out, and an overlap of at most 1 % of the parent is drift of clocks. Errors do not change who was waited for.
 */
const cases: { readonly [file: string]: readonly Piece[] } = {
  // One span.
  'crisp-01': [['S1', 'O1', 0, 100]],
  // B takes exactly as long as A, so A only waited.
  'crisp-03': [['S2', 'O2', 0, 100]],
  // Three calls one after another; A works before, between and behind them.
  'crisp-05': [
    ['S1', 'O1', 0, 10],
    ['S2', 'O2', 10, 30],
    ['S1', 'O1', 30, 40],
    ['S2', 'O2', 40, 50],
    ['S1', 'O1', 50, 60],
    ['S2', 'O2', 60, 90],
    ['S1', 'O1', 90, 100],
  ],
  // B ends at 110, A at 100: B overflows and counts until A's end, with C within it.
  'crisp-07': [
    ['S1', 'O1', 0, 10],
    ['S2', 'O2', 10, 40],
    ['S3', 'O3', 40, 50],
    ['S2', 'O2', 50, 100],
  ],
  // B starts at 110, when A is over: nobody waited for it, nor for its child C.
  'crisp-09': [
    ['S1', 'O1', 0, 60],
    ['S4', 'O4', 60, 90],
    ['S1', 'O1', 90, 100],
  ],
  // B failed, and A waited for it all the same.
  'crisp-11': [
    ['S1', 'O1', 0, 30],
    ['S2', 'O2', 30, 60],
    ['S1', 'O1', 60, 100],
  ],
  // C (25 to 45) and D (30 to 50) ran at once; B went on when D came back. C was under way when D started, so it is not on it.
  'crisp-13': [
    ['S1', 'O1', 0, 10],
    ['S2', 'O2', 10, 30],
    ['S4', 'O4', 30, 50],
    ['S2', 'O2', 50, 70],
    ['S1', 'O1', 70, 100],
  ],
  // Six calls one after another, five of which failed in different words; the last ends with A.
  'crisp-15': [
    ['S1', 'O1', 0, 10],
    ['S2', 'O2', 10, 20],
    ['S1', 'O1', 20, 25],
    ['S3', 'O2', 25, 35],
    ['S1', 'O1', 35, 40],
    ['S4', 'O2', 40, 50],
    ['S1', 'O1', 50, 55],
    ['S5', 'O2', 55, 65],
    ['S1', 'O1', 65, 70],
    ['S6', 'O2', 70, 80],
    ['S1', 'O1', 80, 85],
    ['S7', 'O3', 85, 100],
  ],
  // B with C in it, then D; nothing overlaps.
  'crisp-17': [
    ['S1', 'O1', 0, 20],
    ['S2', 'O2', 20, 30],
    ['S3', 'O3', 30, 50],
    ['S2', 'O2', 50, 70],
    ['S1', 'O1', 70, 80],
    ['S4', 'O4', 80, 90],
    ['S1', 'O1', 90, 100],
  ],
  // B (10 to 210), C (205 to 305), D (300 to 600): each overlaps the next by 5 of 600, which is within 1 % (6), so they ran one
  // after another by clocks that drift. The overlapped time is the later one's. The file's own answer gives B 200, C 100 and
  // D 300 and nothing to A: it counts the overlaps twice and A's first 10 not at all, so that the sum is 600, too.
  'crisp-19': [
    ['S1', 'O1', 0, 10],
    ['S2', 'O2', 10, 205],
    ['S3', 'O3', 205, 300],
    ['S4', 'O4', 300, 600],
  ],
  // The same times; only who failed differs.
  'crisp-21': [
    ['S1', 'O1', 0, 10],
    ['S2', 'O2', 10, 205],
    ['S3', 'O3', 205, 300],
    ['S4', 'O4', 300, 600],
  ],
  // Two tries, each with three calls one after another, the third of which ends with the try.
  'crisp-23': [
    ['S1', 'O1', 0, 50],
    ['S2', 'O2', 50, 100],
    ['S3', 'O3', 100, 150],
    ['S2', 'O2', 150, 200],
    ['S3', 'O3', 200, 250],
    ['S2', 'O2', 250, 300],
    ['S3', 'O3', 300, 350],
    ['S1', 'O1', 350, 400],
    ['S2', 'O2', 400, 450],
    ['S3', 'O3', 450, 500],
    ['S2', 'O2', 500, 550],
    ['S3', 'O3', 550, 600],
    ['S2', 'O2', 600, 650],
    ['S3', 'O3', 650, 700],
  ],
};
/** The same times as 23; there the second try itself failed and its calls did not. */
const all = { ...cases, 'crisp-25': cases['crisp-23'] ?? [] };

/** What the files' authors expect as time on the path by service and operation, where it is not as above: see crisp-19. */
const countsTwice = new Set(['crisp-19', 'crisp-21']);

describe.skipIf(folder === null)('the critical paths of CRISP, decided by hand (needs shared/data beside the checkout)', () => {
  it.each(Object.entries(all))('%s', async (file, expected) => {
    const [tree, ...others] = await treesOf(join(folder ?? '', `${file}.json`));
    expect(others).toEqual([]);
    if (!tree) throw new Error('no trace');
    const us = (ms: number) => Math.round((ms - tree.root.startMs) * 1000);
    const found = crispPath(tree.root).map(({ node, startMs, endMs }) => [
      identityOf(node.span.resource).service,
      node.span.label.name,
      us(startMs),
      us(endMs),
    ]);
    expect(found).toEqual(expected);
  });

  it.each(Object.entries(all).filter(([file]) => !countsTwice.has(file)))('%s sums to what its authors expect', async (file, expected) => {
    const { readFile } = await import('node:fs/promises');
    const { testing } = JSON.parse(await readFile(join(folder ?? '', `${file}.json`), 'utf8'));
    const authors: { [operation: string]: number } = Array.isArray(testing) ? testing[0] : testing.opTimeExclusive;
    const sums: { [operation: string]: number } = {};
    for (const [service, operation, from, to] of expected) {
      const key = `[${service}] ${operation}`;
      sums[key] = (sums[key] ?? 0) + to - from;
    }
    expect(sums).toEqual(Object.fromEntries(Object.entries(authors).filter(([, time]) => time > 0)));
  });
});
