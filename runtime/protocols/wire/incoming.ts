import { type CallError, toCallError } from '../../../compiler/contracts/index.ts';
import type { CallHandler, IncomingCall } from '../protocol.ts';
import { deadlineError } from './errors.ts';
import { maxRemainingMs } from './meta.ts';

export interface ServedCall {
  /** Settles once: with the handler's result, or with what ended the call before it. Rejects with a CallError. */
  readonly result: Promise<unknown>;
  /** The caller is gone: aborts the handler's signal and settles the result. Does nothing once settled. */
  cancel(error: CallError): void;
}

/** Runs a handler under the deadline of the call. The deadline answers the caller even when the handler ignores its signal. */
export function serveCall(handler: CallHandler, call: Omit<IncomingCall, 'signal'>, emit: (chunk: unknown) => void): ServedCall {
  // Made when it is first looked at: a signal is dear, and many handlers are done before anybody asks.
  let controller: AbortController | undefined;
  let stopped: CallError | undefined;
  let open = true;
  let stop: (error: CallError) => void = () => {};
  const result = new Promise<unknown>((resolve, reject) => {
    stop = (error) => {
      if (!open) return;
      open = false;
      clearTimeout(timer);
      stopped = error;
      controller?.abort(error);
      reject(error);
    };
    const timer = setTimeout(() => stop(deadlineError(call.target)), Math.min(Math.max(call.meta.remainingMs, 0), maxRemainingMs));
    const finish = (settle: () => void) => {
      if (!open) return;
      open = false;
      clearTimeout(timer);
      settle();
    };
    const emitWhileOpen = (chunk: unknown) => {
      // A handler may not know the pattern; chunks of what is no stream go nowhere.
      if (open && call.pattern === 'stream') emit(chunk);
    };
    const fail = (error: unknown) => finish(() => reject(toCallError(error, call.target)));
    const { target, pattern, body, meta, wire } = call;
    const incoming: IncomingCall = {
      target,
      pattern,
      body,
      meta,
      wire,
      get signal() {
        controller ??= new AbortController();
        if (stopped !== undefined && !controller.signal.aborted) controller.abort(stopped);
        return controller.signal;
      },
    };
    try {
      handler(incoming, emitWhileOpen).then((output) => finish(() => resolve(output)), fail);
    } catch (error) {
      fail(error);
    }
  });
  return { result, cancel: stop };
}

/** Counts what is in flight on a listener so that it can drain. */
export class InFlight {
  draining = false;
  #count = 0;
  #idle: (() => void) | undefined;

  begin(): void {
    this.#count += 1;
  }

  end(): void {
    this.#count -= 1;
    if (this.#count === 0) this.#idle?.();
  }

  /** Resolves when nothing is in flight or after `drainMs`. True when nothing was left. */
  async drain(drainMs: number): Promise<boolean> {
    this.draining = true;
    if (this.#count === 0) return true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(drainMs, maxRemainingMs));
      this.#idle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    return this.#count === 0;
  }
}
