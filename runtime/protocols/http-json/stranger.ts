import type { Dispatcher } from 'undici';
import { CallError, type CallErrorCode, type CallErrorValue } from '../../../compiler/contracts/index.ts';
import type { OutgoingCall } from '../protocol.ts';
import { jsonType, parseJson, toJsonBytes } from '../wire/body.ts';
import { decodeCallError, unavailableError } from '../wire/errors.ts';
import type { Dialect } from './exchange.ts';

export const eventStreamType = 'text/event-stream';

/**
 * JSON over HTTP as anybody's server takes it: the body is the input and nothing else, the answer's body is the output.
 * Beside it the W3C trace headers, and what our own ingress takes: `x-dmas-request`, `x-dmas-session` and
 * `x-dmas-deadline-ms`. A status from 400 on is an error.
 */
export const strangerDialect = (path: string): Dialect => ({
  request(call: OutgoingCall): Dispatcher.DispatchOptions {
    const started = performance.now();
    const body = toJsonBytes(call.body, `the body for ${call.target}`);
    call.wire.serializeMs += performance.now() - started;
    call.wire.requestBytes = body.length;
    const { meta, pattern } = call;
    const headers = [
      'content-type',
      jsonType,
      'accept',
      pattern === 'stream' ? `${eventStreamType}, ${jsonType}` : jsonType,
      'x-dmas-request',
      headerSafe(meta.requestId),
      'x-dmas-session',
      headerSafe(meta.sessionId),
      'x-dmas-deadline-ms',
      String(Math.max(1, Math.floor(meta.remainingMs))),
    ];
    for (const [name, value] of Object.entries(meta.trace)) headers.push(name, headerSafe(value));
    return { path, method: 'POST', headers, body };
  },
  error: errorOfStatus,
});

/** Ids of users may hold anything; header values may not. */
const headerSafe = (text: string): string => text.replace(/[^\x20-\x7e]/g, (character) => encodeURIComponent(character)).trim();

/**
 * What a status means to the caller. Only 429 and 503 are taken as "not begun", and only where the answer says when to
 * come again, as RFC 9110 (10.2.3) has it; whatever else failed may have had effects.
 */
const codes: { readonly [status: number]: CallErrorCode } = {
  400: 'invalid',
  404: 'unknown',
  405: 'unknown',
  408: 'deadline',
  413: 'invalid',
  415: 'invalid',
  422: 'invalid',
  428: 'inputRequired',
  429: 'overloaded',
  499: 'cancelled',
  502: 'unavailable',
  503: 'unavailable',
  504: 'deadline',
};

function errorOfStatus(status: number, body: Buffer, call: OutgoingCall, headers: { readonly [name: string]: unknown }): CallError {
  const parsed = jsonOrUndefined(body);
  const known = decodeCallError(parsed);
  if (known !== undefined) return known;
  const code = codes[status] ?? 'failed';
  const said = messageIn(parsed) ?? body.toString('utf8', 0, 200).trim();
  const text = `HTTP status ${status}${said === '' ? '' : `: ${said}`}`;
  const neverStarted = (status === 429 || status === 503) && headers['retry-after'] !== undefined;
  if (code === 'unavailable') return unavailableError(call.target, text, neverStarted);
  const value: CallErrorValue = { code, message: `${call.target} answered with ${text}`, component: call.target };
  return new CallError({ ...value, ...(neverStarted ? { neverStarted } : {}), ...(code === 'inputRequired' ? { details: parsed } : {}) });
}

/** The places common frameworks put their message: FastAPI, Express, problem+json, OpenAI. */
function messageIn(parsed: unknown): string | undefined {
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  for (const name of ['message', 'detail', 'title', 'error']) {
    const value = (parsed as { readonly [name: string]: unknown })[name];
    if (typeof value === 'string') return value.slice(0, 200);
    const inner = name === 'error' ? messageIn(value) : undefined;
    if (inner !== undefined) return inner;
    if (name === 'detail' && value !== undefined) return JSON.stringify(value).slice(0, 200);
  }
  return undefined;
}

function jsonOrUndefined(body: Buffer): unknown {
  try {
    return parseJson(body);
  } catch {
    return undefined;
  }
}
