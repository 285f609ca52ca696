import type { CallErrorValue, Pattern } from '../../../compiler/contracts/index.ts';
import type { CallMeta } from '../protocol.ts';
import { encodeCallError, invalidError } from '../wire/errors.ts';
import { callHeader, decodeMeta, encodeMeta } from '../wire/meta.ts';

/**
 * What units of ours say to each other beside what MCP says, under keys of ours in `_meta`. A stranger sends none of it
 * and gets none of it.
 *
 * The input of such a call stands in `arguments.input` and its output in `structuredContent.result`, since MCP wants
 * objects there and our messages may be any JSON; a key that is absent is `undefined`.
 */
export const callKey = 'dmas-opt/call';
export const replyKey = 'dmas-opt/reply';
export const chunkKey = 'dmas-opt/chunk';

/** W3C trace context, in `_meta` under the names the specification reserves for it, and in headers of the same names. */
const traceKeys = ['traceparent', 'tracestate', 'baggage'] as const;

/** In `_meta` of a request. */
export interface OwnCall {
  readonly target: string;
  readonly pattern: Pattern;
  /** All of CallMeta but the trace context, as the `dmas-call` header has it. */
  readonly meta: string;
  /** Size of the input as JSON. */
  readonly sizeBytes: number;
}

/** In `_meta` of a result: the size of the output as JSON, or the error. */
export type OwnReply = { readonly sizeBytes: number } | { readonly error: CallErrorValue };

/** In `_meta` of a progress notification. */
export interface OwnChunk {
  readonly value?: unknown;
  readonly sizeBytes: number;
}

export type Meta = { readonly [key: string]: unknown };

/** `_meta` of a call to a unit of ours, and the headers that go with it. */
export function encodeOwnCall(call: { readonly target: string; readonly pattern: Pattern; readonly meta: CallMeta }, sizeBytes: number) {
  const { headers, prefix } = encodeMeta(call.meta);
  const standard: Record<string, string> = {};
  let meta = prefix?.toString('latin1') ?? '';
  for (let i = 0; i < headers.length; i += 2) {
    const [name = '', value = ''] = headers.slice(i, i + 2);
    if (name !== callHeader) standard[name] = value;
    else if (prefix === undefined) meta = value;
  }
  const own: OwnCall = { target: call.target, pattern: call.pattern, meta, sizeBytes };
  return { meta: { ...standard, [callKey]: own }, headers: standard };
}

/** `_meta` and headers of a call to somebody else: the trace context alone. */
export function encodeForeignCall({ trace }: CallMeta) {
  const standard: Record<string, string> = {};
  for (const name of traceKeys) if (trace[name] !== undefined) standard[name] = trace[name];
  return { meta: standard, headers: standard };
}

/** The trace context in `_meta` wins over that in the headers: a proxy on the way may have changed those. */
const traceReader = (meta: Meta, headers: { readonly [name: string]: string | string[] | undefined }) => (name: string) => {
  const value = meta[name] ?? headers[name];
  return typeof value === 'string' && name !== callHeader ? value : undefined;
};

/** @throws CallError `invalid` when our key is there but not ours. */
export function decodeOwnCall(
  meta: Meta,
  headers: { readonly [name: string]: string | string[] | undefined },
): { readonly own: OwnCall | undefined; readonly meta: CallMeta } {
  const value = meta[callKey];
  const read = traceReader(meta, headers);
  if (value === undefined) return { own: undefined, meta: decodeMeta(read, undefined) };
  const { target, pattern, meta: fields, sizeBytes } = (value ?? {}) as Partial<Record<keyof OwnCall, unknown>>;
  const known = pattern === 'request' || pattern === 'stream' || pattern === 'send' || pattern === 'publish';
  if (typeof target !== 'string' || !known || typeof fields !== 'string' || typeof sizeBytes !== 'number') {
    throw invalidError(`_meta ${callKey} lacks a field`);
  }
  return { own: { target, pattern, meta: fields, sizeBytes }, meta: decodeMeta(read, fields) };
}

/** The error as plain data, without details that are no JSON. */
export const plainError = (value: CallErrorValue): CallErrorValue => JSON.parse(encodeCallError(value)) as CallErrorValue;

export const isObject = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
