import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Json } from '../../../compiler/contracts/index.ts';
import { createDrainingServer } from '../../draining-server.ts';
import { ApiError, parseChatCall } from '../server/chat-request.ts';
import { modelList, unknownModel } from '../server/model-list.ts';
import { readBody, sendError, sendJson } from '../server/model-server.ts';
import { parseCallOptions } from './call-options.ts';
import { answerChat, type ChatServing } from './chat.ts';
import { createLlamaMetrics } from './metrics.ts';
import { openModel } from './model.ts';
import { readLlamaCppService } from './options.ts';

export interface LlamaCppServer {
  readonly server: Server;
  /** Takes no new connections, waits for what is in flight up to `drainMs`, then closes and frees the model. */
  close(drainMs: number): Promise<void>;
}

/**
 * An OpenAI-compatible HTTP server with llama.cpp behind it, its model loaded; not yet listening.
 *
 * @throws DmasError for options that are not valid, and where node-llama-cpp is not installed
 */
export async function createLlamaCppServer(id: string, options: { readonly [option: string]: Json }): Promise<LlamaCppServer> {
  const service = readLlamaCppService(options);
  const served = service.names.length > 0 ? service.names : [id];
  const model = await openModel(service);
  const serving: ChatServing = { model, metrics: createLlamaMetrics(served[0] ?? id), queueLimit: service.queueLimit };
  const { server, drain } = createDrainingServer((request, response) => {
    answer(request, response).catch((error: unknown) => sendError(response, error));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (request.method === 'POST' && path === '/v1/chat/completions') {
      const body = await readBody(request);
      const call = parseChatCall(body);
      if (service.names.length > 0 && !service.names.includes(call.model)) throw unknownModel(call.model);
      return answerChat(serving, call, parseCallOptions(body), response, (error) => sendError(response, error));
    }
    request.resume();
    if (request.method !== 'GET') throw new ApiError(404, 'unknown_url', `Unknown request URL: ${request.method} ${path}.`);
    const models = modelList(path, served);
    if (models !== undefined) return sendJson(response, 200, models);
    if (path === '/health') return sendJson(response, 200, { status: 'ok' });
    if (path === '/metrics') {
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' });
      response.end(serving.metrics.render(model.engine.stats()));
      return;
    }
    throw new ApiError(404, 'unknown_url', `Unknown request URL: GET ${path}.`);
  }

  return {
    server,
    close: async (drainMs) => {
      await drain(drainMs);
      await model.close();
    },
  };
}
