import { APIConnectionError, APIError } from 'openai';
import { CallError, type CallErrorValue } from '../../compiler/contracts/index.ts';

/** Anything a call of the `openai` package can throw, as a CallError. `retryAfterMs` is in `details` where the server said it. */
export function modelCallError(error: unknown, signal: AbortSignal, hideKey: (message: string) => string): CallError {
  if (signal.aborted) return abortError(signal.reason);
  if (error instanceof CallError) return error;
  const value = describe(error);
  return new CallError({ ...value, message: hideKey(value.message) }, { cause: error });
}

/** What an abort means: a deadline when its reason says so, else the caller went away. */
export function abortError(reason: unknown): CallError {
  if (reason instanceof CallError) return reason;
  const timedOut = reason instanceof Error && reason.name === 'TimeoutError';
  return new CallError({
    code: timedOut ? 'deadline' : 'cancelled',
    message: timedOut ? 'the deadline passed during a model call' : 'the model call was cancelled',
  });
}

function describe(error: unknown): CallErrorValue {
  if (error instanceof APIConnectionError) {
    return { code: 'unavailable', message: `the model endpoint cannot be reached: ${rootMessage(error)}` };
  }
  if (error instanceof APIError && error.status !== undefined) return statusError(error);
  // An error event inside a stream has no status.
  if (error instanceof APIError) return { code: 'unavailable', message: `the model endpoint gave up: ${error.message}` };
  if (error instanceof SyntaxError)
    return { code: 'failed', message: `the model endpoint sent something that is not JSON: ${error.message}` };
  if (isBrokenConnection(error)) return { code: 'unavailable', message: `the connection to the model broke: ${rootMessage(error)}` };
  return { code: 'failed', message: rootMessage(error) };
}

function statusError(error: APIError): CallErrorValue {
  const status = error.status ?? 0;
  const message = `the model endpoint answered ${error.message}`;
  const wait = retryAfterMs(error.headers);
  const details = { status, ...(wait === undefined ? {} : { retryAfterMs: wait }) };
  if (status === 429) return { code: 'overloaded', message, details, neverStarted: true };
  if (status >= 500 || status === 408 || status === 409) return { code: 'unavailable', message, details };
  return { code: 'failed', message, details };
}

/** `retry-after-ms`, else `retry-after` in seconds or as a date. */
function retryAfterMs(headers: Headers | undefined): number | undefined {
  const exact = Number(headers?.get('retry-after-ms') ?? Number.NaN);
  if (Number.isFinite(exact)) return Math.max(0, exact);
  const text = headers?.get('retry-after') ?? '';
  if (text === '') return undefined;
  const ms = Number.isFinite(Number(text)) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

/** undici and Node name a broken connection by code or by class. */
function isBrokenConnection(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (code?.startsWith('UND_ERR') || code?.startsWith('ECONN') || code === 'EPIPE') return true;
    if (at.message === 'terminated' || at.message === 'other side closed' || at.message === 'Premature close') return true;
  }
  return false;
}

function rootMessage(error: unknown): string {
  let message = String(error);
  for (let at = error; at instanceof Error; at = at.cause) message = at.message || message;
  return message;
}
