import { createHash } from 'node:crypto';
import { canonicalJson, type Json } from './json.ts';

/**
 * A cassette: recorded replies of models, tools and external agents. A file of JSON lines, one entry a line, each line
 * canonical JSON and complete in itself, so that two cassettes are merged by the union of their lines and a file that was
 * cut off in the middle of a line loses that line alone.
 */
export interface CassetteEntry {
  readonly schemaVersion: 1;
  /** SHA-256 of the canonical JSON of everything else. Equal ids are equal entries. */
  readonly id: string;
  /** `opaque`: another path of a model's API, kept as it came. */
  readonly kind: TapeKind;
  /** Logical name of the model, or name of the tool or component called. */
  readonly target: string;
  readonly keys: TapeKeys;
  /** Component that asked; absent for somebody who did not say. */
  readonly caller?: string;
  /** The conversation it belonged to, as the start of a SHA-256; absent when nobody said. */
  readonly conversation?: string;
  /** 1 for the first time this conversation asked this (by `keys.loose`), 2 for the second, … */
  readonly occurrence: number;
  readonly request: RecordedRequest;
  readonly reply: RecordedReply;
  readonly timing: RecordedTiming;
}

export const tapeKinds = ['model', 'opaque', 'tool', 'agent'] as const;
export type TapeKind = (typeof tapeKinds)[number];

/**
 * SHA-256 of the normalized request, at three strengths; a lookup tries them in this order.
 * - `exact`: without what no answer depends on (call ids, order of parallel tool results, streaming, sampling)
 * - `near`: also without UUIDs, request ids, and times near the moment of the call, so that "it is now …" does not matter
 * - `loose`: also without any other date, time of day or epoch number
 */
export interface TapeKeys {
  readonly exact: string;
  readonly near: string;
  readonly loose: string;
}

export interface RecordedRequest {
  /** Of the body as it was sent. */
  readonly sizeBytes: number;
  /** Of a model request. */
  readonly messages?: number;
  /** Scrubbed; present only when the scenario said so. */
  readonly content?: Json;
}

/** What came back. Without `content` only its size and shape were kept, and it cannot be replayed. */
export interface RecordedReply {
  readonly sizeBytes: number;
  /** Of a model: `ModelContent`. Of a tool or agent: `{value}`. Of an opaque call: `{contentType, body}`. Scrubbed. */
  readonly content?: Json;
  /** Of a model, also where the content is not kept. */
  readonly shape?: { readonly textLength: number; readonly toolCalls: readonly string[]; readonly finish: string };
  readonly usage?: RecordedUsage;
}

/** Content of a model's reply. */
export interface ModelContent {
  readonly text: string;
  readonly toolCalls: readonly { readonly name: string; readonly arguments: string }[];
  readonly finish: string;
}

export interface RecordedUsage {
  readonly tokensIn: number;
  /** What the provider's cache gave while recording. Never replayed: it is recomputed for each layout. */
  readonly tokensCached: number;
  readonly tokensOut: number;
  /** Of `tokensOut`, those nobody sees. */
  readonly tokensReasoning: number;
}

/** Milliseconds from the moment the request was sent on. */
export interface RecordedTiming {
  readonly firstMs: number;
  readonly totalMs: number;
  /** Time in the queue of the endpoint, where it says it. Left out on replay: waiting is recomputed. */
  readonly queueMs?: number;
  /** Of a streamed reply: times between its pieces. */
  readonly gapsMs?: readonly number[];
}

export type UnsealedEntry = Omit<CassetteEntry, 'id' | 'schemaVersion'>;

/** Gives an entry its id. */
export function sealEntry(entry: UnsealedEntry): CassetteEntry {
  const whole = { schemaVersion: 1 as const, ...entry };
  return { ...whole, id: createHash('sha256').update(canonicalJson(whole)).digest('hex') };
}

export const entryLine = (entry: CassetteEntry): string => `${canonicalJson(entry)}\n`;

/** What a text of JSON lines holds, and what is wrong with it. Lines start at 1. */
export interface ParsedCassette {
  readonly entries: readonly CassetteEntry[];
  readonly problems: readonly { readonly line: number; readonly message: string }[];
  /** The last line has no end: its writer died while writing it. It is no problem and no entry. */
  readonly torn: boolean;
}

/** Reads a cassette; a line that is no entry is told and left out. Ids are checked, so a changed reply does not go unseen. */
export function parseCassette(text: string): ParsedCassette {
  const lines = text.split('\n');
  const torn = lines.pop() !== '';
  const entries: CassetteEntry[] = [];
  const problems: { line: number; message: string }[] = [];
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const entry = readEntry(line);
    if (typeof entry === 'string') problems.push({ line: index + 1, message: entry });
    else entries.push(entry);
  }
  return { entries, problems, torn };
}

