import type { IncomingMessage, ServerResponse } from 'node:http';
import { request as send } from 'undici';
import type { Json } from '../../../compiler/contracts/index.ts';
import { readText } from '../../replay/http.ts';
import { blockKeys } from '../server/block-keys.ts';
import { ApiError } from '../server/chat-request.ts';
import { textFormat } from '../server/prometheus.ts';
import { charactersPerToken } from '../server/prompt.ts';
import { promptTexts } from '../server/replay-prompt.ts';
import { forward } from './forward.ts';
import { mergeMetrics } from './merge-metrics.ts';
import type { Replica, Replicas } from './replicas.ts';

const bodyLimitBytes = 32 * 1024 * 1024;
const scrapeTimeoutMs = 5_000;
/** As vLLM's default. The servers behind may have another; a router only compares prompts with each other. */
const blockTokens = 16;

/** Answers one request by passing it to a replica; one that certainly did not begin it lets another have it. */
export async function proxy(replicas: Replicas, byPrefix: boolean, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url ?? '/';
  const method = request.method ?? 'GET';
  if (method === 'GET' && (path === '/health' || path === '/metrics')) {
    request.resume();
    if (path === '/metrics') return answerMetrics(replicas, response);
    if (!replicas.all.some(({ up }) => up)) throw nobody();
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    return;
  }
  const text = await readText(request, bodyLimitBytes);
  const prefix = byPrefix && method === 'POST' ? prefixOf(text) : [];
  const passed = { method, path, headers: request.headers, body: method === 'GET' ? null : text };
  const tried = new Set<Replica>();
  for (;;) {
    const chosen = replicas.choose(prefix, tried);
    if (chosen === undefined) throw nobody();
    const { replica } = chosen;
    tried.add(replica);
    const last = !replicas.all.some((one) => one.up && !tried.has(one));
    try {
      const outcome = await forward(replica, passed, response, last);
      if (outcome === 'answered') return;
      replicas.failed(replica);
      if (outcome === 'refused') continue;
      if (response.headersSent) {
        // The client sees that its reply broke off, as it would without a router.
        response.destroy();
        return;
      }
      throw new ApiError(502, null, `The model server ${replica.address.replica} broke off before it answered.`);
    } finally {
      chosen.done();
    }
  }
}

const nobody = () => new ApiError(503, 'service_unavailable', 'No model server can be reached at present.');

/** Beginnings of a chat's or a completion's prompt, block by block; none where it is neither. */
function prefixOf(text: string): readonly string[] {
  try {
    const body = JSON.parse(text) as { readonly [key: string]: Json };
    const texts = typeof body.prompt === 'string' ? [body.prompt] : promptTexts(body);
    return blockKeys(texts, blockTokens, charactersPerToken);
  } catch {
    return [];
  }
}

async function answerMetrics(replicas: Replicas, response: ServerResponse): Promise<void> {
  const parts = await Promise.all(
    replicas.all.map(async ({ url, address: { replica } }) => {
      try {
        const { statusCode, body } = await send(`${url}/metrics`, { signal: AbortSignal.timeout(scrapeTimeoutMs) });
        const text = await body.text();
        return statusCode === 200 ? [{ replica, text }] : [];
      } catch {
        // A replica that is out has nothing to say; its series end, as they would without a router.
        return [];
      }
    }),
  );
  response.writeHead(200, { 'content-type': textFormat }).end(mergeMetrics(parts.flat()));
}
