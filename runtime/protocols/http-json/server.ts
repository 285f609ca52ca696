import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type BindAddress, type CallError, callErrorCodes, type Pattern, toCallError } from '../../../compiler/contracts/index.ts';
import type { CallHandler, Listener } from '../protocol.ts';
import { bodyLimitBytes, joinBytes, jsonType, parseJson, streamType, toJsonText, tooLarge } from '../wire/body.ts';
import { cancelledError, drainingError, encodeCallError, invalidError } from '../wire/errors.ts';
import { InFlight, type ServedCall, serveCall } from '../wire/incoming.ts';
import { listenAt } from '../wire/listen.ts';
import { callHeader, decodeMeta, metaPrefixBytes } from '../wire/meta.ts';

/**
 * Idle connections are closed by clients (see `idleMs` in client.ts) well before this, so that a client never writes
 * into a connection the server is closing.
 */
const keepAliveMs = 75_000;
/** Room for long `tracestate` and `baggage` beside our own header; Node's default is 16 KB. */
const maxHeaderBytes = 64 * 1024;

interface Context {
  readonly handler: CallHandler;
  readonly inFlight: InFlight;
}

export async function listenHttp(at: BindAddress, handler: CallHandler): Promise<Listener> {
  const context: Context = { handler, inFlight: new InFlight() };
  // requestTimeout 0: a large body over a slow link is no attack here; the call's own deadline bounds it.
  const server = createServer({ maxHeaderSize: maxHeaderBytes, keepAliveTimeout: keepAliveMs, requestTimeout: 0 }, (request, response) =>
    receive(context, request, response),
  );
  server.on('clientError', answerMalformed);
  const listening = await listenAt(server, at);
  return {
    at: listening,
    async close(drainMs) {
      await context.inFlight.drain(drainMs);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // One turn of the loop lets answers written in this one reach their sockets.
      setImmediate(() => server.closeAllConnections());
      await closed;
    },
  };
}

/** Collects the body, then runs the call. */
function receive(context: Context, request: IncomingMessage, response: ServerResponse): void {
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  let refused = false;
  context.inFlight.begin();
  let served: ServedCall | undefined;
  response.on('close', () => {
    context.inFlight.end();
    if (served !== undefined && !response.writableFinished) served.cancel(cancelledError('the callee'));
  });
  const refuse = (error: CallError) => {
    refused = true;
    answerError(context, response, error);
  };
  if (context.inFlight.draining) refuse(drainingError(request.url ?? '/'));
  else if (Number(request.headers['content-length'] ?? 0) > bodyLimitBytes) refuse(tooLarge('the request body'));
  request.on('data', (piece: Buffer) => {
    sizeBytes += piece.length;
    // A refused body is read to its end and dropped, so that the sender gets to read the answer.
    if (refused) return;
    pieces.push(piece);
    if (sizeBytes > bodyLimitBytes) {
      pieces.length = 0;
      refuse(tooLarge('the request body'));
    }
  });
  request.on('end', () => {
    if (refused) return;
    try {
      served = dispatch(context, request, response, joinBytes(pieces, sizeBytes));
    } catch (error) {
      refuse(toCallError(error));
    }
  });
  request.on('error', () => response.destroy());
}

function dispatch(context: Context, request: IncomingMessage, response: ServerResponse, bytes: Buffer): ServedCall {
  if (request.method !== 'POST') throw invalidError(`only POST is understood, not ${request.method}`);
  const { target, pattern } = parseUrl(request.url ?? '/');
  const started = performance.now();
  const { headers } = request;
  const prefixBytes = metaPrefixBytes(headers[callHeader] as string | undefined);
  if (prefixBytes > bytes.length) throw invalidError(`header ${callHeader} names more bytes than there are`);
  const meta = decodeMeta(
    (name) => headers[name] as string | undefined,
    prefixBytes > 0 ? bytes.toString('latin1', 0, prefixBytes) : undefined,
  );
  let body: unknown;
  try {
    body = parseJson(bytes, prefixBytes);
  } catch (error) {
    throw invalidError(`the request body is not JSON: ${(error as Error).message}`);
  }
  const wire = { requestBytes: bytes.length - prefixBytes, deserializeMs: performance.now() - started };
  const served = serveCall(context.handler, { target, pattern, body, meta, wire }, (chunk) => writeChunk(response, chunk));
  served.result.then(
    (output) => answer(context, response, pattern, output),
    (error: CallError) => answerError(context, response, error),
  );
  return served;
}

