import { APIConnectionError, APIConnectionTimeoutError, APIError } from 'openai';
import { CallError, type CallErrorValue, type ModelFault, type ModelFaultDetails, modelFaults } from '../../compiler/contracts/index.ts';
import { BrokenReply } from './undici-fetch.ts';

/** Anything a call of the `openai` package can throw, as a CallError whose `details` are `ModelFaultDetails`. */
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

/** A fault of the endpoint. */
export function faultValue(kind: ModelFault, message: string, more: Omit<ModelFaultDetails, 'kind'> = {}): CallErrorValue {
  return { code: modelFaults[kind], message, details: { kind, ...more } };
}
export const modelFault = (kind: ModelFault, message: string): CallError => new CallError(faultValue(kind, message));

function describe(error: unknown): CallErrorValue {
  // undici says which of its timers ran out; the package says only that one did.
  if (isStall(error) || error instanceof APIConnectionTimeoutError) return faultValue('stalled', 'the model endpoint went silent');
  if (causes(error).some((cause) => cause instanceof BrokenReply))
    return faultValue('brokenOff', `the connection to the model broke: ${rootMessage(error)}`);
  if (error instanceof APIConnectionError) {
    return faultValue('unreachable', `the model endpoint cannot be reached: ${rootMessage(error)}`);
  }
  if (error instanceof APIError) return answered(error, error.status);
  if (error instanceof SyntaxError) return faultValue('malformed', `the model endpoint sent something that is not JSON: ${error.message}`);
  if (isBrokenConnection(error)) return faultValue('brokenOff', `the connection to the model broke: ${rootMessage(error)}`);
  return { code: 'failed', message: rootMessage(error) };
}

/** What the endpoint says went wrong: as a status, or as an event inside a stream, which may hold one as its `code`. */
function answered(error: APIError, status: number | undefined): CallErrorValue {
  const inStream = status === undefined;
  const code = Number(error.code);
  const known = status ?? (Number.isInteger(code) && code >= 400 && code < 600 ? code : undefined);
  const message = inStream ? `the model endpoint gave up: ${error.message}` : `the model endpoint answered ${error.message}`;
  const wait = retryAfterMs(error.headers);
  const details = { ...(known === undefined ? {} : { status: known }), ...(wait === undefined || inStream ? {} : { retryAfterMs: wait }) };
  if (isContextTooLong(error, known)) return faultValue('contextTooLong', message, details);
  // Source: https://platform.openai.com/docs/guides/error-codes, "You exceeded your current quota".
  if (error.code === 'insufficient_quota' || error.type === 'insufficient_quota') return faultValue('outOfQuota', message, details);
  if (known === 429) return { ...faultValue('rateLimited', message, details), neverStarted: true };
  if (known === undefined || known >= 500 || known === 408 || known === 409) return faultValue('serverError', message, details);
  return faultValue('refused', message, details);
}

/**
 * OpenAI and what follows it say it by a code, others in words: vLLM "maximum context length", llama.cpp "exceeds the
 * available context size" with a type of its own, Anthropic "prompt is too long".
 */
function isContextTooLong({ code, type, message }: APIError, status: number | undefined): boolean {
  if (code === 'context_length_exceeded' || type === 'exceed_context_size_error') return true;
  if (status !== undefined && status !== 400 && status !== 413 && status !== 422) return false;
  return /maximum context length|context (length|window|size).{0,40}exceed|exceeds? the .{0,20}context|prompt is too long/i.test(message);
}

/** `retry-after-ms`, else `retry-after` in seconds or as a date, which is taken on the server's clock where it tells it. */
export function retryAfterMs(headers: Headers | undefined, nowMs = Date.now()): number | undefined {
  const exact = Number(headers?.get('retry-after-ms') ?? Number.NaN);
  if (Number.isFinite(exact)) return Math.max(0, exact);
  const text = headers?.get('retry-after') ?? '';
  if (text === '') return undefined;
  const theirs = Date.parse(headers?.get('date') ?? '');
  const ms = Number.isFinite(Number(text)) ? Number(text) * 1000 : Date.parse(text) - (Number.isFinite(theirs) ? theirs : nowMs);
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

const isStall = (error: unknown) => causes(error).some(({ code }) => code === 'UND_ERR_BODY_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT');

/** undici and Node name a broken connection by code or by class. */
function isBrokenConnection(error: unknown): boolean {
  const broken = ({ code, message }: NodeJS.ErrnoException) =>
    code?.startsWith('UND_ERR') === true ||
    code?.startsWith('ECONN') === true ||
    code?.startsWith('HPE_') === true ||
    code === 'EPIPE' ||
    message === 'terminated' ||
    message === 'other side closed' ||
    message === 'Premature close';
  return causes(error).some(broken);
}

function causes(error: unknown): NodeJS.ErrnoException[] {
  const all: NodeJS.ErrnoException[] = [];
  for (let at = error; at instanceof Error; at = at.cause) all.push(at as NodeJS.ErrnoException);
  return all;
}

function rootMessage(error: unknown): string {
  let message = String(error);
  for (let at = error; at instanceof Error; at = at.cause) message = at.message || message;
  return message;
}
