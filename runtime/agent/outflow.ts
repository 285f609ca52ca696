import { performance } from 'node:perf_hooks';
import type { Route } from '../../compiler/contracts/plan.ts';
import type { Cancellation } from './cancellation.ts';
import { Slots } from './slots.ts';

/**
 * Calls sent a second apart may arrive a little closer, because one of them travelled longer. The window is wider than a
 * second by this share, so that the callee sees no more than declared in any second of its own.
 */
const travelMargin = 0.05;

/**
 * Keeps this process within its share of what an external component may be given: so many calls at once, and so many in
 * any second. Callers wait their turn, first come, first served.
 */
export class Outflow {
  readonly #slots: Slots;
  readonly #perWindow: number;
  readonly #windowMs: number;
  /** When the last calls were sent, or will be; oldest first. At most `perWindow` are kept. */
  readonly #sentAt: number[] = [];

  constructor(component: string, { concurrency, perSecond }: NonNullable<Route['limits']>) {
    this.#slots = new Slots(component, concurrency, Number.POSITIVE_INFINITY);
    // Whole calls per second; below one, one call in so many seconds.
    this.#perWindow = Math.max(1, Math.floor(perSecond));
    this.#windowMs = (1 + travelMargin) * (perSecond >= 1 ? 1_000 : 1_000 / perSecond);
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
    try {
      const waitMs = this.#reserve(performance.now());
      if (waitMs > 0) await sleep(waitMs, cancellation);
    } catch (error) {
      pass.release();
      throw error;
    }
    return { waitedMs: performance.now() - cameAt, release: () => pass.release() };
  }

  /** How long to wait. A reservation that is not used is lost, which errs on the safe side; only holders of slots have one. */
  #reserve(now: number): number {
    const oldest = this.#sentAt.length >= this.#perWindow ? this.#sentAt.shift() : undefined;
    const at = oldest === undefined ? now : Math.max(now, oldest + this.#windowMs);
    this.#sentAt.push(at);
    return at - now;
  }
}

async function sleep(waitMs: number, cancellation: Cancellation): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const slept = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, waitMs);
  });
  try {
    await cancellation.race(slept);
  } finally {
    clearTimeout(timer);
  }
}
