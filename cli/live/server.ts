import { chmodSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { DmasError } from '../../compiler/contracts/index.ts';
import type { ApplyRequest, LiveEvent, LiveFacts, LiveOutcome } from './contract.ts';

export interface LiveHandlers {
  readonly facts: () => Promise<LiveFacts>;
  /** Throws at once when it cannot begin. What happens goes on when whoever asked is gone. */
  readonly apply: (request: ApplyRequest, tell: (event: LiveEvent) => void) => Promise<LiveOutcome>;
  readonly interrupt: () => void;
}

/** The control socket of a running deployment (see `contract.ts`). Only its owner may open it. */
export async function startLiveServer(socket: string, handlers: LiveHandlers): Promise<{ close(): Promise<void> }> {
  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    void answer(handlers, request, response).catch((error: unknown) => sendError(response, error));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path: socket }, () => {
      chmodSync(socket, 0o600);
      resolve();
    });
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(handlers: LiveHandlers, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const route = `${request.method} ${request.url}`;
  if (route === 'GET /deployment') {
    sendJson(response, 200, await handlers.facts());
  } else if (route === 'PUT /configuration') {
    const wanted = JSON.parse(await readAll(request)) as ApplyRequest;
    const tell = (event: LiveEvent) => {
      if (response.destroyed) return;
      if (!response.headersSent) response.writeHead(200, { 'content-type': 'application/x-ndjson' });
      response.write(`${JSON.stringify(event)}\n`);
    };
    const outcome = await handlers.apply(wanted, tell);
    tell({ type: 'ended', outcome });
    response.end();
  } else if (route === 'DELETE /configuration') {
    handlers.interrupt();
    sendJson(response, 202, {});
  } else {
    request.resume();
    sendJson(response, 404, { code: 'DMAS_CLI_USAGE', message: `no ${route}` });
  }
}

async function readAll(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function sendError(response: ServerResponse, error: unknown): void {
  if (response.destroyed) return;
  if (response.headersSent) return void response.destroy();
  sendJson(
    response,
    409,
    error instanceof DmasError ? error.problems : [{ code: 'DMAS_INTERNAL', severity: 'error', message: String(error) }],
  );
}
