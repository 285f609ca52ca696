import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type DrawReply,
  type Json,
  type ModelContent,
  type RecordedReply,
  type RecordedTiming,
  type TokenCounts,
  toCallError,
} from '../../../compiler/contracts/index.ts';
import { readText } from '../../replay/http.ts';
import { chatKeys, valueKeys } from '../../replay/keys.ts';
import type { Scrub } from '../../replay/scrub.ts';
import type { TapeClient } from '../../replay/tape-client.ts';
import { createTimedPrefixCache } from '../../replay/timed-prefix-cache.ts';
import { createPool } from '../engine/pool.ts';
import { ApiError } from './chat-request.ts';
import { answerTo, type Exchange } from './completion.ts';
import { createLiveEngine } from './live-engine.ts';
import { apiPath, askerOf, type Fields, fieldsOf, includesUsage, opaqueQuestion } from './openai-request.ts';
import { countTokens } from './prompt.ts';
import { type ReplayServiceOptions, syntheticEngine } from './replay-options.ts';
import { type PromptParts, promptParts, scaledTo } from './replay-prompt.ts';
import { playRecorded } from './replay-times.ts';
import type { Reply } from './reply.ts';
import { syntheticReply } from './synthetic-reply.ts';

const bodyLimitBytes = 32 * 1024 * 1024;

/** One replica of a replayed model: its prefix cache, its engine if it has one, and its share of the count. */
export interface ReplayModel {
  answer(request: IncomingMessage, response: ServerResponse): Promise<void>;
  tokens(): { readonly [model: string]: TokenCounts };
  close(): void;
}

export function createReplayModel(options: ReplayServiceOptions, tape: TapeClient, scrub: Scrub): ReplayModel {
  const { target, cache: cacheOptions } = options;
  const cache = createTimedPrefixCache(cacheOptions.capacityTokens, cacheOptions.lifetimeMs, () => performance.now());
  // Made-up replies have no recorded times.
  // Each replica of a replayed model is a process of its own.
  const engine = createLiveEngine(
    createPool({ ...(options.engine ?? syntheticEngine), replicas: 1, coldStartMs: 0 }),
    options.tokensPerChunk,
  );
  const counted = { tokensIn: 0, tokensCached: 0, tokensOut: 0 };
  let exchanges = 0;

  async function chat(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startMs = performance.now();
    const text = await readText(request, bodyLimitBytes);
    const body = fieldsOf(text);
    const parts = promptParts(body);
    if (body.n !== undefined && body.n !== null && body.n !== 1) return other(request, response, '/chat/completions', body, startMs);
    const keys = chatKeys(target, body, { scrub, ignore: options.ignore, nowMs: Date.now() });
    const drawn = await tape.draw({ kind: 'model', target, keys, ...askerOf(request), tokens: parts.tokensEstimated });
    const hit = admitted(drawn);
    if (hit === undefined && options.onMiss === 'fail') throw missed(request);
    if (response.destroyed) return;
    const content = hit?.reply.content as ModelContent | undefined;
    const made = content === undefined || hit === undefined ? undefined : recordedReply(hit.id, content, hit.reply);
    const reply = made ?? syntheticReply(text, hit?.reply);
    serve(body, parts, reply, hit, startMs, response);
  }

  function serve(body: Fields, parts: PromptParts, reply: Reply, hit: Hit | undefined, startMs: number, response: ServerResponse): void {
    const tokensIn = hit?.reply.usage?.tokensIn || parts.tokensEstimated;
    const tokensOut = reply.tokensVisible + reply.tokensHidden;
    const sizes = scaledTo(parts, tokensIn);
    const useEngine = options.engine !== null || hit === undefined;
    if (useEngine && engine.waiting() >= options.queueLimit)
      throw new ApiError(429, 'rate_limit_exceeded', `${options.queueLimit} requests are waiting already.`);
    const found = cache.lookup(parts.keys, sizes);
    const tokensCached = found >= cacheOptions.minTokens ? Math.min(found, tokensIn) : 0;
    const exchange: Exchange = {
      id: `chatcmpl-${(hit?.id ?? parts.keys.at(-1) ?? '').slice(0, 24)}`,
      call: { model: String(body.model ?? options.model), stream: body.stream === true, includeUsage: includesUsage(body) },
      prompt: { tokensIn },
      reply,
      tokensCached,
    };
    const answer = answerTo(exchange, response);
    const onFirst = () => cache.insert(parts.keys, sizes);
    counted.tokensIn += tokensIn;
    counted.tokensCached += tokensCached;
    counted.tokensOut += tokensOut;
    if (!useEngine) {
      response.once('close', playRecorded(hit.timing, tokensOut, startMs, answer, onFirst));
      return;
    }
    const id = String(exchanges++);
    response.once('close', () => engine.cancel(id));
    try {
      engine.submit({
        id,
        tokensIn,
        tokensCached,
        tokensOut,
        ...(answer.onTokens ? { onTokens: answer.onTokens } : {}),
        onFirst: ({ queuedMs }) => {
          onFirst();
          answer.onFirst(queuedMs);
        },
        onFinished: answer.onFinished,
      });
    } catch (error) {
      throw new ApiError(400, 'context_length_exceeded', (error as Error).message, 'messages');
    }
  }

  /** Any other path of a model's API, as it was recorded. */
  async function other(request: IncomingMessage, response: ServerResponse, path: string, body: Json, startMs: number): Promise<void> {
    const keys = valueKeys('opaque', target, opaqueQuestion(path, body), { scrub, ignore: options.ignore, nowMs: Date.now() });
    const hit = admitted(await tape.draw({ kind: 'opaque', target, keys, ...askerOf(request) }));
    const content = hit?.reply.content as { readonly contentType: string; readonly body: string } | undefined;
    if (hit === undefined || content === undefined) throw missed(request);
    const timer = setTimeout(
      () => {
        if (!response.destroyed) response.writeHead(200, { 'content-type': content.contentType }).end(content.body);
      },
      Math.max(0, startMs + hit.timing.totalMs - (hit.timing.queueMs ?? 0) - performance.now()),
    );
    response.once('close', () => clearTimeout(timer));
  }

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = apiPath(request.url);
    if (request.method === 'POST' && path === '/chat/completions') return chat(request, response);
    if (request.method === 'POST') {
      const startMs = performance.now();
      return other(request, response, path, fieldsOf(await readText(request, bodyLimitBytes)), startMs);
    }
    request.resume();
    const known = { id: options.model, object: 'model', created: 0, owned_by: 'dmas-opt' };
    if (path === '/models') return sendJson(response, 200, { object: 'list', data: [known] });
    if (path === '/health') return sendJson(response, 200, {});
    throw new ApiError(404, 'unknown_url', `Unknown request URL: ${request.method} ${path}.`);
  }

  return {
    answer: (request, response) => route(request, response).catch((error: unknown) => sendError(response, error)),
    tokens: () => ({ [target]: { ...counted } }),
    close: () => engine.stop(),
  };
}

