import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { Agent, request } from 'undici';
import { outsideConnector } from '../egress/route.ts';

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

export interface PooledFetch {
  readonly fetch: Fetch;
  /** The same pool for replies that come in pieces: fails when nothing comes for so long, headers included; 0: never. */
  watched(silenceMs: number): Fetch;
  close(): Promise<void>;
}

/** Below the two minutes after which our own servers and most others close an idle connection. */
const keepAliveMs = 30_000;

/**
 * `fetch` on undici's `request` with a pool of its own: the built-in one costs several times the CPU per call. Just
 * as much of it as the `openai` package uses: string bodies, JSON and event-stream replies.
 */
export function createPooledFetch(connections: number): PooledFetch {
  // The caller's signal bounds every call, so the pool has no limits of its own.
  const dispatcher = new Agent({
    connections,
    keepAliveTimeout: keepAliveMs,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: outsideConnector(),
  });
  const watched =
    (silenceMs: number): Fetch =>
    async (input, init = {}) => {
      const { statusCode, headers, body } = await request(input instanceof Request ? input.url : input, {
        method: (init.method ?? 'GET') as 'GET' | 'POST',
        headers: Object.fromEntries(new Headers(init.headers)),
        body: typeof init.body === 'string' ? init.body : null,
        signal: init.signal ?? null,
        // Bytes count, not events: a comment that keeps the connection alive is a sign of life.
        headersTimeout: silenceMs,
        bodyTimeout: silenceMs,
        dispatcher,
      });
      const flat = Object.entries(headers).map(([name, value]): [string, string] => [
        name,
        Array.isArray(value) ? value.join(', ') : (value ?? ''),
      ]);
      const streams = String(headers['content-type'] ?? '').startsWith('text/event-stream');
      // Only a reply that comes in pieces is worth a stream.
      const content = streams ? (Readable.toWeb(body) as ReadableStream<Uint8Array>) : await wholeBody(body);
      return new Response(statusCode === 204 || statusCode === 304 ? null : content, { status: statusCode, headers: flat });
    };
  return { fetch: watched(0), watched, close: () => dispatcher.destroy() };
}

/** A reply that began and did not end. */
export class BrokenReply extends Error {}

async function wholeBody(body: { text(): Promise<string> }): Promise<string> {
  try {
    return await body.text();
  } catch (cause) {
    throw new BrokenReply(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
