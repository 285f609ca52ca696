import type { Json, ModelContent, RecordedUsage } from '../../../compiler/contracts/index.ts';

/** What a reply of chat completions said, whole or streamed, put together. */
export interface HeardReply {
  readonly content: ModelContent;
  readonly usage: RecordedUsage | undefined;
  /** The endpoint's own word on its queue. */
  readonly queueMs: number | undefined;
}

interface Piece {
  readonly choices?: readonly {
    readonly finish_reason?: string | null;
    readonly message?: Spoken;
    readonly delta?: Spoken;
  }[];
  readonly usage?: {
    readonly prompt_tokens?: number;
    readonly completion_tokens?: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
    readonly completion_tokens_details?: { readonly reasoning_tokens?: number } | null;
  } | null;
  readonly x_dmas?: { readonly queue_ms?: number };
}
interface Spoken {
  readonly content?: string | null;
  readonly tool_calls?:
    | readonly { readonly index?: number; readonly function?: { readonly name?: string; readonly arguments?: string } }[]
    | null;
}

/** Collects the pieces of one reply. */
export function createListener(): { hear(piece: Json): void; heard(): HeardReply | undefined } {
  let text = '';
  let finish: string | undefined;
  let usage: Piece['usage'];
  let queueMs: number | undefined;
  const calls: { name: string; arguments: string }[] = [];
  return {
    hear: (json) => {
      if (typeof json !== 'object' || json === null) return;
      const piece = json as Piece;
      usage = piece.usage ?? usage;
      queueMs = piece.x_dmas?.queue_ms ?? queueMs;
      const choice = piece.choices?.[0];
      finish = choice?.finish_reason ?? finish;
      const spoken = choice?.message ?? choice?.delta;
      text += spoken?.content ?? '';
      spoken?.tool_calls?.forEach((part, position) => {
        const index = part.index ?? position;
        calls[index] ??= { name: '', arguments: '' };
        const call = calls[index] as (typeof calls)[number];
        call.name ||= part.function?.name ?? '';
        call.arguments += part.function?.arguments ?? '';
      });
    },
    // Without a reason to finish it broke off.
    heard: () =>
      finish === undefined
        ? undefined
        : { content: { text, toolCalls: calls.filter((call) => call !== undefined), finish }, usage: usageOf(usage), queueMs },
  };
}

function usageOf(usage: Piece['usage']): RecordedUsage | undefined {
  if (!usage) return undefined;
  return {
    tokensIn: usage.prompt_tokens ?? 0,
    tokensCached: usage.prompt_tokens_details?.cached_tokens ?? 0,
    tokensOut: usage.completion_tokens ?? 0,
    tokensReasoning: usage.completion_tokens_details?.reasoning_tokens ?? 0,
  };
}

/** Cuts a stream of server-sent events into events, each with its text as it came. */
export function createEventCutter(onEvent: (raw: string, data: string) => void): { push(text: string): void; end(): void } {
  let rest = '';
  const cut = (raw: string) => {
    const data = raw
      .split(/\r?\n/)
      .flatMap((line) => (line.startsWith('data:') ? [line.slice(5).trimStart()] : []))
      .join('\n');
    onEvent(raw, data);
  };
  return {
    push: (text) => {
      rest += text;
      for (let end = /\r?\n\r?\n/.exec(rest); end !== null; end = /\r?\n\r?\n/.exec(rest)) {
        const until = end.index + end[0].length;
        cut(rest.slice(0, until));
        rest = rest.slice(until);
      }
    },
    end: () => {
      if (rest !== '') cut(rest);
      rest = '';
    },
  };
}
