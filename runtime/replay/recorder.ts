import { createHash } from 'node:crypto';
import {
  type CassetteEntry,
  type Json,
  type ModelContent,
  type RecordedTiming,
  type RecordedUsage,
  type RecordRules,
  sealEntry,
  type TapeKeys,
  type TapeKind,
} from '../../compiler/contracts/index.ts';
import { openCassetteWriter } from './cassette-writer.ts';
import { chatKeys, valueKeys } from './keys.ts';
import { createOccurrences } from './occurrences.ts';
import { type Scrub, scrubJson } from './scrub.ts';

/** Who asked, as far as they said. */
export interface Asker {
  readonly caller?: string | undefined;
  readonly conversation?: string | undefined;
}

export interface Exchange extends Asker {
  readonly target: string;
  /** Epoch time of the request, in milliseconds. */
  readonly atMs: number;
  readonly request: Json;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly timing: RecordedTiming;
}

export interface ModelExchange extends Exchange {
  readonly reply: ModelContent;
  readonly usage: RecordedUsage;
}

/** Writes down what was asked and answered, as far as the rules allow. Throws what the disk says. */
export interface Recorder {
  model(exchange: ModelExchange): void;
  /** Of a tool or agent: `{value}`; of an opaque call `{contentType, body}`. */
  value(kind: Exclude<TapeKind, 'model'>, exchange: Exchange & { readonly reply: Json }): void;
  readonly recorded: number;
  close(): Promise<void>;
}

export function createRecorder(file: string, rules: RecordRules, scrub: Scrub): Recorder {
  const writer = openCassetteWriter(file);
  const occurrences = createOccurrences();
  let recorded = 0;

  const keep = (kind: TapeKind, exchange: Exchange, keys: TapeKeys, rest: Pick<CassetteEntry, 'request' | 'reply'>) => {
    const { target, caller, conversation, timing } = exchange;
    writer.append(
      sealEntry({
        kind,
        target,
        keys,
        ...(caller === undefined ? {} : { caller: scrub(caller) }),
        ...(conversation === undefined ? {} : { conversation: conversationHash(conversation) }),
        occurrence: occurrences.next({ kind, target, loose: keys.loose, caller, conversation }),
        ...rest,
        timing: rounded(timing),
      }),
    );
    recorded++;
  };
  const requestOf = ({ request, requestBytes }: Exchange, messages?: number) => ({
    sizeBytes: requestBytes,
    ...(messages === undefined ? {} : { messages }),
    ...(rules.content === 'full' ? { content: scrubJson(request, scrub) } : {}),
  });
  const keyRules = ({ atMs }: Exchange) => ({ scrub, ignore: rules.ignore, nowMs: atMs });

  return {
    model: (exchange) => {
      const { reply, usage, replyBytes, request } = exchange;
      const messages = (request as { readonly messages?: unknown }).messages;
      keep('model', exchange, chatKeys(exchange.target, request, keyRules(exchange)), {
        request: requestOf(exchange, Array.isArray(messages) ? messages.length : undefined),
        reply: {
          sizeBytes: replyBytes,
          shape: { textLength: reply.text.length, toolCalls: reply.toolCalls.map((call) => call.name), finish: reply.finish },
          usage,
          ...(rules.content === 'hash' ? {} : { content: scrubJson(reply as unknown as Json, scrub) }),
        },
      });
    },
    value: (kind, exchange) => {
      keep(kind, exchange, valueKeys(kind, exchange.target, exchange.request, keyRules(exchange)), {
        request: requestOf(exchange),
        reply: { sizeBytes: exchange.replyBytes, ...(rules.content === 'hash' ? {} : { content: scrubJson(exchange.reply, scrub) }) },
      });
    },
    get recorded() {
      return recorded;
    },
    close: () => writer.close(),
  };
}

/** Enough to tell conversations apart, and nothing of what their ids may hold. */
const conversationHash = (conversation: string) => createHash('sha256').update(conversation).digest('hex').slice(0, 16);

const tenth = (ms: number) => Math.round(ms * 10) / 10;
const rounded = ({ firstMs, totalMs, queueMs, gapsMs }: RecordedTiming): RecordedTiming => ({
  firstMs: tenth(firstMs),
  totalMs: tenth(totalMs),
  ...(queueMs === undefined ? {} : { queueMs: tenth(queueMs) }),
  ...(gapsMs === undefined ? {} : { gapsMs: gapsMs.map(tenth) }),
});
