import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { gunzip, inflate } from 'node:zlib';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { MalformedOtlp } from './record.ts';

export interface OtlpHttpOptions {
  /** Address to bind; `0.0.0.0` when containers must reach it. */
  readonly host: string;
  readonly port?: number;
  /** As sent. An exporter's batch of 512 spans is about 130 KB. */
  readonly maxBodyBytes?: number;
  /** After decompression. */
  readonly maxInflatedBytes?: number;
}

/** `POST /v1/traces` and `GET /healthz`. A bad request is answered, never thrown; `accept` throws MalformedOtlp for one. */
export async function serveOtlpHttp(
  options: OtlpHttpOptions,
  accept: (body: Buffer, json: boolean) => void,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const { host, port = 0, maxBodyBytes = 16 << 20, maxInflatedBytes = 64 << 20 } = options;
  const traces = async (request: IncomingMessage, response: ServerResponse) => {
    const type = String(request.headers['content-type'] ?? '')
      .split(';', 1)[0]
      ?.trim();
    const json = type === 'application/json';
    if (!json && type !== 'application/x-protobuf') return refuse(response, false, 415, `content type ${type || '(none)'} is not OTLP`);
    try {
      const body = await inflated(await readBody(request, maxBodyBytes), request.headers['content-encoding'], maxInflatedBytes);
      accept(body, json);
      response.writeHead(200, { 'content-type': json ? 'application/json' : 'application/x-protobuf' });
      response.end(json ? '{"partialSuccess":{}}' : undefined);
    } catch (error) {
      if (error instanceof Refusal) return refuse(response, json, error.status, error.message);
      if (error instanceof MalformedOtlp) return refuse(response, json, 400, error.message);
      throw error;
    }
  };

  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0];
    if (path === '/healthz') {
      response.writeHead(200, { 'content-type': 'text/plain' }).end('ok\n');
    } else if (path !== '/v1/traces') {
      refuse(response, true, 404, `there is nothing at ${path}; traces go to /v1/traces`);
    } else if (request.method !== 'POST') {
      refuse(response, true, 405, 'traces are posted');
    } else {
      traces(request, response).catch((error: unknown) => refuse(response, true, 500, String(error)));
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  // An exporter on this host cannot send to "any address".
  const reachable = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;

  return {
    url: `http://${reachable}:${bound.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = () => new Refusal(413, `a body may have at most ${maxBytes} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of request as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > maxBytes) throw tooLarge();
      pieces.push(piece);
    }
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal(400, 'the body broke off');
  }
  return Buffer.concat(pieces, size);
}

const decompress = { gzip: promisify(gunzip), deflate: promisify(inflate) };

async function inflated(body: Buffer, encoding: string | undefined, maxOutputLength: number): Promise<Buffer> {
  if (encoding === undefined || encoding === 'identity') return body;
  if (encoding !== 'gzip' && encoding !== 'deflate') throw new Refusal(415, `content encoding ${encoding} is not supported`);
  try {
    return await decompress[encoding](body, { maxOutputLength });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ERR_BUFFER_TOO_LARGE') throw new Refusal(413, `a body may have at most ${maxOutputLength} bytes once decompressed`);
    throw new Refusal(400, `not ${encoding} data`);
  }
}

/** OTLP answers errors with a google.rpc.Status (code = 1, message = 2) in the content type of the request. */
function refuse(response: ServerResponse, json: boolean, status: number, message: string): void {
  if (response.headersSent) return;
  const invalidArgument = 3;
  // What was not read of the request would be taken for the next one, so the connection ends here.
  response.writeHead(status, { 'content-type': json ? 'application/json' : 'application/x-protobuf', connection: 'close' });
  if (json) response.end(JSON.stringify({ code: invalidArgument, message }));
  else response.end(new BinaryWriter().tag(1, 0).int32(invalidArgument).tag(2, 2).string(message).finish());
}
