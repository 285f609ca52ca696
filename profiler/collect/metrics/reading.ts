import type { PoolLoad } from '../../../compiler/contracts/index.ts';
import type { MetricPage, MetricSample } from './prometheus.ts';

/** What a source says at one moment. */
export interface Reading {
  /** Null: the text says nothing of an engine. */
  readonly engine: EngineReading | null;
  readonly gpus: readonly GpuReading[];
}

export interface EngineReading {
  readonly source: Exclude<PoolLoad['source'], 'simulated'>;
  /** One per engine behind the address: data-parallel ranks, or the replicas of a pool that speaks for all of them. */
  readonly engines: readonly EngineFacts[];
}

/** Null: the engine does not say. Counters and histograms count from its start. */
export interface EngineFacts {
  readonly id: string;
  readonly running: number;
  readonly waiting: number;
  /** Share, 0 to 1. */
  readonly kvUse: number | null;
  readonly counters: { readonly [counter in Counter]: number | null };
  readonly histograms: { readonly [histogram in HistogramName]: CumulativeHistogram | null };
}

export const counters = ['tokensIn', 'tokensCached', 'tokensOut', 'preemptions'] as const;
export type Counter = (typeof counters)[number];
export const histogramNames = ['timeToFirstTokenMs', 'timePerOutputTokenMs', 'queueMs', 'prefillMs', 'decodeMs'] as const;
export type HistogramName = (typeof histogramNames)[number];

export interface CumulativeHistogram {
  /** Upper and inclusive, rising, without the infinite one. */
  readonly boundsMs: readonly number[];
  /** How many were at most that long; one more than bounds, the last is all of them. */
  readonly counts: readonly number[];
  readonly sumMs: number;
}

export interface GpuReading {
  /** Its UUID where the source says it. */
  readonly id: string;
  /** Its number on its machine. */
  readonly index: string | null;
  /** Share of the time in which something ran on it, 0 to 1. */
  readonly utilization: number | null;
  readonly memoryUsedMb: number | null;
  readonly memoryTotalMb: number | null;
  readonly powerW: number | null;
}

export const noHistograms = Object.fromEntries(histogramNames.map((name) => [name, null])) as EngineFacts['histograms'];

/** Samples of the first of some names that the page has: names change between releases, and some pages carry both. */
export function firstOf(page: MetricPage, names: readonly string[], keep: (sample: MetricSample) => boolean): readonly MetricSample[] {
  for (const name of names) {
    const found = page.samples.get(name)?.filter(keep) ?? [];
    if (found.length > 0) return found;
  }
  return [];
}

/** Sum of all samples that are numbers; null without any. */
export function sumOf(samples: readonly MetricSample[]): number | null {
  const finite = samples.filter(({ value }) => Number.isFinite(value));
  return finite.length === 0 ? null : finite.reduce((sum, { value }) => sum + value, 0);
}

/** The histogram of that name, its series summed; null where it is not there, or is none: buckets that fall, no end. */
export function histogramOf(
  page: MetricPage,
  names: readonly string[],
  keep: (sample: MetricSample) => boolean,
): CumulativeHistogram | null {
  for (const name of names) {
    const buckets = new Map<number, number>();
    for (const { labels, value } of page.samples.get(`${name}_bucket`)?.filter(keep) ?? []) {
      const bound = labels.le === '+Inf' || labels.le === 'Inf' ? Number.POSITIVE_INFINITY : Number(labels.le);
      if (Number.isNaN(bound) || !Number.isFinite(value)) return null;
      buckets.set(bound, (buckets.get(bound) ?? 0) + value);
    }
    const sum = sumOf(page.samples.get(`${name}_sum`)?.filter(keep) ?? []);
    if (buckets.size === 0 || sum === null) continue;
    const sorted = [...buckets].sort(([a], [b]) => a - b);
    const counts = sorted.map(([, count]) => count);
    const rises = counts.every((count, index) => index === 0 || count >= (counts[index - 1] ?? 0));
    if (!rises || sorted.at(-1)?.[0] !== Number.POSITIVE_INFINITY) return null;
    // Seconds on the page; rounding takes off what a factor of 1000 leaves in the last digits.
    const boundsMs = sorted.slice(0, -1).map(([bound]) => Number((bound * 1000).toPrecision(12)));
    return { boundsMs, counts, sumMs: sum * 1000 };
  }
  return null;
}
