import type { LoadHistogram } from '../../../compiler/contracts/index.ts';
import { type Counter, type CumulativeHistogram, counters, type EngineFacts, type HistogramName, histogramNames } from './reading.ts';

/** What a pool has counted since the watch began. Null: none of its engines says. */
export interface Totals {
  readonly counters: { readonly [counter in Counter]: number | null };
  readonly histograms: { readonly [histogram in HistogramName]: CumulativeHistogram | null };
}

export const noTotals: Totals = {
  counters: { tokensIn: null, tokensCached: null, tokensOut: null, preemptions: null },
  histograms: { timeToFirstTokenMs: null, timePerOutputTokenMs: null, queueMs: null, prefillMs: null, decodeMs: null },
};

/**
 * What one engine added between two readings. An engine that counts from zero again was restarted in between: what it
 * counts now is all there is of it. `before` null: it started under our eyes, and everything counts.
 */
export function added(before: EngineFacts | null, now: EngineFacts): Totals {
  const since = (then: number | null | undefined, value: number) => (typeof then === 'number' && value >= then ? value - then : value);
  return {
    counters: mapNames(counters, (name) => {
      const value = now.counters[name];
      return value === null ? null : since(before?.counters[name], value);
    }),
    histograms: mapNames(histogramNames, (name) => {
      const value = now.histograms[name];
      const then = before?.histograms[name] ?? null;
      if (value === null || then === null || !sameBounds(value, then)) return value;
      const fell = value.counts.some((count, index) => count < (then.counts[index] ?? 0));
      return fell ? value : combine(value, then, -1);
    }),
  };
}

/** Sums; a histogram with other bounds than the rest is left out, because nothing could be read off the sum. */
export function plus(a: Totals, b: Totals): Totals {
  return {
    counters: mapNames(counters, (name) => {
      const [x, y] = [a.counters[name], b.counters[name]];
      return x === null ? y : y === null ? x : x + y;
    }),
    histograms: mapNames(histogramNames, (name) => {
      const [x, y] = [a.histograms[name], b.histograms[name]];
      if (x === null || y === null) return x ?? y;
      return sameBounds(x, y) ? combine(x, y, 1) : x;
    }),
  };
}

/** The histogram of what came between two sums of the same pool. */
export function between(before: CumulativeHistogram | null, after: CumulativeHistogram | null): LoadHistogram | null {
  if (after === null) return null;
  const { boundsMs, counts, sumMs } = before !== null && sameBounds(before, after) ? combine(after, before, -1) : after;
  return { boundsMs, counts: counts.map((count, index) => count - (index === 0 ? 0 : (counts[index - 1] ?? 0))), sumMs };
}

const combine = (a: CumulativeHistogram, b: CumulativeHistogram, sign: 1 | -1): CumulativeHistogram => ({
  boundsMs: a.boundsMs,
  counts: a.counts.map((count, index) => count + sign * (b.counts[index] ?? 0)),
  sumMs: a.sumMs + sign * b.sumMs,
});

const sameBounds = (a: CumulativeHistogram, b: CumulativeHistogram): boolean =>
  a.boundsMs.length === b.boundsMs.length && a.boundsMs.every((bound, index) => bound === b.boundsMs[index]);

const mapNames = <Name extends string, Value>(names: readonly Name[], value: (name: Name) => Value) =>
  Object.fromEntries(names.map((name) => [name, value(name)])) as { readonly [name in Name]: Value };
