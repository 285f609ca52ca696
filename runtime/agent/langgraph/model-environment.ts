import { AsyncLocalStorage } from 'node:async_hooks';
import { performance } from 'node:perf_hooks';
import { context, SpanKind, trace } from '@opentelemetry/api';
import { CallError, toCallError } from '../../../compiler/contracts/call-errors.ts';
import { attr, spanName } from '../../../compiler/contracts/trace-attributes.ts';
import type { SendPermit } from '../../llm/backend.ts';
import { prefixAttribute, promptPartsOfBody } from '../../llm/prompt-parts.ts';
import { replyAttributes } from '../models.ts';
import type { Runtime } from '../runtime.ts';
import { type ActiveSpan, endSpan } from '../tracing.ts';

/**
 * A graph reaches its model by itself, with an OpenAI client that takes its address from the environment. When the scenario
 * binds a model, this makes that address one of ours: calls to it go to the bound model's servers, which are not known
 * before the unit runs, and show as model calls in the trace.
 *
 * Generated entries import this before the user's module, which may make its client while it is loaded. It sees calls made
 * with the global `fetch`, as the `openai` package and `@langchain/openai` make them.
 */
export interface ModelEnvironment {
  /** Until then calls fail, as they would before any server is up. */
  attach(runtime: Runtime): void;
  /** Runs the code of an agent, so that its calls are known as its own where agents of this unit have pools of their own. */
  within<T>(agent: string, work: () => Promise<T>): Promise<T>;
}

/** Never looked up: a reserved name (RFC 6761) that only says where such a call was meant to go. */
export const modelBaseUrl = 'http://model.dmas-opt.invalid/v1';

let runtime: Runtime | undefined;

const atWork = new AsyncLocalStorage<string>();

export const modelEnvironment: ModelEnvironment = openEnvironment();

function openEnvironment(): ModelEnvironment {
  process.env.OPENAI_BASE_URL = modelBaseUrl;
  // Clients insist on a key; the bound model's own goes on the wire.
  process.env.OPENAI_API_KEY ??= 'none';
  const plain = globalThis.fetch;
  globalThis.fetch = async (input, init) => {
    const url = typeof input === 'string' ? input : input instanceof URL ? input.href : input.url;
    return url.startsWith(modelBaseUrl) ? callModel(plain, new Request(input, init), url.slice(modelBaseUrl.length)) : plain(input, init);
  };
  return {
    attach: (present) => {
      runtime = present;
    },
    // Storage that follows every promise has its price, so only those pay who need it.
    within: (agent, work) => (runtime?.program.unit.agentModels === undefined ? work() : atWork.run(agent, work)),
  };
}

async function callModel(plain: typeof fetch, request: Request, path: string): Promise<Response> {
  const { models, tracing } = runtime ?? {};
  if (models === undefined || tracing === undefined) throw new TypeError('a model was called before the unit was up');
  const body = await request.text();
  const fields = fieldsOf(body);
  const asked = typeof fields.model === 'string' ? fields.model : '';
  const parts = promptPartsOfBody(fields);
  const maxTokens = [fields.max_completion_tokens, fields.max_tokens].find((value) => typeof value === 'number');
  return models.direct({ asked, agent: atWork.getStore(), parts, maxTokens }, async ({ url, key, name, wireName, attributes, gate }) => {
    const headers = new Headers(request.headers);
    headers.delete('content-length');
    if (key !== undefined) headers.set('authorization', `Bearer ${key}`);
    const base = new URL(url).pathname === '/' ? `${url.replace(/\/$/, '')}/v1` : url.replace(/\/$/, '');
    // Inside a turn there is a span; a call from anywhere else belongs to no request.
    const here = trace.getSpanContext(context.active()) === undefined ? undefined : context.active();
    const span = tracing.start({ context: here, headers: {} }, spanName.chat(name), SpanKind.CLIENT);
    let permit: SendPermit | undefined;
    try {
      permit = await gate?.enter(request.signal);
      const startMs = performance.now();
      const target = {
        method: request.method,
        headers,
        signal: request.signal,
        ...(body === '' ? {} : { body: withModel(body, fields, wireName) }),
      };
      const answering = plain(`${base}${path}`, target);
      permit?.sent();
      const response = await answering;
      const seen = new Seen(startMs, response.headers.get('x-dmas-queue-ms'));
      const end = () => {
        const facts = seen.facts();
        const { tokensIn, tokensOut } = facts.usage;
        gate?.learn(facts.usage);
        permit?.leave(tokensIn + tokensOut > 0 ? tokensIn + tokensOut : undefined);
        if (span === undefined) return;
        const prefix = tokensIn > 0 && parts.length > 0 ? { [attr.prefix]: prefixAttribute(parts, tokensIn) } : {};
        endSpan(span, refusal(response), { ...attributes, ...replyAttributes(facts), ...gate?.attributes(), ...prefix });
      };
      if (span === undefined && permit === undefined) return response;
      if (response.headers.get('content-type')?.startsWith('text/event-stream') === true) return watched(response, seen, end);
      const text = await response.text();
      seen.whole(text);
      end();
      return new Response(text, response);
    } catch (error) {
      permit?.leave();
      failed(span, error, { ...attributes, ...gate?.attributes() });
      throw error;
    }
  });
}

