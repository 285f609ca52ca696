import { performance } from 'node:perf_hooks';
import type { Route } from '../../compiler/contracts/plan.ts';
import type { Cancellation } from './cancellation.ts';
import { Slots } from './slots.ts';

/**
 * Calls sent a second apart arrive closer than that when the first travelled longer: a cold connection, a busy loop. A
 * call counts from when it was answered, which is certainly after it arrived, or from this long after it was sent.
 */
const longestTravelMs = 250;

/** One call: when it was sent and when it was over, on the clock of `performance.now()`. */
interface Sent {
  /** Resolves when it is sent, or will not be. */
  readonly done: Promise<void>;
  at: number;
  endedAt: number;
}

/**
 * Keeps this process within its share of what an external component may be given: so many calls at once, and so many in
 * any second of the callee's. Callers wait their turn, first come, first served.
 */
export class Outflow {
  readonly #slots: Slots;
  readonly #perWindow: number;
  readonly #windowMs: number;
  /** The last calls, oldest first; at most `perWindow` are kept. */
  readonly #last: Sent[] = [];

  constructor(component: string, { concurrency, perSecond }: NonNullable<Route['limits']>) {
    this.#slots = new Slots(component, concurrency, Number.POSITIVE_INFINITY);
    // Whole calls per second; below one, one call in so many seconds.
    this.#perWindow = Math.max(1, Math.floor(perSecond));
    this.#windowMs = perSecond >= 1 ? 1_000 : 1_000 / perSecond;
  }

  /**
   * Resolves when a call may be sent; `release` when it is over.
   *
   * @throws CallError when the request ends before its turn comes
   */
  async enter(cancellation: Cancellation): Promise<{ readonly waitedMs: number; release(): void }> {
    const cameAt = performance.now();
    const pass = this.#slots.enter(cancellation, false);
    if (pass.ready !== undefined) await pass.ready;
    const before = this.#last.length >= this.#perWindow ? this.#last.shift() : undefined;
    let settled: () => void = () => {};
    const done = new Promise<void>((resolve) => {
      settled = resolve;
    });
    const own: Sent = { done, at: 0, endedAt: Number.POSITIVE_INFINITY };
    this.#last.push(own);
    try {
      if (before !== undefined) await this.#leave(before, cancellation);
    } catch (error) {
      pass.release();
      throw error;
    } finally {
      // One that is given up counts as sent: its place in the order is lost, which errs on the safe side.
      own.at = performance.now();
      settled();
    }
    return {
      waitedMs: own.at - cameAt,
      release: () => {
        own.endedAt = performance.now();
        pass.release();
      },
    };
  }

  /** Waits until a whole window lies behind a call. */
  async #leave(before: Sent, cancellation: Cancellation): Promise<void> {
    await cancellation.race(before.done);
    for (;;) {
      const countsFrom = Math.min(before.endedAt, before.at + longestTravelMs);
      const leftMs = countsFrom + this.#windowMs - performance.now();
      if (leftMs <= 0) return;
      // It may end meanwhile and then counts from earlier.
      const earliestMs = before.at + this.#windowMs - performance.now();
      await sleep(earliestMs > 0 && before.endedAt === Number.POSITIVE_INFINITY ? earliestMs : leftMs, cancellation);
    }
  }
}

async function sleep(waitMs: number, cancellation: Cancellation): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const slept = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, Math.ceil(waitMs));
  });
  try {
    await cancellation.race(slept);
  } finally {
    clearTimeout(timer);
  }
}
