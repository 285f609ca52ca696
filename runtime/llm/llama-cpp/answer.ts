import type { ServerResponse } from 'node:http';
import type { ChatCall } from '../server/chat-request.ts';
import type { SlotTimings } from './slot-engine.ts';

export interface AnsweredCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** How a reply ended, told once. */
export interface AnswerEnd {
  readonly finish: 'stop' | 'length' | 'tool_calls';
  readonly toolCalls: readonly AnsweredCall[];
  readonly tokensIn: number;
  readonly timings: SlotTimings;
}

/** What the client sees. */
export interface Answer {
  /** The first token is there. */
  begin(queuedMs: number): void;
  text(piece: string): void;
  end(end: AnswerEnd): void;
}

/** A chat completion as OpenAI's API words it, whole or as server-sent events. */
export function createAnswer(id: string, call: ChatCall, response: ServerResponse): Answer {
  return call.stream ? streamed(id, call, response) : whole(id, call, response);
}

function whole(id: string, call: ChatCall, response: ServerResponse): Answer {
  let text = '';
  return {
    begin: () => {},
    text: (piece) => {
      text += piece;
    },
    end: (end) => {
      const toolCalls = end.toolCalls.map(({ id: callId, name, arguments: given }) => ({
        id: callId,
        type: 'function',
        function: { name, arguments: given },
      }));
      const message = { role: 'assistant', content: toolCalls.length > 0 ? null : text, refusal: null };
      const body = JSON.stringify({
        id,
        object: 'chat.completion',
        created: epochSeconds(),
        model: call.model,
        choices: [
          {
            index: 0,
            message: toolCalls.length > 0 ? { ...message, tool_calls: toolCalls } : message,
            logprobs: null,
            finish_reason: end.finish,
          },
        ],
        usage: usageOf(end),
        x_dmas: timesOf(end.timings),
      });
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'x-dmas-queue-ms': end.timings.queuedMs.toFixed(3),
      });
      response.end(body);
    },
  };
}

function streamed(id: string, call: ChatCall, response: ServerResponse): Answer {
  const head = { id, object: 'chat.completion.chunk', created: epochSeconds(), model: call.model };
  // With include_usage every chunk has a usage field, null but in the last. Source: OpenAI API reference, stream_options.
  const nothing = call.includeUsage ? { usage: null } : {};
  const chunk = (delta: object, finish: string | null) =>
    `data: ${JSON.stringify({ ...head, choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }], ...nothing })}\n\n`;
  const opening = chunk({ role: 'assistant', content: '' }, null);
  let begun = false;
  const opened = () => {
    const text = begun ? '' : opening;
    begun = true;
    return text;
  };
  return {
    begin: (queuedMs) => {
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache',
        'x-dmas-queue-ms': queuedMs.toFixed(3),
      });
      // The first token may show nothing yet: a letter in several bytes, or a tool call.
      response.write(opened());
    },
    text: (piece) => {
      response.write(chunk({ content: piece }, null));
    },
    end: (end) => {
      const calls = end.toolCalls.map(({ id: callId, name, arguments: given }, index) =>
        chunk({ tool_calls: [{ index, id: callId, type: 'function', function: { name, arguments: given } }] }, null),
      );
      const last = { ...head, choices: [], usage: usageOf(end), x_dmas: timesOf(end.timings) };
      const usage = call.includeUsage ? `data: ${JSON.stringify(last)}\n\n` : '';
      response.end(`${calls.join('')}${chunk({}, end.finish)}${usage}data: [DONE]\n\n`);
    },
  };
}

const epochSeconds = () => Math.floor(Date.now() / 1000);

function usageOf({ tokensIn, timings }: AnswerEnd): object {
  return {
    prompt_tokens: tokensIn,
    completion_tokens: timings.tokensOut,
    total_tokens: tokensIn + timings.tokensOut,
    prompt_tokens_details: { cached_tokens: timings.tokensCached },
    completion_tokens_details: { reasoning_tokens: 0 },
  };
}

const timesOf = ({ queuedMs, prefillMs, decodeMs }: SlotTimings) => ({ queue_ms: queuedMs, prefill_ms: prefillMs, decode_ms: decodeMs });
