import { CallError } from '../../../compiler/contracts/index.ts';
import type { OutgoingCall } from '../protocol.ts';
import { cancelledError, deadlineError } from './errors.ts';
import { maxRemainingMs } from './meta.ts';

/** What an aborted signal means to the caller: the reason when it is a CallError already, else `cancelled`. */
export function abortReason(call: OutgoingCall): CallError {
  const { reason } = call.signal;
  return reason instanceof CallError ? reason : cancelledError(call.target);
}

/**
 * Watches the deadline and the signal of a call: `stop` is called at most once, when one of them ends it first.
 * Returns the function that ends the watch.
 * @throws CallError when the call is over before it starts.
 */
export function watchCall(call: OutgoingCall, stop: (error: CallError) => void): () => void {
  if (call.signal.aborted) throw abortReason(call);
  const { remainingMs } = call.meta;
  if (!(remainingMs > 0)) throw deadlineError(call.target, true);
  const release = () => {
    clearTimeout(timer);
    call.signal.removeEventListener('abort', onAbort);
  };
  const onAbort = () => {
    release();
    stop(abortReason(call));
  };
  const timer = setTimeout(
    () => {
      release();
      stop(deadlineError(call.target));
    },
    Math.min(remainingMs, maxRemainingMs),
  );
  call.signal.addEventListener('abort', onAbort);
  return release;
}
