import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createMcpHandler,
  isLegacyRequest,
  localhostAllowedHostnames,
  type McpHttpHandler,
  Server,
  validateHostHeader,
  validateOriginHeader,
} from '@modelcontextprotocol/server';
import type { BindAddress } from '../../../compiler/contracts/index.ts';
import type { CallHandler, Listener, ProtocolOptions, ServedComponent } from '../protocol.ts';
import { bodyLimitBytes, joinBytes, jsonType } from '../wire/body.ts';
import { drainingError } from '../wire/errors.ts';
import { InFlight } from '../wire/incoming.ts';
import { listenAt } from '../wire/listen.ts';
import { type Answering, answerCall, answerList } from './answer.ts';
import { sendResponse } from './send-response.ts';
import { Sessions } from './sessions.ts';

/** As for http-json: clients drop idle connections well before this. */
const keepAliveMs = 75_000;
/** Room for long `tracestate` and `baggage`; Node's default is 16 KB. */
const maxHeaderBytes = 64 * 1024;

/** What is known of one HTTP request while the SDK works on it. */
export interface Exchange {
  /** Component whose tools are meant; all of the unit when absent. */
  readonly only: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly response: ServerResponse;
  readonly sizeBytes: number;
  readonly parseMs: number;
}

export interface McpListener extends Listener {
  /** Tells whoever subscribed that the list of tools is another one now. */
  toolsChanged(): void;
}

/** The exchange a handler of the SDK works on. */
export type ExchangeOf = (request: Request | undefined) => Exchange;

interface Context {
  readonly exchanges: WeakMap<Request, Exchange>;
  readonly inFlight: InFlight;
  readonly stateless: McpHttpHandler;
  readonly sessions: Sessions;
  /** Host names a request may be for; all when undefined. */
  readonly hostnames: string[] | undefined;
}

/** Serves a unit's components as MCP: revision 2026-07-28 without sessions, 2025-11-25 and before with them. */
export async function listenMcp(
  at: BindAddress,
  handler: CallHandler,
  options: ProtocolOptions,
  served: () => readonly ServedComponent[] = () => [],
): Promise<McpListener> {
  const inFlight = new InFlight();
  const answering: Answering = { handler, served, inFlight, listTtlMs: Number(options.listTtlMs ?? 0) };
  return serveMcp(at, inFlight, (exchangeOf) => unitServer(answering, exchangeOf));
}

/** An HTTP listener before servers of the SDK: one per request in the stateless revision, one per session before it. */
export async function serveMcp(at: BindAddress, inFlight: InFlight, make: (exchangeOf: ExchangeOf) => Server): Promise<McpListener> {
  const exchanges = new WeakMap<Request, Exchange>();
  const makeServer = () =>
    make((request) => {
      const exchange = request && exchanges.get(request);
      if (exchange === undefined) throw new RangeError('a request came in by no HTTP exchange of this listener');
      return exchange;
    });
  const context: Context = {
    exchanges,
    inFlight,
    stateless: createMcpHandler(makeServer, { legacy: 'reject' }),
    sessions: new Sessions(makeServer),
    hostnames: 'host' in at && isLoopback(at.host) ? [...localhostAllowedHostnames(), at.host] : undefined,
  };
  const http = createServer({ maxHeaderSize: maxHeaderBytes, keepAliveTimeout: keepAliveMs, requestTimeout: 0 }, (request, response) =>
    receive(context, request, response),
  );
  const listening = await listenAt(http, at);
  return {
    at: listening,
    toolsChanged() {
      context.stateless.notify.toolsChanged();
      context.sessions.toolsChanged();
    },
    async close(drainMs) {
      await inFlight.drain(drainMs);
      const closed = new Promise<void>((resolve) => http.close(() => resolve()));
      // One turn of the loop lets answers written in this one reach their sockets.
      setImmediate(() => http.closeAllConnections());
      await closed;
      await Promise.all([context.stateless.close(), context.sessions.close()]);
    },
  };
}

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.');

function unitServer(answering: Answering, exchangeOf: ExchangeOf): Server {
  const server = new Server(
    { name: 'dmas-opt', version: '1' },
    { capabilities: { tools: { listChanged: true } }, cacheHints: { 'server/discover': { ttlMs: answering.listTtlMs } } },
  );
  server.setRequestHandler('tools/list', (_request, context) => answerList(answering, exchangeOf(context.http?.req)));
  server.setRequestHandler('tools/call', (request, context) =>
    answerCall(answering, exchangeOf(context.http?.req), request.params, context),
  );
  return server;
}

