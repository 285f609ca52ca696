import type { ServerResponse } from 'node:http';
import type { RequestTimings } from '../engine/engine.ts';
import { ApiError, type ChatCall } from './chat-request.ts';
import { createDeltas, type Delta } from './deltas.ts';
import type { LiveEngine } from './live-engine.ts';
import type { EngineMetrics } from './metrics.ts';
import { type Prompt, promptBlocks, promptOf } from './prompt.ts';
import type { ReplyRule } from './replies.ts';
import { type Reply, replyTo } from './reply.ts';

/** What one model server is made of. */
export interface ChatServing {
  readonly engine: LiveEngine;
  /** Of each replica. */
  readonly metrics: readonly EngineMetrics[];
  readonly rules: readonly ReplyRule[];
  /** Requests that may wait, over all replicas. */
  readonly queueLimit: number;
  /** Prompt and reply together: what the KV cache of one rank holds. */
  readonly contextTokens: number;
  /** Tokens per block of it; null where nobody asks for the keys of blocks. */
  readonly keyedBlockSize: number | null;
}

/** One reply on its way to its client. */
export interface Exchange {
  readonly id: string;
  readonly call: Pick<ChatCall, 'model' | 'stream' | 'includeUsage'>;
  readonly prompt: Pick<Prompt, 'tokensIn'>;
  readonly reply: Reply;
  /** Where the engine does not say it. */
  readonly tokensCached?: number;
}

let exchanges = 0;

/** Answers when the engine says so. Throws an ApiError when the request cannot be taken. */
export function answerChat(serving: ChatServing, call: ChatCall, response: ServerResponse): void {
  const { engine, metrics, keyedBlockSize } = serving;
  const prompt = promptOf(call);
  const reply = replyTo(call, prompt, serving.rules);
  const tokensOut = reply.tokensVisible + reply.tokensHidden;
  if (prompt.tokensIn + tokensOut > serving.contextTokens) {
    const message = `This model's maximum context length is ${serving.contextTokens} tokens; the request needs ${prompt.tokensIn + tokensOut}.`;
    throw new ApiError(400, 'context_length_exceeded', message, 'messages');
  }
  if (engine.waiting() >= serving.queueLimit) {
    throw new ApiError(429, 'rate_limit_exceeded', `${serving.queueLimit} requests are waiting already.`);
  }
  // The engine's id tells requests in flight apart; what the client sees depends on the content alone.
  const engineId = String(exchanges++);
  const exchange: Exchange = { id: `chatcmpl-${prompt.hash.slice(0, 24)}`, call, prompt, reply };
  const answer = answerTo(exchange, response);
  response.once('close', () => {
    const left = engine.cancel(engineId);
    if (left?.replica !== undefined) metrics[left.replica]?.aborted(left.tokensProduced);
  });
  engine.submit({
    id: engineId,
    tokensIn: prompt.tokensIn,
    tokensOut,
    ...(keyedBlockSize === null ? {} : { prefix: promptBlocks(prompt, reply.tokensHidden > 0 ? undefined : reply, keyedBlockSize) }),
    ...(answer.onTokens ? { onTokens: answer.onTokens } : {}),
    onFirst: (times, replica) => {
      metrics[replica]?.firstToken(times, prompt.tokensIn);
      answer.onFirst(times.queuedMs);
    },
    onFinished: (timings, replica) => {
      metrics[replica]?.finished(timings, tokensOut, reply.finish === 'length' ? 'length' : 'stop');
      answer.onFinished(timings);
    },
  });
}

/** What the client sees, when its moments have come. */
export const answerTo = (exchange: Exchange, response: ServerResponse): Answer =>
  exchange.call.stream ? streamed(exchange, response) : whole(exchange, response);

export interface Answer {
  onFirst(queuedMs: number): void;
  onTokens?(tokensProduced: number): void;
  onFinished(timings: AnswerTimes): void;
}

/** When the engine did what. */
export type AnswerTimes = Pick<RequestTimings, 'queuedMs' | 'prefillMs' | 'decodeMs'> & Partial<Pick<RequestTimings, 'tokensCached'>>;

function whole(exchange: Exchange, response: ServerResponse): Answer {
  const { call, reply } = exchange;
  return {
    onFirst: () => {},
    onFinished: (timings) => {
      const toolCalls = reply.toolCalls.map(({ id, name, arguments: args }) => ({
        id,
        type: 'function',
        function: { name, arguments: args },
      }));
      const message = {
        role: 'assistant',
        content: reply.toolCalls.length > 0 ? null : reply.text,
        refusal: null,
        ...(toolCalls.length > 0 ? { tool_calls: toolCalls } : {}),
      };
      const body = JSON.stringify({
        id: exchange.id,
        object: 'chat.completion',
        created: epochSeconds(),
        model: call.model,
        choices: [{ index: 0, message, logprobs: null, finish_reason: reply.finish }],
        usage: usageOf(exchange, timings),
        x_dmas: timesOf(timings),
      });
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'x-dmas-queue-ms': timings.queuedMs.toFixed(3),
      });
      response.end(body);
    },
  };
}

function streamed(exchange: Exchange, response: ServerResponse): Answer {
  const { call, reply } = exchange;
  const deltas = createDeltas(reply);
  const head = { id: exchange.id, object: 'chat.completion.chunk', created: epochSeconds(), model: call.model };
  let begun = false;
  // With include_usage every chunk has a usage field, null but in the last. Source: OpenAI API reference, stream_options.
  const nothing = call.includeUsage ? { usage: null } : {};
  const chunk = (delta: Delta | { role: 'assistant'; content: string }, finish: string | null) =>
    `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], ...nothing })}\n\n`;
  const chunksUpTo = (tokensProduced: number) => {
    const pieces = deltas.next(tokensProduced - reply.tokensHidden).map((delta) => chunk(delta, null));
    if (begun || pieces.length === 0) return pieces.join('');
    begun = true;
    return chunk({ role: 'assistant', content: '' }, null) + pieces.join('');
  };
  return {
    onFirst: (queuedMs) => {
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache',
        'x-dmas-queue-ms': queuedMs.toFixed(3),
      });
    },
    onTokens: (tokensProduced) => {
      const text = chunksUpTo(tokensProduced);
      if (text !== '') response.write(text);
    },
    onFinished: (timings) => {
      const rest = chunksUpTo(reply.tokensVisible + reply.tokensHidden) + chunk({}, reply.finish);
      const last = { ...head, choices: [], usage: usageOf(exchange, timings), x_dmas: timesOf(timings) };
      response.end(`${rest}${call.includeUsage ? `data: ${JSON.stringify(last)}\n\n` : ''}data: [DONE]\n\n`);
    },
  };
}

const epochSeconds = () => Math.floor(Date.now() / 1000);

function usageOf({ prompt, reply, tokensCached }: Exchange, timings: AnswerTimes): object {
  const tokensOut = reply.tokensVisible + reply.tokensHidden;
  return {
    prompt_tokens: prompt.tokensIn,
    completion_tokens: tokensOut,
    total_tokens: prompt.tokensIn + tokensOut,
    prompt_tokens_details: { cached_tokens: tokensCached ?? timings.tokensCached ?? 0 },
    completion_tokens_details: { reasoning_tokens: reply.tokensHidden },
  };
}

const timesOf = ({ queuedMs, prefillMs, decodeMs }: AnswerTimes) => ({ queue_ms: queuedMs, prefill_ms: prefillMs, decode_ms: decodeMs });
