import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import { CallError } from '../../compiler/contracts/call-errors.ts';

/**
 * The end of a request's time: a deadline and an abort signal, shared by all turns of a request in this process.
 *
 * Listeners are kept in a set of our own behind one listener on the signal: adding and removing a listener on an
 * AbortSignal costs microseconds, and a request may pass many turns here.
 */
export class Cancellation {
  readonly #signal: AbortSignal;
  /** On the clock of `performance.now()`. */
  readonly deadlineAt: number;
  #listeners: Set<(error: CallError) => void> | undefined;
  #handedOut = false;

  constructor(signal: AbortSignal, deadlineAt: number) {
    this.#signal = signal;
    this.deadlineAt = deadlineAt;
  }

  /** For handlers and protocols, which hang listeners of their own on it. */
  get signal(): AbortSignal {
    if (!this.#handedOut) {
      this.#handedOut = true;
      // Any number of operations may hang on it; the warning is about leaks, and a request is short.
      setMaxListeners(0, this.#signal);
    }
    return this.#signal;
  }

  get aborted(): boolean {
    return this.#signal.aborted;
  }

  remainingMs(): number {
    return Math.max(0, this.deadlineAt - performance.now());
  }

  /** Calls `listener` once when the signal aborts, at once if it has. Returns how to stop listening. */
  onAbort(listener: (error: CallError) => void): () => void {
    if (this.#signal.aborted) {
      listener(this.error());
      return noop;
    }
    let listeners = this.#listeners;
    if (listeners === undefined) {
      this.#listeners = listeners = new Set();
      this.#signal.addEventListener('abort', this.#fire, { once: true });
    }
    const present = listeners;
    // A wrapper of its own, so that one function may be added twice.
    const entry = (error: CallError) => listener(error);
    present.add(entry);
    return () => void present.delete(entry);
  }

  /** Settles as `work` does, or rejects as soon as the signal aborts; `work` goes on unobserved then. */
  race<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const off = this.onAbort(reject);
      work.then(
        (value) => {
          off();
          resolve(value);
        },
        (error) => {
          off();
          reject(error);
        },
      );
    });
  }

  /** Why the work must end: the reason the aborter gave, else `deadline` when the time is up, else `cancelled`. */
  error(): CallError {
    const { reason } = this.#signal;
    if (reason instanceof CallError) return reason;
    // A timer may fire a little before the clock it is compared with.
    if (this.remainingMs() <= 2) return deadlinePassed();
    return new CallError({ code: 'cancelled', message: 'the caller went away' }, { cause: reason });
  }

  #fire = () => {
    const error = this.error();
    for (const listener of this.#listeners ?? []) listener(error);
    this.#listeners?.clear();
  };
}

/** A cancellation with an end of its own, and what ends it. `close` must be called when the work is over. */
export interface OwnedCancellation {
  readonly cancellation: Cancellation;
  abort(reason: CallError): void;
  close(): void;
}

/** Longest delay a Node timer can hold. */
const longestTimerMs = 2 ** 31 - 1;

/** A cancellation that ends after `timeoutMs`, or with its parent. */
export function ownCancellation(timeoutMs: number, parent?: Cancellation): OwnedCancellation {
  const controller = new AbortController();
  const now = performance.now();
  const deadlineAt = Math.min(now + timeoutMs, parent?.deadlineAt ?? Number.POSITIVE_INFINITY);
  const abort = (reason: CallError) => controller.abort(reason);
  // The parent's own timer covers its deadline; a second one is needed only for an earlier end.
  const ownTimer = parent === undefined || now + timeoutMs < parent.deadlineAt;
  const timer = ownTimer && timeoutMs < longestTimerMs ? setTimeout(() => abort(deadlinePassed()), Math.max(0, timeoutMs)) : undefined;
  timer?.unref();
  const off = parent?.onAbort(abort);
  const close = () => {
    if (timer !== undefined) clearTimeout(timer);
    off?.();
  };
  return { cancellation: new Cancellation(controller.signal, deadlineAt), abort, close };
}

const deadlinePassed = () => new CallError({ code: 'deadline', message: 'the deadline passed' });
const noop = () => {};
