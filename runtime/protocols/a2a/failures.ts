import { CallError } from '../../../compiler/contracts/index.ts';
import { unavailableError } from '../wire/errors.ts';
import { Refused } from './fetch.ts';

/** What Node and undici say when there was no connection to write to. */
const neverConnected: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
/** What they say when it broke later. */
const broken = /^(ECONNRESET|EPIPE|ETIMEDOUT|ECONNABORTED|UND_ERR_)/;

/** gRPC's `UNAVAILABLE` and `CANCELLED`; we told our caller of our own cancelling already, so this is the peer's doing. */
const grpcUnavailable = new Set([14, 1]);
const grpcNeverConnected = /^(No connection established|Name resolution failed|The channel has been closed)/;

/** Whatever the SDK or a transport throws, as a CallError. */
export function failureOf(error: unknown, target: string): CallError {
  if (error instanceof CallError) return error;
  if (error instanceof Refused) return unavailableError(target, error.message, false, error);
  const { code, message, details } = error as { readonly code?: unknown; readonly message?: string; readonly details?: string };
  if (typeof code === 'string') {
    if (neverConnected.has(code)) return unavailableError(target, message || code, true, error);
    if (broken.test(code)) return unavailableError(target, message || code, false, error);
  }
  if (typeof code === 'number' && typeof details === 'string') {
    if (grpcUnavailable.has(code)) return unavailableError(target, details, code === 14 && grpcNeverConnected.test(details), error);
    return new CallError({ code: 'failed', message: `${target} answered with gRPC status ${code}: ${details}` }, { cause: error });
  }
  const text = error instanceof Error ? error.message : String(error);
  return new CallError({ code: 'failed', message: `${target} answered: ${text}` }, { cause: error });
}
