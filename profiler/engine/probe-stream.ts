import { type Dispatcher, request } from 'undici';
import { createEventReader } from '../load/sse.ts';

export interface ProbeEndpoint {
  /** Up to and with `/v1`. */
  readonly url: string;
  /** Name sent on the wire. */
  readonly model: string;
  readonly apiKey?: string;
}

/** How an endpoint wants to be asked for a reply of a fixed length; the first one it accepts is kept. */
export type LengthWords = 'max_tokens+ignore_eos' | 'max_tokens' | 'max_completion_tokens';
export const lengthWords: readonly LengthWords[] = ['max_tokens+ignore_eos', 'max_tokens', 'max_completion_tokens'];

export interface StreamQuestion {
  readonly prompt: string;
  readonly tokensOut: number;
  readonly words: LengthWords;
}

/** One streamed reply as a client sees it; times in ms of one monotonic clock. */
export interface StreamTimes {
  readonly sentMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** When each piece of the reply came. */
  readonly piecesMs: readonly number[];
  /** As the endpoint counts them; undefined where it does not say. */
  readonly tokensIn?: number;
  readonly tokensOut?: number;
  readonly tokensCached?: number;
}

export type StreamOutcome = { readonly times: StreamTimes } | { readonly status: number; readonly message: string };

/** Asks once and watches the reply come; throws when the connection fails or `signal` ends it. */
export async function watchStream(
  endpoint: ProbeEndpoint,
  question: StreamQuestion,
  dispatcher: Dispatcher,
  signal: AbortSignal,
): Promise<StreamOutcome> {
  const body = JSON.stringify({
    model: endpoint.model,
    messages: [{ role: 'user', content: question.prompt }],
    stream: true,
    stream_options: { include_usage: true },
    ...lengthFields(question),
  });
  const sentMs = performance.now();
  const response = await request(`${endpoint.url.replace(/\/$/, '')}/chat/completions`, {
    method: 'POST',
    dispatcher,
    signal,
    body,
    headers: { 'content-type': 'application/json', ...(endpoint.apiKey ? { authorization: `Bearer ${endpoint.apiKey}` } : {}) },
  });
  if (response.statusCode !== 200) return { status: response.statusCode, message: (await response.body.text()).slice(0, 500) };
  const piecesMs: number[] = [];
  let usage: Usage | undefined;
  let failed: string | undefined;
  let nowMs = sentMs;
  const reader = createEventReader((data) => {
    if (data === '[DONE]') return;
    const event = parse(data);
    if (event?.error) failed = JSON.stringify(event.error).slice(0, 500);
    if (event?.usage) usage = event.usage;
    const delta = event?.choices?.[0]?.delta;
    if (delta && (delta.content || delta.reasoning_content || delta.reasoning || delta.tool_calls)) piecesMs.push(nowMs);
  });
  for await (const bytes of response.body as AsyncIterable<Uint8Array>) {
    nowMs = performance.now();
    reader.push(bytes);
  }
  reader.end();
  if (failed !== undefined) return { status: 200, message: failed };
  const firstMs = piecesMs[0];
  if (firstMs === undefined) return { status: 200, message: 'the reply had no text' };
  return {
    times: {
      sentMs,
      firstMs,
      lastMs: piecesMs[piecesMs.length - 1] ?? firstMs,
      piecesMs,
      ...(usage?.prompt_tokens === undefined ? {} : { tokensIn: usage.prompt_tokens }),
      ...(usage?.completion_tokens === undefined ? {} : { tokensOut: usage.completion_tokens }),
      ...(usage?.prompt_tokens_details?.cached_tokens ? { tokensCached: usage.prompt_tokens_details.cached_tokens } : {}),
    },
  };
}

function lengthFields({ tokensOut, words }: StreamQuestion) {
  if (words === 'max_completion_tokens') return { max_completion_tokens: tokensOut };
  return { max_tokens: tokensOut, ...(words === 'max_tokens' ? {} : { ignore_eos: true }) };
}

interface Usage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
}

interface StreamEvent {
  readonly error?: unknown;
  readonly usage?: Usage | null;
  readonly choices?: readonly {
    readonly delta?: {
      readonly content?: string | null;
      readonly reasoning_content?: string | null;
      readonly reasoning?: string | null;
      readonly tool_calls?: unknown;
    };
  }[];
}

function parse(data: string): StreamEvent | undefined {
  try {
    return JSON.parse(data) as StreamEvent;
  } catch {
    return undefined;
  }
}
