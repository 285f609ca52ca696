import OpenAI from 'openai';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionCreateParams,
  ChatCompletionMessageParam,
} from 'openai/resources/chat/completions';
import { askerHeaders, CallError } from '../../compiler/contracts/index.ts';
import type { ChatMessage, ChatModel, ChatReply, ChatRequest, ToolCall } from './backend.ts';
import { modelCallError } from './openai-errors.ts';
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
  readonly maxTokensParameter: 'max_tokens' | 'max_completion_tokens';
  /** Other parameters of the request, e.g. `temperature`. */
  readonly extra?: { readonly [parameter: string]: string | number | boolean };
}

/** Our own extension of chat completions (see `docs/models.md`); absent with other servers. */
interface Extended {
  readonly x_dmas?: { readonly queue_ms: number };
}

/** A chat model behind an OpenAI-compatible endpoint, through the `openai` package. */
export function createOpenAiModel(options: OpenAiClientOptions): ChatModel {
  const client = new OpenAI({
    baseURL: options.baseUrl,
    // The package insists on a key; servers without one ignore it.
    apiKey: options.key ?? 'none',
    organization: null,
    project: null,
    maxRetries: 0,
    // Calls are bounded by their signal; this is the longest timer there is.
    timeout: 2 ** 31 - 1,
    logLevel: 'off',
    fetch: createPooledFetch(options.connections).fetch,
  });
  const hideKey = (message: string) => (options.key ? message.replaceAll(options.key, '***') : message);

  return {
    chat: (request, signal, emit) => {
      const body = bodyOf(request, options);
      const headers = headersOf(request);
      let emitted = false;
      const passOn =
        emit &&
        ((text: string) => {
          emitted = true;
          emit(text);
        });
      const once = async () => {
        // A controller per call: the package never takes its listener off the signal it is given.
        const controller = new AbortController();
        const abort = () => controller.abort(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        try {
          signal.throwIfAborted();
          const sending = { signal: controller.signal, ...(headers === undefined ? {} : { headers }) };
          return passOn ? await chatStreaming(client, body, sending, passOn) : await chatWhole(client, body, sending);
        } catch (error) {
          throw modelCallError(error, signal, hideKey);
        } finally {
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

async function chatWhole(client: OpenAI, body: Body, sending: Sending): Promise<ChatReply> {
  const startMs = performance.now();
  const { data, response } = await client.chat.completions.create({ ...body, stream: false }, sending).withResponse();
  const firstChunkMs = performance.now() - startMs;
  const choice = (data as ChatCompletion & Extended)?.choices?.[0];
  if (!choice?.message) throw new CallError({ code: 'failed', message: 'the model endpoint answered without a choice' });
  const toolCalls = (choice.message.tool_calls ?? []).flatMap((call) =>
    call.type === 'function' ? [{ id: call.id, name: call.function.name, arguments: call.function.arguments }] : [],
  );
  return {
    text: choice.message.content ?? '',
    toolCalls,
    finish: finishOf(choice.finish_reason, toolCalls),
    usage: usageOf(data.usage),
    firstChunkMs,
    ...queueOf(response, data as Extended),
  };
}

async function chatStreaming(client: OpenAI, body: Body, sending: Sending, emit: (text: string) => void): Promise<ChatReply> {
  const startMs = performance.now();
  const params = { ...body, stream: true as const, stream_options: { include_usage: true } };
  const { data: chunks, response } = await client.chat.completions.create(params, sending).withResponse();
  let firstChunkMs: number | undefined;
  let text = '';
  let finish: string | undefined;
  let usage: ChatCompletion['usage'] | null;
  let extension: Extended = {};
  const calls: { id: string; name: string; arguments: string }[] = [];
  for await (const chunk of chunks as AsyncIterable<ChatCompletionChunk & Extended>) {
    firstChunkMs ??= performance.now() - startMs;
    usage = chunk.usage ?? usage;
    if (chunk.x_dmas) extension = chunk;
    const choice = chunk.choices?.[0];
    if (!choice) continue;
    finish = choice.finish_reason ?? finish;
    if (choice.delta?.content) {
      text += choice.delta.content;
      emit(choice.delta.content);
    }
    for (const delta of choice.delta?.tool_calls ?? []) {
      calls[delta.index] ??= { id: '', name: '', arguments: '' };
      const call = calls[delta.index] as (typeof calls)[number];
      call.id ||= delta.id ?? '';
      call.name ||= delta.function?.name ?? '';
      call.arguments += delta.function?.arguments ?? '';
    }
  }
  // The package ends its iteration quietly when it is aborted.
  sending.signal.throwIfAborted();
  if (finish === undefined) throw new CallError({ code: 'unavailable', message: 'the reply of the model ended early' });
  const toolCalls = calls.filter((call) => call !== undefined);
  return {
    text,
    toolCalls,
    finish: finishOf(finish, toolCalls),
    usage: usageOf(usage),
    firstChunkMs: firstChunkMs ?? performance.now() - startMs,
    ...queueOf(response, extension),
  };
}

function finishOf(reason: string, toolCalls: readonly ToolCall[]): ChatReply['finish'] {
  if (toolCalls.length > 0) return 'tool_calls';
  return reason === 'length' ? 'length' : 'stop';
}

function usageOf(usage: ChatCompletion['usage'] | null): ChatReply['usage'] {
  return {
    tokensIn: usage?.prompt_tokens ?? 0,
    tokensCached: usage?.prompt_tokens_details?.cached_tokens ?? 0,
    tokensOut: usage?.completion_tokens ?? 0,
  };
}

function queueOf(response: Response, body: Extended): { queueMs?: number } {
  const header = response.headers.get('x-dmas-queue-ms');
  const queueMs = body.x_dmas?.queue_ms ?? (header === null ? Number.NaN : Number(header));
  return Number.isFinite(queueMs) ? { queueMs } : {};
}