type Hit = { readonly id: string; readonly reply: RecordedReply; readonly timing: RecordedTiming };

function admitted(drawn: DrawReply): Hit | undefined {
  if (drawn.found === 'hit') return drawn;
  if (drawn.found === 'miss') return undefined;
  throw new Throttled(drawn.limit, drawn.retryAfterMs);
}

class Throttled extends ApiError {
  readonly retryAfterMs: number;
  constructor(limit: 'requests' | 'tokens', retryAfterMs: number) {
    super(429, 'rate_limit_exceeded', `The quota of ${limit} per minute is used up; try again in ${retryAfterMs} ms.`);
    this.retryAfterMs = retryAfterMs;
  }
}

function recordedReply(id: string, content: ModelContent, { usage }: RecordedReply): Reply {
  const toolCalls = content.toolCalls.map((call, index) => ({ id: `call_${id.slice(0, 16)}_${index}`, ...call }));
  const visible = content.text + toolCalls.map((call) => call.name + call.arguments).join('');
  const tokensHidden = usage?.tokensReasoning ?? 0;
  return {
    text: content.text,
    toolCalls,
    finish: content.finish as Reply['finish'],
    tokensVisible: Math.max(1, (usage?.tokensOut || countTokens(visible)) - tokensHidden),
    tokensHidden,
  };
}

const missed = (request: IncomingMessage) =>
  new ApiError(
    422,
    'replay_miss',
    `The cassette holds no reply to this request of ${askerOf(request).caller ?? 'an unnamed caller'}; record again with the present inputs.`,
  );

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
}

function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const known =
    error instanceof ApiError ? error : new ApiError(statusOf(error), null, error instanceof Error ? error.message : String(error));
  if (known.status === 429) {
    const waitMs = known instanceof Throttled ? known.retryAfterMs : 100;
    response.setHeader('retry-after-ms', String(waitMs)).setHeader('retry-after', String(Math.ceil(waitMs / 1000)));
  }
  if (known.status === 413) response.setHeader('connection', 'close');
  sendJson(response, known.status, known.body());
}

const statusOf = (error: unknown) => (error instanceof RangeError ? 413 : toCallError(error).code === 'unavailable' ? 503 : 500);
