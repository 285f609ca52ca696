import type { ModelLimits } from '../../../compiler/contracts/index.ts';

/**
 * Quotas of a model from both sides: as a provider enforces them (`createQuota`, for replay) and as a customer keeps them
 * whatever the provider's arithmetic (`createWindows`, for the limiter).
 */
export type Quotas = Pick<ModelLimits, 'requestsPerMinute' | 'tokensPerMinute' | 'windowMs'>;

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
export function createQuota({ requestsPerMinute, tokensPerMinute, windowMs }: Quotas): Quota {
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

/** How much of a quota may be used within one window. */
function windowOf(perMinute: number, windowMs: number): { readonly perMs: number; readonly size: number } {
  const perMs = perMinute / msPerMinute;
  return { perMs, size: Math.max(1, perMs * windowMs) };
}

function createBucket(limit: 'requests' | 'tokens', perMinute: number, windowMs: number) {
  const { perMs, size } = windowOf(perMinute, windowMs);
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

/** One call as the windows count it. */
export interface Counted {
  tokens: number;
  /** From when it counts: certainly not before the provider got it. Infinity while that is not known. */
  fromMs: number;
}

export interface Windows {
  /** How long until a call of so many tokens fits: 0 when it does, Infinity when that depends on calls not yet placed. */
  waitMs(tokens: number, nowMs: number): number;
  /** Counts a call from now on; it is placed in time by its `fromMs`, which its owner may still change. */
  add(tokens: number): Counted;
  /** It was never sent. */
  remove(call: Counted): void;
}

/**
 * Windows that slide: at no time more than one window's worth lies within any window. A token bucket lets up to twice as
 * much through in one window (a full bucket, and what flows in meanwhile), so who keeps to this keeps to that as well. A
 * call that is larger than a window is let through alone and counts for as long as its tokens take to flow in.
 */
export function createWindows({ requestsPerMinute, tokensPerMinute, windowMs }: Quotas): Windows {
  const measures = [
    { perMinute: requestsPerMinute, amount: (_tokens: number) => 1 },
    { perMinute: tokensPerMinute, amount: (tokens: number) => tokens },
  ].flatMap(({ perMinute, amount }) => (perMinute === undefined ? [] : [{ ...windowOf(perMinute, windowMs), amount }]));
  const calls = new Set<Counted>();
  const leavesAt = (call: Counted) =>
    call.fromMs + measures.reduce((longest, { perMs, amount }) => Math.max(longest, amount(call.tokens) / perMs), windowMs);
  return {
    waitMs: (tokens, nowMs) => {
      const present: { readonly at: number; readonly tokens: number }[] = [];
      for (const call of calls) {
        const at = leavesAt(call);
        if (at <= nowMs) calls.delete(call);
        else present.push({ at, tokens: call.tokens });
      }
      let freeAt = nowMs;
      for (const { size, amount } of measures) {
        let missing = present.reduce((sum, call) => sum + amount(call.tokens), 0) + Math.min(amount(tokens), size) - size;
        if (missing <= 1e-9) continue;
        present.sort((a, b) => a.at - b.at);
        for (const call of present) {
          missing -= amount(call.tokens);
          freeAt = Math.max(freeAt, call.at);
          if (missing <= 1e-9) break;
        }
      }
      return freeAt - nowMs;
    },
    add: (tokens) => {
      const call = { tokens, fromMs: Number.POSITIVE_INFINITY };
      if (measures.length > 0) calls.add(call);
      return call;
    },
    remove: (call) => void calls.delete(call),
  };
}
