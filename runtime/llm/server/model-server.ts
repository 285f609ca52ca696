import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Json } from '../../../compiler/contracts/index.ts';
import { createPrefixCache } from '../engine/prefix-cache.ts';
import { ApiError, parseChatCall } from './chat-request.ts';
import { answerChat, type ChatServing } from './completion.ts';
import { createLiveEngine } from './live-engine.ts';
import { createMetrics } from './metrics.ts';
import { readServiceOptions } from './options.ts';
import { parseReplies } from './replies.ts';

const bodyLimitBytes = 32 * 1024 * 1024;
/** Longer than any client keeps an idle connection, so that the client closes it and never writes into a closing one. */
const keepAliveMs = 120_000;

export interface ModelServer {
  readonly server: Server;
  /** Takes no new connections, waits for what is in flight up to `drainMs`, then closes. */
  close(drainMs: number): Promise<void>;
}

/**
 * An OpenAI-compatible HTTP server with a simulated model and engine behind it; not yet listening. Throws a DmasError
 * when the options or the replies are not valid.
 */
export function createModelServer(id: string, options: { readonly [option: string]: Json }): ModelServer {
  const { engine, prefixCacheTokens, queueLimit, tokensPerChunk, models, replies } = readServiceOptions(options);
  const serving: ChatServing = {
    engine: createLiveEngine(engine, tokensPerChunk),
    cache: createPrefixCache(prefixCacheTokens),
    metrics: createMetrics(models[0] ?? id),
    rules: parseReplies(replies),
    queueLimit,
    kvTokens: engine.args.kvBlocks * engine.args.blockSize,
  };
  const served = models.length > 0 ? models : [id];
  let closing = false;
  const server = createServer({ keepAliveTimeout: keepAliveMs }, (request, response) => {
    // A connection kept alive after its last answer would hold up the drain.
    response.once('close', () => {
      if (closing) setImmediate(() => server.closeIdleConnections());
    });
    answer(request, response).catch((error: unknown) => sendError(response, error));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (request.method === 'POST' && path === '/v1/chat/completions') {
      const call = parseChatCall(await readBody(request));
      if (models.length > 0 && !models.includes(call.model)) throw unknownModel(call.model);
      answerChat(serving, call, response);
      return;
    }
    request.resume();
    if (request.method !== 'GET') throw new ApiError(404, 'unknown_url', `Unknown request URL: ${request.method} ${path}.`);
    if (path === '/v1/models') return sendJson(response, 200, { object: 'list', data: served.map(modelObject) });
    if (path.startsWith('/v1/models/')) {
      const name = decodeURIComponent(path.slice('/v1/models/'.length));
      if (!served.includes(name)) throw unknownModel(name);
      return sendJson(response, 200, modelObject(name));
    }
    if (path === '/health') return sendJson(response, 200, {});
    if (path === '/metrics') {
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
      response.end(serving.metrics.render(serving.engine.stats()));
      return;
    }
    throw new ApiError(404, 'unknown_url', `Unknown request URL: GET ${path}.`);
  }

  return {
    server,
    close: async (drainMs) => {
      closing = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      const limit = setTimeout(() => server.closeAllConnections(), drainMs);
      await closed;
      clearTimeout(limit);
      serving.engine.stop();
    },
  };
}

const modelObject = (name: string) => ({ id: name, object: 'model', created: 0, owned_by: 'dmas-opt' });
const unknownModel = (name: string) => new ApiError(404, 'model_not_found', `The model \`${name}\` does not exist.`, 'model');

/** By events: iterating a request costs several times the CPU, and this process shares its host with what is measured. */
export function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let sizeBytes = 0;
    request.on('data', (piece: Buffer) => {
      sizeBytes += piece.length;
      if (sizeBytes <= bodyLimitBytes) pieces.push(piece);
      else reject(new ApiError(413, 'request_too_large', `The body is larger than ${bodyLimitBytes} bytes.`));
    });
    request.once('end', () => resolve(Buffer.concat(pieces).toString('utf8')));
    request.once('error', reject);
  });
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const known = error instanceof ApiError ? error : new ApiError(500, null, error instanceof Error ? error.message : String(error));
  if (known.status === 429) response.setHeader('retry-after-ms', '100').setHeader('retry-after', '1');
  if (known.status === 413) response.setHeader('connection', 'close');
  sendJson(response, known.status, known.body());
}
