import type { ClassResult, HumanTime, Sample } from '../../compiler/contracts/measurement.ts';
import { summarize } from '../stats/quantiles.ts';

/** One request class from its raw samples, warm-up already left out. Times of wrong or failed answers are no latencies. */
export function classResult(samples: readonly Sample[], durationMs: number): ClassResult {
  const right = samples.filter((sample) => sample.outcome === 'ok');
  const errors: { [kind: string]: number } = {};
  for (const { outcome, error } of samples) {
    if (outcome === 'ok') continue;
    const kind = error ?? outcome;
    errors[kind] = (errors[kind] ?? 0) + 1;
  }
  const n = samples.length;
  return {
    requests: n,
    ok: right.length,
    errors,
    errorRate: n === 0 ? 0 : (n - right.length) / n,
    completion: n === 0 ? 0 : right.length / n,
    throughputPerSecond: (right.length / durationMs) * 1000,
    latencyMs: summarize(right.map(latencyOf)),
    ...humanTime(right),
    firstChunkMs: summarize(right.flatMap(({ firstChunkMs, intendedMs }) => (firstChunkMs === null ? [] : [firstChunkMs - intendedMs]))),
    // The longest gap of each reply: what its reader noticed.
    gapMs: summarize(right.flatMap(({ maxGapMs }) => maxGapMs ?? [])),
  };
}

/** People's time is no latency, whether it was waited or not. */
const latencyOf = ({ doneMs, intendedMs, waitedMs = 0 }: Sample): number => doneMs - intendedMs - waitedMs;

function humanTime(right: readonly Sample[]): { readonly human?: HumanTime } {
  const paused = right.filter((sample) => sample.pauses !== undefined);
  const waitMs = summarize(paused.map((sample) => sample.humanMs ?? 0));
  const elapsedMs = summarize(right.map((sample) => latencyOf(sample) + (sample.humanMs ?? 0)));
  if (waitMs === null || elapsedMs === null) return {};
  const pauses = paused.reduce((sum, sample) => sum + (sample.pauses ?? 0), 0);
  return { human: { requests: paused.length, pauses, waitMs, elapsedMs } };
}
