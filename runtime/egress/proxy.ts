import {
  Agent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestPlain,
  type Server,
  type ServerResponse,
} from 'node:http';
import { request as requestTls, Agent as TlsAgent } from 'node:https';
import { connect, type LookupFunction, type Socket } from 'node:net';
import { type HostPort, hostWord, parseOutsideHost } from '../../compiler/contracts/outside-host.ts';
import type { AllowList, Refusal, ResolvedAddress } from './allow.ts';
import { refusalWords } from './allow.ts';
import type { CallerStats } from './stats.ts';
import { reasonHeader } from './tunnel.ts';

export interface EgressProxyOptions {
  readonly allow: AllowList;
  readonly stats: CallerStats;
  /** Whether a connection comes from the unit this port is for. */
  readonly knows: (remoteAddress: string) => Promise<boolean>;
}

/** As long as undici waits for a connection. */
const connectTimeoutMs = 10_000;
/** Beyond it a caller leaks: 64 calls at a time of an agent are the default, and a unit holds a dozen agents. */
const mostConnections = 1_024;

/**
 * A forward proxy for one caller: `CONNECT host:port` (RFC 9110, 9.3.6) and requests whose target is a whole URL (RFC 9112,
 * 3.2.2). Bytes are passed on as they come, either end may finish before the other, and nothing is stored.
 */
export function createEgressProxy(options: EgressProxyOptions): { readonly server: Server; close(): Promise<void> } {
  const server = createServer({ requestTimeout: 0 }, (request, response) => void forward(options, request, response));
  server.on('connect', (request, socket, head) => void tunnel(options, request, socket as Socket, head));
  // A tunnel is no longer a connection of the server's own, and would keep it from closing.
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  return { server, close };
}

/** Addresses a name was found under, in place of another look-up. */
const foundAt = (addresses: readonly ResolvedAddress[]): LookupFunction =>
  ((_host, given, callback) => {
    const [first] = addresses;
    if (typeof given === 'object' && given.all) callback(null, [...addresses]);
    else if (first === undefined) callback(new Error('no address'), '', 4);
    else callback(null, first.address, first.family);
  }) as LookupFunction;

type Judged =
  | { readonly place: HostPort; readonly addresses: readonly ResolvedAddress[] }
  | { readonly refused: Refusal; readonly place: HostPort };

async function judge({ allow, stats, knows }: EgressProxyOptions, place: HostPort | undefined, from: string): Promise<Judged> {
  if (place === undefined) return { refused: 'unreadable', place: { host: '', port: 0 } };
  if (!(await knows(from))) return { refused: 'stranger', place };
  if (stats.open >= mostConnections) return { refused: 'busy', place };
  return { place, ...(await allow(place.host, place.port)) };
}

const statusOf = (refused: Refusal): number =>
  refused === 'unreadable' ? 400 : refused === 'unknown-name' ? 502 : refused === 'busy' ? 503 : 403;

async function tunnel(options: EgressProxyOptions, request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
  socket.on('error', () => socket.destroy());
  const answer = (status: number, reason: string) =>
    socket.end(
      `HTTP/1.1 ${status} ${status === 403 ? 'Forbidden' : 'Failed'}\r\n${reasonHeader}: ${reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
    );
  // Without a port there is nothing to connect to: 443 is a habit of URLs, which this is not.
  const target = /:\d+$/.test(request.url ?? '') ? parseOutsideHost(request.url ?? '') : undefined;
  const judged = await judge(options, target, socket.remoteAddress ?? '');
  if ('refused' in judged) {
    options.stats.refused(judged.place, judged.refused);
    answer(statusOf(judged.refused), refusalWords[judged.refused]);
    return;
  }
  if (socket.destroyed) return;
  const { place, addresses } = judged;
  const upstream = connect({ host: place.host, port: place.port, lookup: foundAt(addresses), allowHalfOpen: true, autoSelectFamily: true });
  const timer = setTimeout(() => upstream.destroy(new Error('no connection in time')), connectTimeoutMs);
  let connected = false;
  upstream.once('connect', () => {
    clearTimeout(timer);
    connected = true;
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    if (head.length > 0) upstream.write(head);
    // A pipe ends its target when its source ends: each direction by itself.
    socket.pipe(upstream);
    upstream.pipe(socket);
  });
  upstream.once('error', (error) => {
    clearTimeout(timer);
    if (connected) socket.destroy();
    else answer(502, error.message.replace(/[^\x20-\x7e]/g, ' '));
  });
  socket.once('close', () => upstream.destroy());
  options.stats.opened(place);
  upstream.once('close', () => {
    clearTimeout(timer);
    options.stats.closed({ sentBytes: upstream.bytesWritten ?? 0, receivedBytes: upstream.bytesRead });
  });
}

/** One connection per request: what a caller may reach is judged for each. */
const plainAgent = new Agent({ keepAlive: false });
const tlsAgent = new TlsAgent({ keepAlive: false });

/** Of one connection, not of the message (RFC 9110, 7.6.1). */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function endToEnd(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.has(name) && !named.has(name)));
}

async function forward(options: EgressProxyOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = /^https?:\/\//i.test(request.url ?? '') && URL.canParse(request.url ?? '') ? new URL(request.url ?? '') : undefined;
  const judged = await judge(options, url && parseOutsideHost(url.origin), request.socket.remoteAddress ?? '');
  if ('refused' in judged || url === undefined) {
    const refused = 'refused' in judged ? judged.refused : 'unreadable';
    options.stats.refused(judged.place, refused);
    request.resume();
    response
      .writeHead(statusOf(refused), { [reasonHeader]: refusalWords[refused], 'content-type': 'application/json', connection: 'close' })
      .end(JSON.stringify({ error: { code: 'egress-refused', message: `${hostWord(judged.place)}: ${refusalWords[refused]}` } }));
    return;
  }
  const { place, addresses } = judged;
  const send = url.protocol === 'https:' ? requestTls : requestPlain;
  let received = 0;
  let sent = 0;
  options.stats.opened(place);
  const upstream = send(
    {
      host: place.host,
      port: place.port,
      method: request.method,
      path: `${url.pathname}${url.search}`,
      // The target says where it goes, whatever the caller wrote beside it (RFC 9112, 3.2.2).
      headers: { ...endToEnd(request.headers), host: url.host },
      lookup: foundAt(addresses),
      agent: url.protocol === 'https:' ? tlsAgent : plainAgent,
      timeout: 0,
    },
    (answer) => {
      response.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers));
      answer.on('data', (piece: Buffer) => {
        received += piece.length;
      });
      answer.pipe(response);
      answer.once('error', () => response.destroy());
    },
  );
  request.on('data', (piece: Buffer) => {
    sent += piece.length;
  });
  upstream.once('error', (error) => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502, { [reasonHeader]: error.message.replace(/[^\x20-\x7e]/g, ' '), connection: 'close' }).end();
  });
  upstream.once('close', () => options.stats.closed({ sentBytes: sent, receivedBytes: received }));
  response.once('close', () => upstream.destroy());
  request.pipe(upstream);
}
