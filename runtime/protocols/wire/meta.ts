import { randomUUID } from 'node:crypto';
import type { CallMeta } from '../protocol.ts';
import { invalidError } from './errors.ts';

/**
 * CallMeta on the wire: `traceparent`, `tracestate` and `baggage` as the standard headers, everything else as one JSON
 * header in ASCII. A meta longer than `headerLimitBytes` goes in front of the body instead, and the header says how
 * many bytes of the body it takes (`body=<bytes>`), because peers and proxies limit the size of headers.
 */
export const callHeader = 'dmas-call';
const traceHeaders = ['traceparent', 'tracestate', 'baggage'] as const;
const headerLimitBytes = 4096;
const bodyPrefix = 'body=';

/** What a stranger's call without our header gets: time enough, and ids of its own. */
const strangerRemainingMs = 60_000;

/** What setTimeout can hold, about 24 days; longer deadlines are cut to it. */
export const maxRemainingMs = 2_147_483_647;

const headerSafe = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const nonAscii = /[\u007f-\uffff]/g;
const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

export interface EncodedMeta {
  /** Name, value, name, value … */
  readonly headers: string[];
  /** Bytes to put before the body. */
  readonly prefix: Buffer | undefined;
}

export function encodeMeta(meta: CallMeta): EncodedMeta {
  const headers: string[] = [];
  let leftOver: Record<string, string> | undefined;
  for (const name in meta.trace) {
    const value = meta.trace[name];
    if (value === undefined) continue;
    if (value.length <= headerLimitBytes && (traceHeaders as readonly string[]).includes(name) && headerSafe.test(value)) {
      headers.push(name, value);
    } else {
      leftOver ??= {};
      leftOver[name] = value;
    }
  }
  const json = JSON.stringify({
    requestId: meta.requestId,
    requestClass: meta.requestClass,
    sessionId: meta.sessionId,
    from: meta.from,
    channel: meta.channel,
    remainingMs: Math.min(meta.remainingMs, maxRemainingMs),
    attempt: meta.attempt,
    trace: leftOver,
    topic: meta.topic,
    origin: meta.origin,
    resume: meta.resume,
    extra: meta.extra,
  }).replace(nonAscii, escaped);
  if (json.length <= headerLimitBytes) {
    headers.push(callHeader, json);
    return { headers, prefix: undefined };
  }
  headers.push(callHeader, `${bodyPrefix}${json.length}`);
  return { headers, prefix: Buffer.from(json, 'latin1') };
}

/** Bytes at the start of the body that hold the meta; 0 when the header holds it. */
export function metaPrefixBytes(header: string | undefined): number {
  if (header === undefined || !header.startsWith(bodyPrefix)) return 0;
  const bytes = Number(header.slice(bodyPrefix.length));
  if (!Number.isSafeInteger(bytes) || bytes <= 0) throw invalidError(`header ${callHeader} is malformed`);
  return bytes;
}

/** @throws CallError `invalid` when the header is there but not ours. */
export function decodeMeta(header: (name: string) => string | undefined, prefix: string | undefined): CallMeta {
  const trace: Record<string, string> = {};
  for (const name of traceHeaders) {
    const value = header(name);
    if (value !== undefined) trace[name] = value;
  }
  const json = prefix ?? header(callHeader);
  if (json === undefined) return strangerMeta(trace, header);
  let fields: { readonly [field: string]: unknown };
  try {
    fields = JSON.parse(json);
  } catch (error) {
    throw invalidError(`header ${callHeader} is not JSON`, error);
  }
  if (typeof fields !== 'object' || fields === null) throw invalidError(`header ${callHeader} is not an object`);
  const { requestId, sessionId, from, channel, remainingMs, attempt, requestClass, origin, topic, resume, extra } = fields;
  if (
    typeof requestId !== 'string' ||
    typeof sessionId !== 'string' ||
    typeof from !== 'string' ||
    typeof channel !== 'string' ||
    typeof remainingMs !== 'number' ||
    typeof attempt !== 'number'
  ) {
    throw invalidError(`header ${callHeader} lacks a field`);
  }
  if (fields.trace !== undefined) Object.assign(trace, fields.trace);
  const meta: { -readonly [K in keyof CallMeta]: CallMeta[K] } = { requestId, sessionId, from, channel, remainingMs, attempt, trace };
  if (typeof requestClass === 'string') meta.requestClass = requestClass;
  if (typeof origin === 'string') meta.origin = origin;
  if (topic !== undefined) meta.topic = topicOf(topic);
  if (typeof resume === 'object' && resume !== null) meta.resume = resume as NonNullable<CallMeta['resume']>;
  if (typeof extra === 'object' && extra !== null) meta.extra = extra as NonNullable<CallMeta['extra']>;
  return meta;
}

function topicOf(value: unknown): NonNullable<CallMeta['topic']> {
  if (typeof value === 'object' && value !== null) {
    const { name, conversation, sequence } = value as { readonly [field: string]: unknown };
    if (typeof name === 'string' && typeof conversation === 'string' && typeof sequence === 'number')
      return { name, conversation, sequence };
  }
  throw invalidError(`header ${callHeader} has a malformed topic`);
}

/** A stranger may pass on what it was called with (http-json/stranger.ts), so that the session and the deadline go on. */
function strangerMeta(trace: CallMeta['trace'], header: (name: string) => string | undefined): CallMeta {
  const requestId = header('x-dmas-request') ?? randomUUID();
  const sessionId = header('x-dmas-session') ?? requestId;
  const asked = Number(header('x-dmas-deadline-ms') ?? Number.NaN);
  return { requestId, sessionId, from: '', channel: '', remainingMs: asked > 0 ? asked : strangerRemainingMs, attempt: 1, trace };
}
