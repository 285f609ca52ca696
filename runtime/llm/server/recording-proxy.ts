import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import { Agent, type Dispatcher, request as send } from 'undici';
import { askerHeaders, type Json, type RecordedTiming } from '../../../compiler/contracts/index.ts';
import { outsideConnector } from '../../egress/route.ts';
import { readText } from '../../replay/http.ts';
import type { Recorder } from '../../replay/recorder.ts';
import { ApiError } from './chat-request.ts';
import { apiPath, askerOf, type Fields, includesUsage, opaqueQuestion } from './openai-request.ts';
import { countTokens } from './prompt.ts';
import { createEventCutter, createListener, type HeardReply } from './recorded-stream.ts';
import { promptParts } from './replay-prompt.ts';

const bodyLimitBytes = 32 * 1024 * 1024;

export interface RecordingProxyOptions {
  /** Logical name of the model. */
  readonly target: string;
  /** Base URL up to and with `/v1`; undefined while it is not known. */
  readonly upstream: () => string | undefined;
  /** Whether the upstream is a server of ours, which is told who asks. */
  readonly ours: boolean;
  readonly recorder: Recorder;
}

/** Passes on every request to a model endpoint and writes down what was asked and answered. */
export interface RecordingProxy {
  answer(request: IncomingMessage, response: ServerResponse): Promise<void>;
  close(): Promise<void>;
}

/** They belong to one connection, or are made anew. A compressed reply could not be read. */
const ownHeaders = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
  ...['host', 'content-length', 'accept-encoding', 'expect'],
]);

