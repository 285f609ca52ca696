/** What an organization may ask of one model, over everybody who asks. */
export interface Limits {
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  /** A quota per minute is enforced over this stretch: that much of it may be used at once. */
  readonly windowMs: number;
}

export type Admission =
  | { readonly admitted: true }
  | { readonly admitted: false; readonly limit: 'requests' | 'tokens'; readonly retryAfterMs: number };

export interface Quota {
  /** Takes one request of so many tokens at `nowMs`, or says when to come again; a refused one uses nothing up. */
  take(tokens: number, nowMs: number): Admission;
}

const msPerMinute = 60_000;

/**
 * Two token buckets. Both start full. What is larger than a bucket is let through when the bucket is full, and leaves a debt.
 */
export function createQuota({ requestsPerMinute, tokensPerMinute, windowMs }: Limits): Quota {
  const buckets = [
    { limit: 'requests' as const, perMinute: requestsPerMinute },
    { limit: 'tokens' as const, perMinute: tokensPerMinute },
  ].flatMap(({ limit, perMinute }) => (perMinute === undefined ? [] : [createBucket(limit, perMinute, windowMs)]));
  return {
    take: (tokens, nowMs) => {
      const amount = (limit: 'requests' | 'tokens') => (limit === 'requests' ? 1 : tokens);
      const waits = buckets.map((bucket) => ({ limit: bucket.limit, waitMs: bucket.waitMs(amount(bucket.limit), nowMs) }));
      const worst = waits.reduce((a, b) => (b.waitMs > a.waitMs ? b : a), {
        limit: 'requests' as const,
        waitMs: 0,
      } as (typeof waits)[number]);
      if (worst.waitMs > 0) return { admitted: false, limit: worst.limit, retryAfterMs: Math.max(1, Math.ceil(worst.waitMs)) };
      for (const bucket of buckets) bucket.take(amount(bucket.limit));
      return { admitted: true };
    },
  };
}

function createBucket(limit: 'requests' | 'tokens', perMinute: number, windowMs: number) {
  const perMs = perMinute / msPerMinute;
  const size = Math.max(1, perMs * windowMs);
  let level = size;
  let atMs = Number.NEGATIVE_INFINITY;
  return {
    limit,
    /** 0 when there is enough now. */
    waitMs: (amount: number, nowMs: number) => {
      if (nowMs > atMs) {
        level = Math.min(size, level + (Number.isFinite(atMs) ? (nowMs - atMs) * perMs : 0));
        atMs = nowMs;
      }
      const missing = Math.min(amount, size) - level;
      // Rounding of the level must not refuse what fits.
      return missing > 1e-9 ? missing / perMs : 0;
    },
    take: (amount: number) => {
      level -= amount;
    },
  };
}
