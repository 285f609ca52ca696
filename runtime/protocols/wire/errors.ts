import { CallError, type CallErrorCode, type CallErrorValue, callErrorCodes } from '../../../compiler/contracts/index.ts';

/** An error read off the wire, or undefined when the value is not one of ours. Nothing but known fields is kept. */
export function decodeCallError(value: unknown): CallError | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { code, message, component, neverStarted, details } = value as { readonly [field: string]: unknown };
  if (typeof code !== 'string' || !Object.hasOwn(callErrorCodes, code) || typeof message !== 'string') return undefined;
  return new CallError({
    code: code as CallErrorCode,
    message,
    ...(typeof component === 'string' ? { component } : {}),
    ...(neverStarted === true ? { neverStarted } : {}),
    ...(details === undefined ? {} : { details }),
  });
}

/** JSON of an error. Details that are not JSON are left out rather than losing the error itself. */
export function encodeCallError(value: CallErrorValue): string {
  try {
    return JSON.stringify(value);
  } catch {
    const { details: _unserializable, ...rest } = value;
    return JSON.stringify(rest);
  }
}

export const deadlineError = (target: string, neverStarted = false) =>
  new CallError({ code: 'deadline', message: `the deadline of the call to ${target} passed`, ...(neverStarted ? { neverStarted } : {}) });

export const cancelledError = (target: string) => new CallError({ code: 'cancelled', message: `the caller of ${target} went away` });

/** `neverStarted` only where it is certain that no byte of the request was handled. */
export const unavailableError = (target: string, why: string, neverStarted: boolean, cause?: unknown) =>
  new CallError(
    { code: 'unavailable', message: `${target} cannot be reached: ${why}`, ...(neverStarted ? { neverStarted } : {}) },
    { cause },
  );

export const drainingError = (target: string) => unavailableError(target, 'it is shutting down', true);

export const invalidError = (message: string, cause?: unknown) => new CallError({ code: 'invalid', message }, { cause });
