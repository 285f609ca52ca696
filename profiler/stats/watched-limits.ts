import { type Buckets, bucketStartMs, type ClassTally, failuresOf, quantileAtMostMs, type Tally } from '../../compiler/contracts/index.ts';
import { atLeast, atMost, highestShare } from './binomial.ts';
import type { Limit } from './limits.ts';

/** What the counts of live traffic say of one limit, for one request class. */
export interface WatchedLimit {
  readonly limit: Limit;
  readonly requestClass: string | null;
  /** Requests that say something about it. */
  readonly requests: number;
  /** Milliseconds or a share; null without requests. Times are the upper end of a bucket, so at most 4.4 % too long. */
  readonly value: number | null;
  /** `unseen`: these counts say nothing of this metric at all. */
  readonly verdict: 'held' | 'broken' | 'undecided' | 'unseen';
}

const level = 0.05;

/**
 * Judges limits by counts alone. A limit on a percentile is one on the share of requests beyond it, so each is an exact
 * binomial test: held when at most 5 % of systems that break it would look this good, broken when at most `alpha` of
 * those that keep it would look this bad. What neither says is undecided, and too few requests always are.
 */
export function judgeLimits(limits: readonly Limit[], tally: Tally, alpha = level): readonly WatchedLimit[] {
  return limits.flatMap((limit) => {
    const classes = limit.class === undefined ? Object.entries(tally.classes) : [[limit.class, tally.classes[limit.class]] as const];
    if (classes.length === 0) return [{ ...emptyOf(limit, null), verdict: verdictWithout(limit) }];
    return classes.map(([name, counts]) =>
      counts === undefined ? { ...emptyOf(limit, name), verdict: verdictWithout(limit) } : judge(limit, name, counts, alpha),
    );
  });
}

const emptyOf = (limit: Limit, requestClass: string | null) => ({ limit, requestClass, requests: 0, value: null });
const verdictWithout = (limit: Limit) => (isSeen(limit) ? 'undecided' : 'unseen');
const percentile = /^(latency|firstToken)\.p(50|90|95|99)$/;
const isSeen = ({ metric, max, min }: Limit): boolean =>
  metric === 'errorRate' ? max !== undefined : metric === 'completion' ? min !== undefined : percentile.test(metric) && max !== undefined;

function judge(limit: Limit, requestClass: string, counts: ClassTally, alpha: number): WatchedLimit {
  const { metric, max, min } = limit;
  if (!isSeen(limit)) return { ...emptyOf(limit, requestClass), verdict: 'unseen' };
  if (metric === 'errorRate' || metric === 'completion') {
    const failures = failuresOf(counts);
    const requests = total(counts.latency) + failures;
    const share = metric === 'errorRate' ? (max ?? 1) : 1 - (min ?? 0);
    const value = requests === 0 ? null : metric === 'errorRate' ? failures / requests : 1 - failures / requests;
    return { limit, requestClass, requests, value, verdict: verdictOf(failures, failures, requests, share, alpha) };
  }
  const [, what, which] = percentile.exec(metric) ?? [];
  const buckets = what === 'latency' ? counts.latency : counts.firstChunk;
  const share = Number(which) / 100;
  const requests = total(buckets);
  const { surely, maybe } = beyond(buckets, max ?? 0);
  const value = quantileAtMostMs(buckets, share);
  return { limit, requestClass, requests, value, verdict: verdictOf(surely, maybe, requests, 1 - share, alpha) };
}

/** `surely` of `requests` were beyond the limit, `maybe` may have been. */
function verdictOf(surely: number, maybe: number, requests: number, share: number, alpha: number): WatchedLimit['verdict'] {
  if (requests === 0) return 'undecided';
  if (surely / requests > share && atLeast(surely, requests, share) <= alpha) return 'broken';
  return atMost(maybe, requests, share) <= level ? 'held' : 'undecided';
}

/** Counts of the bucket that holds the limit may lie on either side of it. */
function beyond(buckets: Buckets, limitMs: number): { readonly surely: number; readonly maybe: number } {
  let surely = 0;
  let maybe = 0;
  for (const [bucket, count] of Object.entries(buckets)) {
    if (bucketStartMs(Number(bucket)) >= limitMs) surely += count;
    if (bucketStartMs(Number(bucket) + 1) > limitMs) maybe += count;
  }
  return { surely, maybe };
}

const total = (buckets: Buckets) => Object.values(buckets).reduce((sum, count) => sum + count, 0);

/** Where nothing was known before, an application of which most requests fail is broken. */
const unknownShare = 0.5;

/**
 * The limit on errors of a scenario that names none: no more than before. The share that what was seen until now leaves
 * possible; with too little to say anything, half.
 */
export function errorsAsBefore(before: Tally): Limit {
  const counts = Object.values(before.classes);
  const failures = counts.reduce((sum, each) => sum + failuresOf(each), 0);
  const requests = counts.reduce((sum, each) => sum + total(each.latency), failures);
  return { metric: 'errorRate', max: Math.min(unknownShare, highestShare(failures, requests, level)) };
}
