import { CallError } from '../../../compiler/contracts/index.ts';
import type { OutgoingCall } from '../protocol.ts';
import { cancelledError, deadlineError, unavailableError } from './errors.ts';
import { maxRemainingMs } from './meta.ts';

/** What an aborted signal means to the caller: the reason when it is a CallError already, else `cancelled`. */
export function abortReason(call: OutgoingCall): CallError {
  const { reason } = call.signal;
  return reason instanceof CallError ? reason : cancelledError(call.target);
}

/**
 * One listener per signal however many calls watch it: an agent that calls a dozen others at once would else have a
 * dozen listeners on its signal, which Node takes for a leak. It stays for the life of the signal.
 */
const watchers = new WeakMap<AbortSignal, Set<() => void>>();

function watchersOf(signal: AbortSignal): Set<() => void> {
  const known = watchers.get(signal);
  if (known !== undefined) return known;
  const stops = new Set<() => void>();
  watchers.set(signal, stops);
  signal.addEventListener(
    'abort',
    () => {
      for (const stop of [...stops]) stop();
    },
    { once: true },
  );
  return stops;
}

/** The calls that run on one connection, so that closing it ends them. */
export class OpenCalls {
  readonly #stops = new Set<(error: CallError) => void>();
  #closed = false;

  /** @throws CallError `unavailable` when the connection is closed. */
  add(target: string, stop: (error: CallError) => void): void {
    if (this.#closed) throw unavailableError(target, 'the connection is closed', true);
    this.#stops.add(stop);
  }

  remove(stop: (error: CallError) => void): void {
    this.#stops.delete(stop);
  }

  close(): void {
    this.#closed = true;
    for (const stop of [...this.#stops]) stop(unavailableError('the callee', 'the connection was closed', false));
  }
}

/**
 * Watches the deadline, the signal and the connection of a call: `stop` is called at most once, when one of them ends
 * it first.
 * Returns the function that ends the watch.
 * @throws CallError when the call is over before it starts.
 */
export function watchCall(call: OutgoingCall, stop: (error: CallError) => void, open: OpenCalls): () => void {
  if (call.signal.aborted) throw abortReason(call);
  const { remainingMs } = call.meta;
  if (!(remainingMs > 0)) throw deadlineError(call.target, true);
  const end = (error: CallError) => {
    release();
    stop(error);
  };
  open.add(call.target, end);
  const release = () => {
    clearTimeout(timer);
    aborts.delete(onAbort);
    open.remove(end);
  };
  const aborts = watchersOf(call.signal);
  const onAbort = () => end(abortReason(call));
  const timer = setTimeout(() => end(deadlineError(call.target)), Math.min(remainingMs, maxRemainingMs));
  aborts.add(onAbort);
  return release;
}
