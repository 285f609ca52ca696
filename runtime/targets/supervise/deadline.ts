import { setMaxListeners } from 'node:events';

/** Thrown as the reason of a deadline's signal when its time is over. */
export class DeadlineExceeded extends Error {
  constructor(timeoutMs: number) {
    super(`not within ${timeoutMs} ms`);
    this.name = 'DeadlineExceeded';
  }
}

interface Deadline {
  readonly signal: AbortSignal;
  /** Forgets the timer and the signals it listens to. */
  clear(): void;
}

/** Aborts when any of the signals does, or when the time is over. Node 20 may collect `AbortSignal.any`, so it is not used. */
export function deadline(timeoutMs: number, ...signals: readonly AbortSignal[]): Deadline {
  const controller = new AbortController();
  // Every replica of a deployment listens to it.
  setMaxListeners(0, controller.signal);
  const timer = setTimeout(() => controller.abort(new DeadlineExceeded(timeoutMs)), timeoutMs);
  const listeners = signals.map((signal) => {
    const abort = () => controller.abort(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    return () => signal.removeEventListener('abort', abort);
  });
  return {
    signal: controller.signal,
    clear() {
      clearTimeout(timer);
      for (const remove of listeners) remove();
    },
  };
}
