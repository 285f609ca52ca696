import type { SpanRecord } from '../../../compiler/contracts/traces.ts';

export type ForeignValue = string | number | boolean;
/** A map, because keys are a stranger's: no key of it can mean something to JavaScript. */
export type ForeignAttributes = ReadonlyMap<string, ForeignValue>;

/**
 * Who sent a span. In some formats it stands behind the spans it describes, so a reader hands out the object first and
 * fills it before it says that it is done.
 */
export interface ForeignResource {
  attributes: ForeignAttributes;
}

/** One span as any reader gives it, before anything is made of its attributes. */
export interface ForeignSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** `unset` where the format or the exporter does not say. */
  readonly kind: SpanRecord['kind'] | 'unset';
  readonly startMs: number;
  readonly durationMs: number;
  /** Ended before it started; the duration is 0 then. */
  readonly reversed: boolean;
  readonly ok: boolean;
  readonly resource: ForeignResource;
  /** Name of the instrumentation library. */
  readonly scope: string;
  readonly attributes: ForeignAttributes;
  /** The first span it is linked to, as consumers are to the producer. */
  readonly link: { readonly traceId: string; readonly spanId: string } | undefined;
  /** It follows its parent, which did not wait for it (`FOLLOWS_FROM`). */
  readonly follows: boolean;
}

/** Where readers put what they find. Both must be quick: they are called once per span. */
export interface SpanSink {
  span(span: ForeignSpan): void;
  /** `at` is a place in the input a reader can find: line, byte, element. */
  reject(reason: string, at: string): void;
}

/** Thrown by a decoder for one span that cannot be used. */
export class UnusableSpan extends Error {
  override name = 'UnusableSpan';
}

/** End of the year 2200: later times are no clock's. Milliseconds since 1970. */
const latestMs = Date.UTC(2201, 0, 1);

/** @throws UnusableSpan for a time no clock shows */
export function times(startMs: number, endMs: number): { startMs: number; durationMs: number; reversed: boolean } {
  if (!(startMs >= 0 && startMs <= latestMs)) throw new UnusableSpan('a start time that is not between 1970 and 2200');
  // Exporters that die write an end of 0; a span without an end is kept as a point.
  const unfinished = endMs === 0;
  if (!unfinished && !(endMs >= 0 && endMs <= latestMs)) throw new UnusableSpan('an end time that is not between 1970 and 2200');
  const reversed = endMs < startMs;
  return { startMs, durationMs: reversed ? 0 : endMs - startMs, reversed };
}

const hexId = /^[0-9a-fA-F]+$/;

/**
 * An id in the form all readers share: lower-case hex, or as it stands where it is neither hex nor base64. Empty for none
 * (also all zeros, which OpenTelemetry calls invalid). `bytes` is its length in protobuf, told from base64 by it.
 */
export function idOf(value: unknown, bytes: 8 | 16): string {
  if (typeof value !== 'string' || value === '') return '';
  if (value.length > 64) throw new UnusableSpan('an id of more than 64 characters');
  if (value.length === bytes * 2 && hexId.test(value)) return /^0+$/.test(value) ? '' : value.toLowerCase();
  // The standard JSON form of protobuf writes bytes as base64; OTLP asks for hex, but not every exporter knows.
  const base64Length = bytes === 8 ? 12 : 24;
  if (value.length === base64Length && value.endsWith('=')) return Buffer.from(value, 'base64').toString('hex');
  return value.toLowerCase();
}
