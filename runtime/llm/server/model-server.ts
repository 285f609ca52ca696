import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Json } from '../../../compiler/contracts/index.ts';
import { createDrainingServer } from '../../draining-server.ts';
import { createPool, type Pool } from '../engine/pool.ts';
import type { StepTime } from '../engine/step-time.ts';
import { ApiError, parseChatCall } from './chat-request.ts';
import { answerChat, type ChatServing } from './completion.ts';
import { createGpuMeter, gpusOf } from './gpu-metrics.ts';
import { type ObservedStepTime, observedStepTime } from './iterations.ts';
import { createLiveEngine } from './live-engine.ts';
import { createEngineMetrics, type EngineMetrics, vllmFamilies } from './metrics.ts';
import { modelList, unknownModel } from './model-list.ts';
import { readServiceOptions } from './options.ts';
import { printFamilies, textFormat } from './prometheus.ts';
import { parseReplies } from './replies.ts';

const bodyLimitBytes = 32 * 1024 * 1024;

export interface ModelServer {
  readonly server: Server;
  /** Until then every request is answered with 503. */
  coldForMs(): number;
  /** Takes no new connections, waits for what is in flight up to `drainMs`, then closes. */
  close(drainMs: number): Promise<void>;
}

/**
 * An OpenAI-compatible HTTP server with a simulated model and engine behind it; not yet listening. Throws a DmasError
 * when the options or the replies are not valid.
 */
export function createModelServer(id: string, options: { readonly [option: string]: Json }): ModelServer {
  const { setup, queueLimit, tokensPerChunk, models, replies } = readServiceOptions(options);
  const { args, replicas, coldStartMs } = setup;
  const rules = parseReplies(replies);
  const metrics = Array.from({ length: replicas }, createEngineMetrics);
  const gpus = gpusOf(setup, models[0]);
  const steps: ObservedStepTime[] = [];
  // Requests before the end of the cold start are turned away below, so the pool's own replicas are up from the start.
  const pool: Pool = createPool({ ...setup, coldStartMs: 0 }, { stepTimeOf: observed });
  const serving: ChatServing = {
    engine: createLiveEngine(pool, tokensPerChunk),
    metrics,
    rules,
    queueLimit,
    contextTokens: args.kvBlocks * args.blockSize,
    keyedBlockSize: args.prefixCaching || (replicas > 1 && setup.router === 'prefix-affinity') ? args.blockSize : null,
  };
  const meter = gpus === null ? null : createGpuMeter(gpus);
  const startedMs = performance.now();
  const coldForMs = () => Math.max(0, startedMs + coldStartMs - performance.now());
  const served = models.length > 0 ? models : [id];

  /** Ranks that step each for itself ask in no order that would tell whose steps are over. */
  function observed(replica: number): StepTime {
    if (args.dataParallelSize > 1 && !args.expertParallel) return setup.stepTime;
    const iteration = (tokens: number, times: number) => metrics[replica]?.iteration(tokens, times);
    steps[replica] = observedStepTime(setup.stepTime, () => pool.stepsOver(replica), iteration);
    return steps[replica];
  }

  function printMetrics(): string {
    const readings = serving.engine.stats();
    for (const each of steps) each.settle();
    const engines = readings.map((reading, replica) => ({ ...reading, counts: (metrics[replica] as EngineMetrics).counts }));
    const cache = { blockSize: args.blockSize, blocks: args.kvBlocks * args.dataParallelSize, prefixCaching: args.prefixCaching };
    const ranks = args.expertParallel ? 1 : args.dataParallelSize;
    const busyMs = readings.map(({ stats }) => stats.busyMs / ranks);
    return printFamilies([...vllmFamilies(models[0] ?? id, engines, cache), ...(meter?.families(busyMs, serving.engine.nowMs()) ?? [])]);
  }

  const { server, drain } = createDrainingServer((request, response) => {
    answer(request, response).catch((error: unknown) => sendError(response, error));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (request.method === 'POST' && path === '/v1/chat/completions') {
      const text = await readBody(request);
      if (coldForMs() > 0) throw new ColdStart(coldForMs());
      const call = parseChatCall(text);
      if (models.length > 0 && !models.includes(call.model)) throw unknownModel(call.model);
      answerChat(serving, call, response);
      return;
    }
    request.resume();
    if (request.method !== 'GET') throw new ApiError(404, 'unknown_url', `Unknown request URL: ${request.method} ${path}.`);
    if (path === '/metrics') {
      response.writeHead(200, { 'content-type': textFormat }).end(printMetrics());
      return;
    }
    if (coldForMs() > 0) throw new ColdStart(coldForMs());
    if (path === '/health') return sendJson(response, 200, {});
    const list = modelList(path, served);
    if (list !== undefined) return sendJson(response, 200, list);
    throw new ApiError(404, 'unknown_url', `Unknown request URL: GET ${path}.`);
  }

  return {
    server,
    coldForMs,
    close: async (drainMs) => {
      await drain(drainMs);
      serving.engine.stop();
    },
  };
}

/** Its engines are still loading their weights. */
class ColdStart extends ApiError {
  readonly retryAfterMs: number;
  constructor(retryAfterMs: number) {
    super(503, 'service_unavailable', 'The engine is starting.');
    this.retryAfterMs = retryAfterMs;
  }
}

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
  const retryAfterMs = known instanceof ColdStart ? known.retryAfterMs : known.status === 429 ? 100 : undefined;
  if (retryAfterMs !== undefined)
    response.setHeader('retry-after-ms', String(Math.ceil(retryAfterMs))).setHeader('retry-after', String(Math.ceil(retryAfterMs / 1000)));
  if (known.status === 413) response.setHeader('connection', 'close');
  sendJson(response, known.status, known.body());
}
