import { performance } from 'node:perf_hooks';
import { CallError } from '../../compiler/contracts/call-errors.ts';
import type { Cancellation } from './cancellation.ts';

/** A place at a component: taken now, or in the bounded queue. */
export interface Pass {
  /** Undefined when the slot is held already. Rejects when the request ends before its turn comes. */
  readonly ready: Promise<void> | undefined;
  /** Ends the turn; once. */
  release(): void;
  /** Milliseconds waited in the queue; valid once ready. */
  queueMs(): number;
}

interface Waiter {
  readonly grant: () => void;
  gone: boolean;
}

/**
 * The concurrency limit of one component in this process, and the queue before it. The limit belongs to the component:
 * it is the same for callers in this process and for remote ones.
 */
export class Slots {
  readonly component: string;
  readonly limit: number;
  readonly queueLimit: number;
  #inUse = 0;
  #waiting = 0;
  #queue: Waiter[] = [];
  #head = 0;

  constructor(component: string, limit: number, queueLimit: number) {
    this.component = component;
    this.limit = limit;
    this.queueLimit = queueLimit;
  }

  get inUse(): number {
    return this.#inUse;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Takes a slot or a place in the queue. A re-entrant call (the component is among its own ancestors) gets a slot beyond
   * the limit: an ancestor holds one until this call returns, so waiting could last for ever. An admitted one was taken
   * by a bounded queue before this one and is not turned away.
   *
   * @throws CallError `overloaded` when the queue is full.
   */
  enter(cancellation: Cancellation, reentrant: boolean, admitted = false): Pass {
    if (reentrant || this.#inUse < this.limit) {
      this.#inUse++;
      return { ready: undefined, release: this.#releaser(), queueMs: zero };
    }
    if (!admitted && this.#waiting >= this.queueLimit) {
      throw new CallError({
        code: 'overloaded',
        message: `the queue of ${this.component} is full (${this.queueLimit} waiting)`,
        component: this.component,
        neverStarted: true,
      });
    }
    return this.#wait(cancellation);
  }

  #wait(cancellation: Cancellation): Pass {
    const since = performance.now();
    let waitedMs = 0;
    let held = false;
    const release = this.#releaser();
    this.#waiting++;
    const ready = new Promise<void>((resolve, reject) => {
      const waiter: Waiter = {
        gone: false,
        grant: () => {
          off();
          held = true;
          waitedMs = performance.now() - since;
          resolve();
        },
      };
      this.#queue.push(waiter);
      const off = cancellation.onAbort((error) => {
        waiter.gone = true;
        this.#waiting--;
        reject(new CallError({ ...error.value, component: this.component, neverStarted: true }));
      });
    });
    return { ready, release: () => (held ? release() : undefined), queueMs: () => waitedMs };
  }

  #releaser(): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#next();
    };
  }

  /** Hands a freed slot to the first who still waits. */
  #next(): void {
    // Re-entrant turns may stand above the limit; the slot is given on only when it is below again.
    this.#inUse--;
    while (this.#inUse < this.limit && this.#head < this.#queue.length) {
      const waiter = this.#queue[this.#head++];
      if (waiter === undefined || waiter.gone) continue;
      this.#inUse++;
      this.#waiting--;
      waiter.grant();
    }
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
  }
}

const zero = () => 0;