export function createRecordingProxy({ target, upstream, ours, recorder }: RecordingProxyOptions): RecordingProxy {
  const dispatcher = new Agent({ connections: 256, headersTimeout: 0, bodyTimeout: 0, connect: outsideConnector() });

  async function route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const base = upstream();
    const path = apiPath(request.url);
    const text = await readText(request, bodyLimitBytes);
    if (base === undefined) throw new ApiError(503, null, `the endpoint of model ${target} is not known yet`);
    const search = /\?.*$/.exec(request.url ?? '')?.[0] ?? '';
    const body = request.method === 'POST' ? bodyOf(text) : undefined;
    const chat = body !== undefined && path === '/chat/completions' && (body.n ?? 1) === 1 && Array.isArray(body.messages);
    const wanted = chat && body.stream === true && !includesUsage(body) ? withUsage(body) : undefined;
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const atMs = Date.now();
    const startMs = performance.now();
    const reply = await send(`${base.replace(/\/$/, '')}${path}${search}`, {
      method: (request.method ?? 'GET') as Dispatcher.HttpMethod,
      headers: passedOn(request, ours),
      body: request.method === 'POST' ? (wanted === undefined ? text : JSON.stringify(wanted)) : null,
      signal: gone.signal,
      dispatcher,
    });
    const seen: Seen = { atMs, startMs, requestBytes: Buffer.byteLength(text), asker: askerOf(request), path, body: body ?? {} };
    const streams = String(reply.headers['content-type'] ?? '').startsWith('text/event-stream');
    if (chat && streams && reply.statusCode === 200) await passStream(reply, response, seen, wanted !== undefined);
    else await passWhole(reply, response, seen, chat, body !== undefined);
  }

  interface Seen {
    readonly atMs: number;
    readonly startMs: number;
    readonly requestBytes: number;
    readonly asker: ReturnType<typeof askerOf>;
    readonly path: string;
    readonly body: Fields;
  }

  function keep(seen: Seen, heard: HeardReply, replyBytes: number, timing: RecordedTiming): void {
    const visible = heard.content.text + heard.content.toolCalls.map((call) => call.name + call.arguments).join('');
    const estimated = {
      tokensIn: promptParts(seen.body).tokensEstimated,
      tokensCached: 0,
      tokensOut: countTokens(visible),
      tokensReasoning: 0,
    };
    recorder.model({
      ...{ target, ...seen.asker, atMs: seen.atMs, request: seen.body, requestBytes: seen.requestBytes, replyBytes },
      reply: heard.content,
      usage: heard.usage ?? estimated,
      timing: heard.queueMs === undefined ? timing : { ...timing, queueMs: heard.queueMs },
    });
  }

  /** The line stands in the file before the last byte goes out: what a client has seen whole is recorded. */
  async function passWhole(
    reply: Dispatcher.ResponseData,
    response: ServerResponse,
    seen: Seen,
    chat: boolean,
    asked: boolean,
  ): Promise<void> {
    const body = Buffer.from(await reply.body.arrayBuffer());
    const totalMs = performance.now() - seen.startMs;
    if (reply.statusCode === 200 && asked) {
      const text = body.toString('utf8');
      const listener = createListener();
      const json = chat ? bodyOf(text) : undefined;
      if (json !== undefined) listener.hear(json);
      const heard = listener.heard();
      const timing = { firstMs: totalMs, totalMs };
      if (heard !== undefined) keep(seen, heard, body.length, timing);
      else if (!chat) {
        const contentType = String(reply.headers['content-type'] ?? 'application/json');
        recorder.value('opaque', {
          ...{ target, ...seen.asker, atMs: seen.atMs, requestBytes: seen.requestBytes, replyBytes: body.length, timing },
          request: opaqueQuestion(seen.path, seen.body),
          reply: { contentType, body: text },
        });
      }
    }
    response.writeHead(reply.statusCode, headersBack(reply, body.length)).end(body);
  }

  async function passStream(reply: Dispatcher.ResponseData, response: ServerResponse, seen: Seen, usageIsOurs: boolean): Promise<void> {
    const listener = createListener();
    const times: number[] = [];
    let replyBytes = 0;
    let ending = '';
    const cutter = createEventCutter((raw, data) => {
      const piece = data === '[DONE]' || data === '' ? undefined : bodyOf(data);
      if (piece !== undefined) listener.hear(piece);
      if (piece !== undefined && hasContent(piece)) times.push(performance.now() - seen.startMs);
      // A usage the client did not ask for would surprise it.
      if (usageIsOurs && piece !== undefined && Array.isArray(piece.choices) && piece.choices.length === 0) return;
      if (data === '[DONE]') ending += raw;
      else response.write(raw);
    });
    response.writeHead(reply.statusCode, headersBack(reply));
    const decoder = new StringDecoder('utf8');
    for await (const bytes of reply.body as AsyncIterable<Buffer>) {
      replyBytes += bytes.length;
      cutter.push(decoder.write(bytes));
    }
    cutter.push(decoder.end());
    cutter.end();
    const totalMs = performance.now() - seen.startMs;
    const heard = listener.heard();
    if (heard !== undefined) {
      const firstMs = times[0] ?? totalMs;
      keep(seen, heard, replyBytes, { firstMs, totalMs, gapsMs: times.slice(1).map((ms, index) => ms - (times[index] ?? 0)) });
    }
    response.end(ending);
  }

  return {
    answer: (request, response) =>
      route(request, response).catch((error: unknown) => {
        if (response.headersSent || response.destroyed) {
          response.destroy();
          return;
        }
        const known =
          error instanceof ApiError
            ? error
            : new ApiError(502, null, `the endpoint of model ${target} failed: ${(error as Error).message}`);
        const text = JSON.stringify(known.body());
        response.writeHead(known.status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text);
      }),
    close: () => dispatcher.destroy(),
  };
}

function bodyOf(text: string): Fields | undefined {
  try {
    const value = JSON.parse(text) as Json;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}

const withUsage = (body: Fields): Fields => ({ ...body, stream_options: { ...(body.stream_options as object), include_usage: true } });

function hasContent(piece: Fields): boolean {
  const delta = (
    piece.choices as readonly { readonly delta?: { readonly content?: unknown; readonly tool_calls?: unknown } }[] | undefined
  )?.[0]?.delta;
  return Boolean(delta?.content) || Boolean(delta?.tool_calls);
}

/** Headers of ours stay here unless the server is ours too. */
function passedOn({ headers }: IncomingMessage, ours: boolean): Record<string, string> {
  const asker = new Set<string>(Object.values(askerHeaders));
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || ownHeaders.has(name) || (asker.has(name) && !ours)
        ? []
        : [[name, Array.isArray(value) ? value.join(', ') : value]],
    ),
  );
}

function headersBack(reply: Dispatcher.ResponseData, lengthBytes?: number): OutgoingHttpHeaders {
  const kept = Object.entries(reply.headers).filter(([name, value]) => value !== undefined && !ownHeaders.has(name));
  return { ...Object.fromEntries(kept), ...(lengthBytes === undefined ? {} : { 'content-length': lengthBytes }) } as OutgoingHttpHeaders;
}