function readEntry(line: string): CassetteEntry | string {
  let value: Partial<CassetteEntry> | null;
  try {
    value = JSON.parse(line) as Partial<CassetteEntry> | null;
  } catch (error) {
    return `is not JSON: ${(error as Error).message}`;
  }
  if (typeof value !== 'object' || value === null || !('schemaVersion' in value)) return 'is not an entry of a cassette';
  if (value.schemaVersion !== 1) return `has schema version ${String(value.schemaVersion)}; this version of dmas-opt reads 1`;
  const { id, schemaVersion: _, ...rest } = value as CassetteEntry;
  const { kind, target, keys, occurrence, request, reply, timing } = rest;
  const whole =
    tapeKinds.includes(kind) &&
    typeof target === 'string' &&
    [keys?.exact, keys?.near, keys?.loose].every((key) => typeof key === 'string') &&
    Number.isInteger(occurrence) &&
    [request, reply, timing].every((part) => typeof part === 'object' && part !== null);
  if (!whole) return 'lacks a part of an entry';
  return sealEntry(rest).id === id ? (value as CassetteEntry) : 'was changed after it was recorded: its id does not fit';
}

/**
 * All entries of all cassettes, each once, in the order of their ids. Commutative, associative and idempotent, down to the
 * bytes of the file.
 */
export function mergeEntries(...cassettes: readonly (readonly CassetteEntry[])[]): CassetteEntry[] {
  const byId = new Map(cassettes.flat().map((entry) => [entry.id, entry]));
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

export const cassetteText = (entries: readonly CassetteEntry[]): string => entries.map(entryLine).join('');

/** How a call of a tool, or of a component outside our bundles, is answered. */
export const effectModes = ['live', 'tape', 'stub', 'blocked'] as const;
export type EffectMode = (typeof effectModes)[number];

/** What units do with calls that have effects on the world, decided before anything is deployed. */
export interface EffectPolicy {
  /** By name of the tool or component; what is not named runs as it is. */
  readonly modes: { readonly [name: string]: EffectMode };
  /** Components outside our bundles: calls of them are judged, and recorded, by who calls. */
  readonly outside: readonly string[];
  /** Tools that are only known at run time, by the effect their server says they have (`sideEffect` when it says nothing). */
  readonly discovered: { readonly readOnly: EffectMode; readonly idempotent: EffectMode; readonly sideEffect: EffectMode };
  /** Output schema of components that are stubbed and whose contract is not in the unit. */
  readonly outputs?: { readonly [name: string]: Json };
  /** As in `RecordRules`, for looking up. */
  readonly ignore?: readonly string[];
  /** Present while recording: what runs live is kept, under these rules. */
  readonly record?: RecordRules;
}

export interface RecordRules {
  readonly content: RecordContent;
  /** Fields of requests no answer depends on, beside the usual ones. */
  readonly ignore: readonly string[];
}

/** `hash`: sizes and hashes only, no replay. `replies`: replies too. `full`: prompts and inputs as well. */
export const recordContents = ['hash', 'replies', 'full'] as const;
export type RecordContent = (typeof recordContents)[number];

/** Where a deployment's tape answers, when it has one. */
export const tapeAddress = 'service://tape';
/** Files of recordings in the state folder of a deployment end like this. */
export const cassetteSuffix = '.cassette.ndjson';

/** What a deployment's tape is asked, as JSON of `POST /draw`. */
export interface DrawRequest {
  readonly kind: TapeKind;
  readonly target: string;
  readonly keys: TapeKeys;
  readonly caller?: string | undefined;
  readonly conversation?: string | undefined;
  /** Of a model call: tokens to count against its quota where no recording says how many. */
  readonly tokens?: number;
}

export type DrawReply =
  | { readonly found: 'hit'; readonly id: string; readonly reply: RecordedReply; readonly timing: RecordedTiming }
  | { readonly found: 'miss' }
  | { readonly found: 'throttled'; readonly limit: 'requests' | 'tokens'; readonly retryAfterMs: number };

/** What a tape has given since its start, per target: part of `GET /stats` of its control address, under `tape`. */
export interface TapeStats {
  readonly [target: string]: TapeCounts;
}

export interface TapeCounts {
  /** Without those that were throttled. */
  readonly requests: number;
  /** By how the question was recognized. */
  readonly hits: { readonly exact: number; readonly near: number; readonly loose: number };
  /** Per component that asked; `unknown` for those that do not say who they are. */
  readonly misses: { readonly [caller: string]: number };
  /** Refused because the quota was used up. */
  readonly throttled: number;
  /** Hits where recordings of several questions fitted equally and their replies differ. */
  readonly ambiguous: number;
  /** Answered by made-up replies: misses where the scenario wants that, and recordings without content. */
  readonly synthetic: number;
}

/** Tokens one replica of a replayed model counted: part of `GET /stats`, under `tokens`, per logical model. */
export interface TokenCounts {
  readonly tokensIn: number;
  /** Found in the prefix cache of this layout. */
  readonly tokensCached: number;
  readonly tokensOut: number;
}

/** Headers by which our units say who asks a model server of ours; a stranger may send them too. */
export const askerHeaders = { agent: 'x-dmas-agent', conversation: 'x-dmas-conversation' } as const;