/** Collects the body, then hands the request to the SDK. */
function receive(context: Context, request: IncomingMessage, response: ServerResponse): void {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  request.on('data', (piece: Buffer) => {
    sizeBytes += piece.length;
    // A body that is too large is read to its end and dropped, so that the sender gets to read the answer.
    if (sizeBytes <= bodyLimitBytes) pieces.push(piece);
    else pieces.length = 0;
  });
  request.on('error', () => response.destroy());
  request.on('end', () => {
    answer(context, request, response, sizeBytes <= bodyLimitBytes ? joinBytes(pieces, sizeBytes) : undefined).catch(() =>
      response.destroy(),
    );
  });
}

async function answer(context: Context, request: IncomingMessage, response: ServerResponse, bytes: Buffer | undefined): Promise<void> {
  const { method = 'GET', headers, url = '/' } = request;
  const path = componentPath(url);
  if (path === undefined) return refuse(context, response, 404, 'MCP is spoken at /mcp and /<component>/mcp');
  const stranger = refusedOrigin(context, headers);
  if (stranger !== undefined) return refuse(context, response, 403, stranger);
  if (bytes === undefined) return refuse(context, response, 413, `the request body is larger than ${bodyLimitBytes} bytes`);
  const started = performance.now();
  const text = bytes.toString('utf8');
  const body = method === 'POST' ? parsed(text) : undefined;
  if (context.inFlight.draining && method === 'POST') {
    return refuse(context, response, 503, 'shutting down', { id: idOf(body), data: { error: drainingError('the unit').value } });
  }
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  const web = new Request(`http://${headers.host ?? 'localhost'}${url}`, {
    method,
    headers: flat(headers),
    signal: gone.signal,
    // The SDK takes the parsed body; only what it must reject it reads itself.
    ...(method === 'POST' && body === undefined ? { body: text } : {}),
  });
  const parseMs = performance.now() - started;
  context.exchanges.set(web, { only: path.component, headers, response, sizeBytes: bytes.length, parseMs });
  const old = await isLegacyRequest(web, body);
  const given = body === undefined ? {} : { parsedBody: body };
  const reply = old && (body !== undefined || method !== 'POST') ? context.sessions.fetch(web, body) : context.stateless.fetch(web, given);
  await sendResponse(await reply, response, context.inFlight.draining);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** `/mcp` is the whole unit, `/<component>/mcp` one component. */
function componentPath(url: string): { readonly component: string | undefined } | undefined {
  const [path = ''] = url.split('?');
  const [, first, second, ...more] = path.replace(/\/$/, '').split('/');
  if (more.length > 0) return undefined;
  if (first === 'mcp' && second === undefined) return { component: undefined };
  if (second !== 'mcp' || first === undefined) return undefined;
  try {
    return { component: decodeURIComponent(first) };
  } catch {
    return undefined;
  }
}

/**
 * Why a request may be a web page's that was led here by name: what the specification asks a server on this machine to
 * turn away. Elsewhere the page's origin must be the host it calls.
 */
function refusedOrigin({ hostnames }: Context, headers: IncomingMessage['headers']): string | undefined {
  if (hostnames !== undefined) {
    const host = validateHostHeader(headers.host, hostnames);
    if (!host.ok) return host.message;
  }
  if (headers.origin === undefined) return undefined;
  const allowed = hostnames ?? [new URL(`http://${headers.host ?? 'localhost'}`).hostname];
  const origin = validateOriginHeader(headers.origin, allowed);
  return origin.ok ? undefined : origin.message;
}

function flat(headers: IncomingMessage['headers']): [string, string][] {
  return Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
  );
}

const idOf = (body: unknown) => (body as { readonly id?: string | number } | null | undefined)?.id ?? null;

/** An answer before the SDK has seen the request, in the form its clients understand. */
function refuse(
  context: Context,
  response: ServerResponse,
  status: number,
  message: string,
  more: { readonly id?: string | number | null; readonly data?: unknown } = {},
): void {
  if (response.destroyed) return;
  const text = JSON.stringify({ jsonrpc: '2.0', id: more.id ?? null, error: { code: -32_000, message, data: more.data } });
  response.writeHead(status, [
    ...['content-type', jsonType, 'content-length', String(Buffer.byteLength(text))],
    ...(context.inFlight.draining ? ['connection', 'close'] : []),
  ]);
  response.end(text);
}