/** `/<target>?pattern=<pattern>`; the pattern is `request` when absent. */
function parseUrl(url: string): { readonly target: string; readonly pattern: Pattern } {
  const question = url.indexOf('?');
  const path = question === -1 ? url : url.slice(0, question);
  const pattern = question === -1 ? 'request' : (new URLSearchParams(url.slice(question)).get('pattern') ?? 'request');
  if (pattern !== 'request' && pattern !== 'stream' && pattern !== 'send' && pattern !== 'publish') {
    throw invalidError(`unknown pattern ${pattern}`);
  }
  let target: string;
  try {
    target = decodeURIComponent(path.slice(1));
  } catch (error) {
    throw invalidError(`malformed target ${path}`, error);
  }
  if (target === '') throw invalidError('the path names no component');
  return { target, pattern };
}

function answer(context: Context, response: ServerResponse, pattern: Pattern, output: unknown): void {
  if (response.destroyed) return;
  if (pattern === 'stream') {
    finishStream(response, () => frame('output', output));
    return;
  }
  let text: string;
  try {
    text = toJsonText(output, 'the output');
  } catch (error) {
    answerError(context, response, toCallError(error));
    return;
  }
  const accepted = pattern !== 'request';
  respond(context, response, accepted ? 202 : 200, accepted ? '' : text);
}

function answerError(context: Context, response: ServerResponse, error: CallError): void {
  if (response.destroyed || response.writableEnded) return;
  const json = encodeCallError(error.value);
  if (response.headersSent) response.end(`{"error":${json}}\n`);
  else respond(context, response, callErrorCodes[error.code].status, json);
}

function respond(context: Context, response: ServerResponse, status: number, text: string): void {
  const headers = ['content-type', jsonType, 'content-length', String(Buffer.byteLength(text))];
  // While draining every answer is the last on its connection, so that the next call goes to another replica.
  if (context.inFlight.draining) headers.push('connection', 'close');
  response.writeHead(status, headers);
  response.end(text);
}

/** One frame per line: `{"chunk":…}` any number of times, then `{"output":…}` or `{"error":…}`; `{"empty":"chunk"}` is undefined. */
function frame(kind: 'chunk' | 'output', value: unknown): string {
  const json = toJsonText(value, `the ${kind}`);
  return json === '' ? `{"empty":"${kind}"}\n` : `{"${kind}":${json}}\n`;
}

function writeChunk(response: ServerResponse, chunk: unknown): void {
  const line = frame('chunk', chunk);
  if (response.destroyed) return;
  if (!response.headersSent) response.writeHead(200, ['content-type', streamType]);
  response.write(line);
}

function finishStream(response: ServerResponse, lastLine: () => string): void {
  let line: string;
  try {
    line = lastLine();
  } catch (error) {
    line = `{"error":${encodeCallError(toCallError(error).value)}}\n`;
  }
  if (!response.headersSent) response.writeHead(200, ['content-type', streamType]);
  response.end(line);
}

/** What is not even HTTP gets a typed answer too, and loses its connection. */
function answerMalformed(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const json = encodeCallError(invalidError(`malformed HTTP request: ${error.message}`).value);
  const status = callErrorCodes.invalid.status;
  socket.end(
    `HTTP/1.1 ${status} Invalid\r\ncontent-type: ${jsonType}\r\ncontent-length: ${Buffer.byteLength(json)}\r\nconnection: close\r\n\r\n${json}`,
  );
}
