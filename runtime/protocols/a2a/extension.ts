import { randomUUID } from 'node:crypto';
import { type Message, type Part, Role } from '@a2a-js/sdk';
import type { CallError, Pattern } from '../../../compiler/contracts/index.ts';
import type { CallMeta } from '../protocol.ts';
import { bodyLimitBytes, toJsonText, tooLarge } from '../wire/body.ts';
import { decodeCallError, encodeCallError, invalidError } from '../wire/errors.ts';
import { callHeader, decodeMeta, encodeMeta } from '../wire/meta.ts';

/**
 * Our extension: how units of one deployment talk through A2A. Everything is under this key of a message's metadata.
 *
 * - A request has `call` (the CallMeta but for the W3C headers, JSON text) and `pattern`; its only part is the body as
 *   JSON text, empty for `undefined`. JSON text rather than a data part, so that every value arrives as it was in every
 *   binding (protobuf strings cannot hold what JSON can) and its size is known.
 * - A reply has the output as such a part, or `error`: a CallErrorValue as JSON text.
 */
export const extensionUri = 'urn:dmas-opt:a2a:call:1';

export const jsonMediaType = 'application/json';

const traceHeaders = ['traceparent', 'tracestate', 'baggage'] as const;

export function textPart(value: string, mediaType = 'text/plain'): Part {
  return { content: { $case: 'text', value }, metadata: undefined, filename: '', mediaType };
}

export function agentMessage(parts: Part[], over: Partial<Message> = {}): Message {
  return {
    messageId: randomUUID(),
    contextId: '',
    taskId: '',
    role: Role.ROLE_AGENT,
    parts,
    metadata: undefined,
    extensions: [],
    referenceTaskIds: [],
    ...over,
  };
}

export interface OwnRequest {
  readonly message: Message;
  /** W3C headers that go as headers of the binding; those that do not fit a header are in the metadata. */
  readonly headers: Record<string, string>;
  readonly bodyBytes: number;
}

/** @throws CallError `invalid` when the body is no JSON or too large. */
export function encodeOwnRequest(meta: CallMeta, pattern: Pattern, body: unknown, what: string): OwnRequest {
  const { headers: pairs, prefix } = encodeMeta(meta);
  const headers: Record<string, string> = {};
  let call = prefix?.toString('latin1') ?? '';
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i] ?? '';
    const value = pairs[i + 1] ?? '';
    if (name !== callHeader) headers[name] = value;
    else if (prefix === undefined) call = value;
  }
  const text = toJsonText(body, what);
  const bodyBytes = Buffer.byteLength(text);
  if (bodyBytes > bodyLimitBytes) throw tooLarge(what);
  const message = agentMessage([textPart(text, jsonMediaType)], {
    role: Role.ROLE_USER,
    metadata: { [extensionUri]: { call, pattern } },
    extensions: [extensionUri],
  });
  return { message, headers, bodyBytes };
}

/** The call of one of our units, or undefined when a stranger sent the message. */
export function ownCallOf(message: Message | undefined): { readonly call: string; readonly pattern: string } | undefined {
  const fields = message?.metadata?.[extensionUri] as { readonly call?: unknown; readonly pattern?: unknown } | undefined;
  return typeof fields?.call === 'string' ? { call: fields.call, pattern: String(fields.pattern ?? 'request') } : undefined;
}

/** @throws CallError `invalid` */
export function decodeOwnRequest(
  message: Message,
  own: { readonly call: string; readonly pattern: string },
  header: (name: string) => string | undefined,
): { readonly meta: CallMeta; readonly pattern: Pattern; readonly body: unknown; readonly bodyBytes: number } {
  const { pattern } = own;
  if (pattern !== 'request' && pattern !== 'stream' && pattern !== 'send' && pattern !== 'publish') {
    throw invalidError(`unknown pattern ${pattern}`);
  }
  const text = ownText(message.parts);
  if (text === undefined) throw invalidError('the message has no JSON part');
  const meta = decodeMeta(header, own.call);
  return { meta, pattern, body: parseText(text, 'the request body'), bodyBytes: Buffer.byteLength(text) };
}

export const traceOf = (header: (name: string) => string | undefined): CallMeta['trace'] => {
  const trace: Record<string, string> = {};
  for (const name of traceHeaders) {
    const value = header(name);
    if (value !== undefined) trace[name] = value;
  }
  return trace;
};

export const errorMetadata = (error: CallError): Record<string, unknown> => ({ [extensionUri]: { error: encodeCallError(error.value) } });

/** The CallError one of our units put into metadata, if it did. */
export function errorIn(metadata: Record<string, unknown> | undefined): CallError | undefined {
  const text = (metadata?.[extensionUri] as { readonly error?: unknown } | undefined)?.error;
  if (typeof text !== 'string') return undefined;
  try {
    return decodeCallError(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The JSON text of a message or artifact of ours. */
export function ownText(parts: readonly Part[]): string | undefined {
  const content = parts[0]?.content;
  return content?.$case === 'text' ? content.value : undefined;
}

/** @throws CallError `invalid` */
export function parseText(text: string, what: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidError(`${what} is not JSON: ${(error as Error).message}`, error);
  }
}
