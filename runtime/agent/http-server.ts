import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { BindAddress } from '../../compiler/contracts/binding.ts';
import { CallError, type CallErrorValue, callErrorCodes } from '../../compiler/contracts/call-errors.ts';

/** Largest body taken, as a guard for the process. */
const bodyLimitBytes = 64 * 1024 * 1024;
/** Well above the idle time of clients, so that a client never writes into a connection being closed. */
const keepAliveMs = 75_000;

export interface RunningServer {
  readonly at: BindAddress;
  /** Gives the port free for a successor and closes idle connections; requests under way go on. */
  stopAccepting(): void;
  /** Ends what is left. */
  close(): Promise<void>;
}

/** A plain HTTP/1.1 server with keep-alive at a bound address; port 0 takes a free one. */
export async function startServer(
  at: BindAddress,
  listener: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<RunningServer> {
  const server = createServer({ keepAliveTimeout: keepAliveMs, requestTimeout: 0 }, listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  const bound = 'path' in at || typeof address !== 'object' || address === null ? at : { host: at.host, port: address.port };
  let closing: Promise<void> | undefined;
  const stopAccepting = () => {
    closing ??= new Promise((resolve) => server.close(() => resolve()));
  };
  const close = async () => {
    stopAccepting();
    // One turn of the loop lets answers written in this one reach their sockets.
    setImmediate(() => server.closeAllConnections());
    await closing;
  };
  return { at: bound, stopAccepting, close };
}

/** The whole body. @throws CallError `invalid` when it is too large, `cancelled` when the client went away. */
export function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let sizeBytes = 0;
    request.on('data', (piece: Buffer) => {
      sizeBytes += piece.length;
      if (sizeBytes <= bodyLimitBytes) pieces.push(piece);
    });
    request.on('end', () => {
      if (sizeBytes > bodyLimitBytes) reject(invalid(`the body is larger than ${bodyLimitBytes} bytes`));
      else resolve(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces));
    });
    const gone = () => reject(new CallError({ code: 'cancelled', message: 'the client went away' }));
    request.on('error', gone);
    request.on('close', () => (request.complete ? undefined : gone()));
  });
}

/** @throws CallError `invalid` */
export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (error) {
    throw invalid(`the body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: { readonly [name: string]: string } = {},
): void {
  if (response.headersSent || response.destroyed) return;
  const text = JSON.stringify(value ?? null);
  response.writeHead(status, { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

export function sendError(response: ServerResponse, error: CallErrorValue, headers: { readonly [name: string]: string } = {}): void {
  sendJson(response, callErrorCodes[error.code].status, error, headers);
}

const invalid = (message: string) => new CallError({ code: 'invalid', message });
