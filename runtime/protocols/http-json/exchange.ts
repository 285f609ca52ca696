import type { Dispatcher } from 'undici';
import { CallError } from '../../../compiler/contracts/index.ts';
import type { OutgoingCall } from '../protocol.ts';
import { bodyLimitBytes, joinBytes, jsonType, parseJson, toJsonBytes, tooLarge } from '../wire/body.ts';
import { decodeCallError, unavailableError } from '../wire/errors.ts';
import { encodeMeta } from '../wire/meta.ts';
import { type OpenCalls, watchCall } from '../wire/outgoing.ts';

/** How a call becomes a request, and an answer that is no success an error. */
export interface Dialect {
  /** @throws CallError `invalid` when the body is no JSON. */
  request(call: OutgoingCall): Dispatcher.DispatchOptions;
  error(status: number, body: Buffer, call: OutgoingCall, headers: { readonly [name: string]: unknown }): CallError;
}

/** What becomes of a reply. Exactly one of `end` and `fail` is called, once. */
export interface Sink {
  /** Told of a successful answer before its first piece; false has the pieces collected for `end`. */
  readonly begin?: (headers: { readonly [name: string]: unknown }) => boolean;
  /** Pieces of a successful reply as they come; when absent they are collected for `end`. */
  readonly data?: (piece: Buffer) => void;
  readonly end: (body: Buffer) => void;
  readonly fail: (error: unknown) => void;
}

/**
 * One call on the wire: undici's callbacks, the deadline, the caller's signal, and the one way each call ends. The
 * callbacks are used instead of `pool.request` because they need no readable stream per response.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #call: OutgoingCall;
  readonly #sink: Sink;
  readonly #dialect: Dialect;
  readonly #pieces: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #release: () => void = () => {};
  #status = 0;
  #headers: { readonly [name: string]: unknown } = {};
  #inPieces: boolean;
  #sizeBytes = 0;
  #stopped: CallError | undefined;
  #over = false;

  constructor(call: OutgoingCall, sink: Sink, dialect: Dialect = ourDialect) {
    this.#call = call;
    this.#sink = sink;
    this.#dialect = dialect;
    this.#inPieces = sink.data !== undefined;
  }

  start(dispatcher: Dispatcher, open: OpenCalls): void {
    try {
      this.#release = watchCall(this.#call, (error) => this.stop(error), open);
      dispatcher.dispatch(this.#dialect.request(this.#call), this);
    } catch (error) {
      this.#finish(() => this.#sink.fail(error));
    }
  }

  /** Ends the call from this side: closes the request, which aborts the callee. Does nothing when it is over. */
  stop(error: CallError): void {
    if (this.#over) return;
    this.#stopped = error;
    this.#finish(() => this.#sink.fail(error));
    this.#controller?.abort(error);
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    if (!this.#over) this.#controller?.resume();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#stopped !== undefined) controller.abort(this.#stopped);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: { readonly [name: string]: unknown } = {},
  ): void {
    this.#status = statusCode;
    this.#headers = headers;
    if (isSuccess(statusCode) && this.#sink.begin !== undefined) this.#inPieces = this.#sink.begin(headers);
  }

  onResponseData(_controller: Dispatcher.DispatchController, piece: Buffer): void {
    if (this.#over) return;
    this.#sizeBytes += piece.length;
    if (this.#inPieces && isSuccess(this.#status)) this.#sink.data?.(piece);
    else if (this.#sizeBytes > bodyLimitBytes) this.stop(tooLarge(`the reply of ${this.#call.target}`));
    else this.#pieces.push(piece);
  }

  onResponseEnd(): void {
    this.#finish(() => {
      const body = joinBytes(this.#pieces, this.#sizeBytes);
      if (isSuccess(this.#status)) this.#sink.end(body);
      else this.#sink.fail(this.#dialect.error(this.#status, body, this.#call, this.#headers));
    });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    // Before the controller is handed out nothing was written, so the callee has certainly not seen the call.
    const neverStarted = this.#controller === undefined;
    this.#finish(() => this.#sink.fail(unavailableError(this.#call.target, describe(error), neverStarted, error)));
  }

  #finish(settle: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#release();
    this.#call.wire.responseBytes += this.#sizeBytes;
    settle();
  }
}

/** The typed error of an answer that is no success. A stranger's (a proxy's) becomes `unavailable` or `failed`. */
function errorReply(status: number, body: Buffer, { target }: OutgoingCall): CallError {
  const known = decodeCallError(jsonOrUndefined(body));
  if (known !== undefined) return known;
  const text = `HTTP status ${status}`;
  if (status >= 502 && status <= 504) return unavailableError(target, text, false);
  return new CallError({ code: 'failed', message: `${target} answered with ${text}` });
}

/** @throws CallError `invalid` when the body is no JSON. */
function requestFor(call: OutgoingCall): Dispatcher.DispatchOptions {
  const started = performance.now();
  const { headers, prefix } = encodeMeta(call.meta);
  const json = toJsonBytes(call.body, `the body for ${call.target}`);
  call.wire.serializeMs += performance.now() - started;
  call.wire.requestBytes = json.length;
  headers.push('content-type', jsonType);
  const path = `/${encodeURIComponent(call.target)}`;
  return {
    path: call.pattern === 'request' ? path : `${path}?pattern=${call.pattern}`,
    method: 'POST',
    headers,
    body: prefix === undefined ? json : Buffer.concat([prefix, json]),
  };
}

/** Among our own: the metadata in a header of ours, errors as they are. */
const ourDialect: Dialect = { request: requestFor, error: errorReply };

const isSuccess = (status: number) => status >= 200 && status < 300;

function jsonOrUndefined(body: Buffer): unknown {
  try {
    return parseJson(body);
  } catch {
    return undefined;
  }
}

/** undici and Node put several reasons of one failed connection into an AggregateError without a message. */
function describe(error: Error & { readonly code?: string }): string {
  return error.message || error.code || error.name;
}