/** Its caller reads the status by itself; the trace shows that there was no reply. */
function refusal({ ok, status }: Response): CallError | undefined {
  if (ok) return undefined;
  const code = status === 429 ? 'overloaded' : status >= 500 ? 'unavailable' : 'failed';
  return new CallError({ code, message: `the model endpoint answered ${status}` });
}

const failed = (span: ActiveSpan | undefined, error: unknown, attributes: object) => endSpan(span, toCallError(error), { ...attributes });

function fieldsOf(body: string): { readonly [field: string]: unknown } {
  try {
    const fields: unknown = JSON.parse(body);
    return typeof fields === 'object' && fields !== null ? (fields as { readonly [field: string]: unknown }) : {};
  } catch {
    return {};
  }
}

/** A model the code names and the scenario does not is the one the scenario binds instead. */
const withModel = (body: string, fields: { readonly [field: string]: unknown }, wireName: string): string =>
  fields.model === undefined || fields.model === wireName ? body : JSON.stringify({ ...fields, model: wireName });

interface Usage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number };
}

/** What a reply says of its own cost. A stream says it only when its caller asked for that (`stream_options.include_usage`). */
class Seen {
  readonly #startMs: number;
  #queueMs: number | undefined;
  #firstChunkMs: number | undefined;
  #usage: Usage = {};

  constructor(startMs: number, queueMs: string | null) {
    this.#startMs = startMs;
    this.#queueMs = queueMs === null ? undefined : Number(queueMs);
  }

  whole(text: string): void {
    this.#firstChunkMs ??= performance.now() - this.#startMs;
    try {
      const { usage, x_dmas: extension } = JSON.parse(text) as { usage?: Usage | null; x_dmas?: { queue_ms: number } };
      this.#usage = usage ?? this.#usage;
      this.#queueMs = extension?.queue_ms ?? this.#queueMs;
    } catch {
      // Not the reply of a model: an error page, say. It cost no tokens that we could know of.
    }
  }

  facts() {
    const { prompt_tokens: tokensIn = 0, completion_tokens: tokensOut = 0, prompt_tokens_details: details } = this.#usage;
    return {
      usage: { tokensIn, tokensOut, tokensCached: details?.cached_tokens ?? 0 },
      firstChunkMs: this.#firstChunkMs ?? performance.now() - this.#startMs,
      ...(this.#queueMs === undefined || !Number.isFinite(this.#queueMs) ? {} : { queueMs: this.#queueMs }),
    };
  }
}

/** The same response, its events read on their way to the caller. The span ends with the stream, however it ends. */
function watched(response: Response, seen: Seen, end: () => void): Response {
  let rest = '';
  const decoder = new TextDecoder();
  let over = false;
  const once = () => {
    if (!over) end();
    over = true;
  };
  const reader = response.body?.getReader();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await reader?.read().catch((error: unknown) => {
        once();
        throw error;
      });
      if (next === undefined || next.done) {
        once();
        controller.close();
        return;
      }
      const lines = (rest + decoder.decode(next.value, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line.startsWith('data: {')) seen.whole(line.slice('data: '.length));
      controller.enqueue(next.value);
    },
    async cancel(reason) {
      once();
      await reader?.cancel(reason);
    },
  });
  return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
}
