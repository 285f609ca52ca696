import OpenAI from 'openai';
import type { ChatCompletionCreateParams, ChatCompletionMessageParam } from 'openai/resources/chat/completions';
import { askerHeaders } from '../../compiler/contracts/index.ts';
import type { ChatMessage, ChatModel, ChatReply, ChatRequest, SendPermit } from './backend.ts';
import { modelCallError } from './openai-errors.ts';
import { readWhole, StreamedReply } from './openai-reply.ts';
import { withRetries } from './retries.ts';
import { createPooledFetch } from './undici-fetch.ts';

export interface OpenAiClientOptions {
  /** Up to and with `/v1`. */
  readonly baseUrl: string;
  /** Name sent on the wire. */
  readonly model: string;
  readonly key: string | undefined;
  /** How often a call is repeated after 429, 5xx and broken connections. */
  readonly retries: number;
  readonly connections: number;
  /** A stream on which nothing comes for so long is given up; 0: never. */
  readonly stallTimeoutMs: number;
  readonly maxTokensParameter: 'max_tokens' | 'max_completion_tokens';
  /** Other parameters of the request, e.g. `temperature`. */
  readonly extra?: { readonly [parameter: string]: string | number | boolean };
}

/** Of what an endpoint says in an error, enough to know it by: some answer with whole pages. */
const longestMessage = 1_000;

/** A chat model behind an OpenAI-compatible endpoint, through the `openai` package. */
export function createOpenAiModel(options: OpenAiClientOptions): ChatModel {
  const pool = createPooledFetch(options.connections);
  const settings = {
    baseURL: options.baseUrl,
    // The package insists on a key; servers without one ignore it.
    apiKey: options.key ?? 'none',
    organization: null,
    project: null,
    maxRetries: 0,
    // Calls are bounded by their signal; this is the longest timer there is.
    timeout: 2 ** 31 - 1,
    logLevel: 'off',
  } as const;
  const whole = new OpenAI({ ...settings, fetch: pool.fetch });
  const streaming = new OpenAI({ ...settings, fetch: pool.watched(options.stallTimeoutMs) });
  const hideKey = (message: string) => {
    const hidden = options.key ? message.replaceAll(options.key, '***') : message;
    return hidden.length > longestMessage ? `${hidden.slice(0, longestMessage)}…` : hidden;
  };

  return {
    chat: (request, signal, emit, gate) => {
      const body = bodyOf(request, options);
      const headers = headersOf(request);
      let emitted = false;
      const passOn =
        emit &&
        ((text: string) => {
          emitted = true;
          emit(text);
        });
      const once = async (attempt: number): Promise<ChatReply> => {
        // A controller per call: the package never takes its listener off the signal it is given.
        const controller = new AbortController();
        const abort = () => controller.abort(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        let permit: SendPermit | undefined;
        let reply: ChatReply | undefined;
        try {
          signal.throwIfAborted();
          permit = await gate?.enter(signal);
          const sending = { signal: controller.signal, ...(headers === undefined ? {} : { headers }) };
          const answering = passOn ? chatStreaming(streaming, body, request, sending, passOn) : chatWhole(whole, body, request, sending);
          permit?.sent();
          reply = await answering;
          return attempt === 1 ? reply : { ...reply, attempts: attempt };
        } catch (error) {
          throw modelCallError(error, signal, hideKey);
        } finally {
          permit?.leave(reply && reply.usage.tokensIn + reply.usage.tokensOut);
          signal.removeEventListener('abort', abort);
        }
      };
      return withRetries(options.retries, signal, once, () => !emitted);
    },
  };
}

type Body = Omit<ChatCompletionCreateParams, 'stream'>;

function bodyOf(request: ChatRequest, options: OpenAiClientOptions): Body {
  const { tools, responseSchema, maxTokens, seed } = request;
  return {
    ...options.extra,
    ...request.parameters,
    model: options.model,
    messages: request.messages.map(wireMessage),
    ...(tools.length === 0
      ? {}
      : {
          tools: tools.map(({ name, description, parameters }) => ({
            type: 'function' as const,
            function: { name, description, parameters: parameters as Record<string, unknown> },
          })),
        }),
    ...(responseSchema === undefined
      ? {}
      : {
          response_format: {
            type: 'json_schema' as const,
            json_schema: { name: 'answer', schema: responseSchema as Record<string, unknown> },
          },
        }),
    ...(maxTokens === undefined ? {} : { [options.maxTokensParameter]: maxTokens }),
    ...(seed === undefined ? {} : { seed }),
  };
}

function wireMessage(message: ChatMessage): ChatCompletionMessageParam {
  const { role, content, toolCalls = [], toolCallId = '' } = message;
  if (role === 'tool') return { role, content, tool_call_id: toolCallId };
  if (role !== 'assistant' || toolCalls.length === 0) return { role, content };
  const calls = toolCalls.map(({ id, name, arguments: args }) => ({ id, type: 'function' as const, function: { name, arguments: args } }));
  return { role, content: content === '' ? null : content, tool_calls: calls };
}

interface Sending {
  readonly signal: AbortSignal;
  readonly headers?: { readonly [name: string]: string };
}

function headersOf({ asker }: ChatRequest): Sending['headers'] {
  if (asker === undefined) return undefined;
  const { agent, conversation } = asker;
  return { [askerHeaders.conversation]: conversation, ...(agent === undefined ? {} : { [askerHeaders.agent]: agent }) };
}

async function chatWhole(client: OpenAI, body: Body, request: ChatRequest, sending: Sending): Promise<ChatReply> {
  const startMs = performance.now();
  const { data, response } = await client.chat.completions.create({ ...body, stream: false }, sending).withResponse();
  const firstChunkMs = performance.now() - startMs;
  return { ...queueOf(response), ...readWhole(data, request), firstChunkMs };
}

async function chatStreaming(
  client: OpenAI,
  body: Body,
  request: ChatRequest,
  sending: Sending,
  emit: (text: string) => void,
): Promise<ChatReply> {
  const startMs = performance.now();
  const params = { ...body, stream: true as const, stream_options: { include_usage: true } };
  const { data: chunks, response } = await client.chat.completions.create(params, sending).withResponse();
  let firstChunkMs: number | undefined;
  const reply = new StreamedReply();
  for await (const chunk of chunks as AsyncIterable<unknown>) {
    firstChunkMs ??= performance.now() - startMs;
    const text = reply.take(chunk);
    if (text !== '') emit(text);
  }
  // The package ends its iteration quietly when it is aborted.
  sending.signal.throwIfAborted();
  return { ...queueOf(response), ...reply.end(request), firstChunkMs: firstChunkMs ?? performance.now() - startMs };
}

/** The header is there before the body is; where both say it, the body does so later and better. */
function queueOf(response: Response): { queueMs?: number } {
  const header = response.headers.get('x-dmas-queue-ms');
  const queueMs = header === null ? Number.NaN : Number(header);
  return Number.isFinite(queueMs) ? { queueMs } : {};
}
