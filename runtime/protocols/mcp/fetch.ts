import { setMaxListeners } from 'node:events';
import { type Dispatcher, Pool } from 'undici';
import { type CallError, toCallError } from '../../../compiler/contracts/index.ts';
import { outsideConnector } from '../../egress/route.ts';
import { bodyLimitBytes, joinBytes, tooLarge } from '../wire/body.ts';
import { decodeCallError, unavailableError } from '../wire/errors.ts';
import { isObject } from './wire.ts';

/** Idle connections are dropped long before a server of ours would close them (`keepAliveMs` in server.ts). */
const idleMs = 30_000;

/** Names a call's `CallWire` on its way through the SDK; never leaves this process. */
export const wireHeader = 'dmas-wire';

/** One call as the wire sees it. The SDK knows nothing of it, so it finds its way by `wireHeader`. */
export interface CallWire {
  readonly target: string;
  /** When the SDK was given the message. */
  sendingSince: number;
  /** Time in JSON work on this side. */
  serializeMs: number;
  responseBytes: number;
  /** Closes the HTTP exchange; set while there is one. */
  abort: () => void;
  /** Called when a streamed reply ends without its result. */
  readonly brokeOff: () => void;
}

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

export interface McpWire {
  readonly fetch: Fetch;
  readonly calls: Map<string, CallWire>;
  close(): Promise<void>;
}

/**
 * `fetch` for the SDK's transport, on undici's callbacks: a fraction of the work, failures as CallErrors that say whether
 * the callee can have seen the call, and no listener left behind on the transport's long-lived signal.
 */
export function createMcpWire(origin: string): McpWire {
  // No limit: a call that waits for a connection held by its own ancestor would never end. The deadline rules.
  const pool = new Pool(origin, {
    connections: null,
    pipelining: 1,
    keepAliveTimeout: idleMs,
    keepAliveMaxTimeout: idleMs,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: outsideConnector(),
  });
  const calls = new Map<string, CallWire>();
  return {
    calls,
    fetch: (url, init = {}) =>
      new Promise((resolve, reject) => {
        const headers = new Headers(init.headers);
        const call = calls.get(headers.get(wireHeader) ?? '');
        headers.delete(wireHeader);
        if (call !== undefined) call.serializeMs += performance.now() - call.sendingSince;
        const { pathname, search } = new URL(url);
        const flat: string[] = [];
        headers.forEach((value, name) => {
          flat.push(name, value);
        });
        const exchange = new FetchExchange(call, init.signal ?? undefined, resolve, reject);
        pool.dispatch(
          {
            path: `${pathname}${search}`,
            method: (init.method ?? 'GET') as Dispatcher.HttpMethod,
            headers: flat,
            body: typeof init.body === 'string' ? init.body : null,
          },
          exchange,
        );
      }),
    async close() {
      if (!pool.destroyed) await pool.destroy();
    },
  };
}

class FetchExchange implements Dispatcher.DispatchHandler {
  readonly #call: CallWire | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: unknown) => void;
  readonly #pieces: Buffer[] = [];
  #controller: Dispatcher.DispatchController | undefined;
  #stream: ReadableStreamDefaultController<Uint8Array> | undefined;
  #status = 0;
  #headers: [string, string][] = [];
  #sizeBytes = 0;
  #paused = false;
  #aborted = false;
  #over = false;

  constructor(
    call: CallWire | undefined,
    signal: AbortSignal | undefined,
    resolve: (response: Response) => void,
    reject: (error: unknown) => void,
  ) {
    this.#call = call;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    if (call !== undefined) call.abort = this.#abort;
    if (signal !== undefined) {
      // The older revision has one signal for all calls; each takes its listener away again when it is over.
      setMaxListeners(0, signal);
      signal.addEventListener('abort', this.#abort, { once: true });
    }
    if (signal?.aborted === true) this.#aborted = true;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#aborted) controller.abort(gone());
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: Record<string, string | string[] | undefined>): void {
    this.#status = status;
    this.#headers = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
    );
    if (!String(headers['content-type'] ?? '').startsWith('text/event-stream')) return;
    const body = new ReadableStream<Uint8Array>({
      start: (stream) => {
        this.#stream = stream;
      },
      // Called from within `enqueue` too, where undici is at work and must not be told to go on.
      pull: () => {
        if (!this.#paused) return;
        this.#paused = false;
        controller.resume();
      },
      cancel: () => this.#abort(),
    });
    this.#resolve(new Response(body, { status, headers: this.#headers }));
  }

  onResponseData(controller: Dispatcher.DispatchController, piece: Buffer): void {
    // undici gives an empty piece after a pause; taking it for one would make us pause again, and so on for ever.
    if (piece.length === 0) return;
    this.#sizeBytes += piece.length;
    if (this.#call !== undefined) this.#call.responseBytes += piece.length;
    if (this.#stream !== undefined) {
      this.#stream.enqueue(piece);
      if ((this.#stream.desiredSize ?? 0) > 0) return;
      this.#paused = true;
      controller.pause();
    } else if (this.#sizeBytes > 2 * bodyLimitBytes) {
      // What a reply of the largest size takes with its text beside it.
      this.#reject(tooLarge('the reply'));
      controller.abort(gone());
    } else {
      this.#pieces.push(piece);
    }
  }

  onResponseEnd(): void {
    this.#end();
    if (this.#stream !== undefined) {
      this.#stream.close();
      return;
    }
    const text = joinBytes(this.#pieces, this.#sizeBytes).toString('utf8');
    const error = refusal(this.#status, text, this.#call);
    if (error !== undefined) this.#reject(error);
    else this.#resolve(jsonResponse(text, this.#status, this.#headers, this.#call));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end();
    // Before the controller is handed out nothing was written, so the callee has certainly not seen the call.
    const neverStarted = this.#controller === undefined;
    const why = error.message || (error as { readonly code?: string }).code || error.name;
    const failure = toCallError(unavailableError(this.#call?.target ?? 'the MCP server', why, neverStarted, error));
    if (this.#stream !== undefined) this.#stream.error(failure);
    else this.#reject(this.#aborted ? gone() : failure);
  }

  #abort = () => {
    if (this.#over) return;
    this.#aborted = true;
    this.#controller?.abort(gone());
  };

  #end(): void {
    this.#over = true;
    this.#signal?.removeEventListener('abort', this.#abort);
  }
}

const gone = () => new DOMException('the call was ended', 'AbortError');

/** What a listener of ours says before the SDK sees a call, and what a proxy says in its place. */
function refusal(status: number, text: string, call: CallWire | undefined): CallError | undefined {
  if (status < 502 || status > 504) return undefined;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  const error = isObject(body) && isObject(body.error) && isObject(body.error.data) ? decodeCallError(body.error.data.error) : undefined;
  return error ?? unavailableError(call?.target ?? 'the MCP server', `HTTP status ${status}`, false);
}

/** Reads its JSON on the call's account. */
function jsonResponse(text: string, status: number, headers: [string, string][], call: CallWire | undefined): Response {
  const bodyless = status === 204 || status === 205 || status === 304;
  const response = new Response(bodyless ? null : text, { status, headers });
  if (call === undefined) return response;
  const json = async () => {
    const started = performance.now();
    try {
      return JSON.parse(text) as unknown;
    } finally {
      call.serializeMs += performance.now() - started;
    }
  };
  return Object.defineProperty(response, 'json', { value: json });
}
