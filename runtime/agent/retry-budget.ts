import { performance } from 'node:perf_hooks';

/**
 * Bounds retries to a share of calls, so that retries cannot double the load on a callee that is failing.
 *
 * A token bucket as in gRFC A6 ("gRPC Retry Design", retry throttling), with the shares of Finagle's `RetryBudget`
 * (20 % of calls, and at least 10 retries per second however few calls there are; ttl 10 s).
 */
export class RetryBudget {
  readonly #share = 0.2;
  readonly #minimumPerSecond = 10;
  readonly #most = 100;
  #tokens = 10;
  #filledAt = performance.now();

  /** A first attempt was made. */
  deposit(): void {
    this.#tokens = Math.min(this.#most, this.#tokens + this.#share);
  }

  /** Whether one retry may be made; takes it. */
  withdraw(): boolean {
    const now = performance.now();
    const refill = ((now - this.#filledAt) / 1000) * this.#minimumPerSecond;
    // The guaranteed retries are for quiet callers: they do not pile up beyond a second's worth.
    if (this.#tokens < this.#minimumPerSecond) this.#tokens = Math.min(this.#minimumPerSecond, this.#tokens + refill);
    this.#filledAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }
}
