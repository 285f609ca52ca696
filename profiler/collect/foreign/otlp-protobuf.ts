import { BinaryReader, type WireType } from '@bufbuild/protobuf/wire';
import { spanKind, statusError } from '../otlp/record.ts';
import { maxAttributes } from './anyvalue.ts';
import { type ForeignResource, type ForeignSpan, type ForeignValue, type SpanSink, times, UnusableSpan } from './span.ts';

/*
 * Field numbers: https://github.com/open-telemetry/opentelemetry-proto, `trace/v1/trace.proto` and `common/v1/common.proto`.
 * Other than the decoder of the closed loop this one keeps resources, links and structured values, and goes on behind a span
 * it cannot use.
 */

type FieldReaders = { readonly [field: number]: (reader: BinaryReader, length: number) => void };
const lengthDelimited = 2 as WireType;

/** Reads `length` bytes as a message whose interesting fields are all length-delimited. */
function message(reader: BinaryReader, length: number, fields: FieldReaders): void {
  const end = endOf(reader, length);
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    const read = fields[field];
    if (read && wire === lengthDelimited) read(reader, reader.uint32());
    else reader.skip(wire, field);
  }
  if (reader.pos !== end) throw new RangeError('a message is longer than it says');
}

function endOf(reader: BinaryReader, length: number): number {
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError('a message is longer than what holds it');
  return end;
}

/** An `ExportTraceServiceRequest`. What cannot be read is rejected at its byte behind `offset`. */
export function readRequest(bytes: Uint8Array, sink: SpanSink, offset = 0): void {
  const reader = new BinaryReader(bytes);
  guarded(sink, reader, offset, () =>
    message(reader, bytes.length, {
      1: (inner, length) => {
        const start = inner.pos;
        endOf(inner, length);
        readResourceSpans(bytes.subarray(start, start + length), sink, offset + start);
        inner.pos = start + length;
      },
    }),
  );
}

/** One `ResourceSpans`. */
export function readResourceSpans(bytes: Uint8Array, sink: SpanSink, offset = 0): void {
  const resource: ForeignResource = { attributes: new Map() };
  const reader = new BinaryReader(bytes);
  guarded(sink, reader, offset, () => {
    // The resource may stand behind its spans.
    const attributes = new Map<string, ForeignValue>();
    message(reader, bytes.length, { 1: (inner, length) => message(inner, length, { 1: (pair, n) => keyValue(pair, n, attributes) }) });
    resource.attributes = attributes;
    reader.pos = 0;
    message(reader, bytes.length, { 2: (inner, length) => scopeSpans(inner, length, resource, sink, offset) });
  });
}

function guarded(sink: SpanSink, reader: BinaryReader, offset: number, read: () => void): void {
  try {
    read();
  } catch (error) {
    sink.reject(
      `not an OTLP message: ${error instanceof Error ? error.message.slice(0, 80) : 'unreadable'}`,
      `byte ${offset + reader.pos}`,
    );
  }
}

function scopeSpans(reader: BinaryReader, length: number, resource: ForeignResource, sink: SpanSink, offset: number): void {
  let scope = '';
  message(reader, length, {
    1: (inner, size) => {
      const end = endOf(inner, size);
      while (inner.pos < end) {
        const [field, wire] = inner.tag();
        if (field === 1 && wire === lengthDelimited) scope = inner.string();
        else inner.skip(wire, field);
      }
    },
    2: (inner, size) => {
      const end = endOf(inner, size);
      const at = inner.pos;
      try {
        sink.span(span(inner, end, resource, scope));
      } catch (error) {
        sink.reject(error instanceof UnusableSpan ? error.message : 'a span that is not of the form of OTLP', `byte ${offset + at}`);
      }
      inner.pos = end;
    },
  });
}

function span(reader: BinaryReader, end: number, resource: ForeignResource, scope: string): ForeignSpan {
  const attributes = new Map<string, ForeignValue>();
  let [traceId, spanId, parentSpanId, name] = ['', '', '', ''];
  let [kind, status] = [0, 0];
  let [startLow, startHigh, endLow, endHigh] = [0, 0, 0, 0];
  let link: ForeignSpan['link'];
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    switch ((field << 3) | wire) {
      case (1 << 3) | 2:
        traceId = hex(reader.bytes(), 16);
        break;
      case (2 << 3) | 2:
        spanId = hex(reader.bytes(), 8);
        break;
      case (4 << 3) | 2:
        parentSpanId = hex(reader.bytes(), 8);
        break;
      case (5 << 3) | 2:
        name = reader.string();
        break;
      case (6 << 3) | 0:
        kind = reader.int32();
        break;
      case (7 << 3) | 1:
        startLow = reader.fixed32();
        startHigh = reader.fixed32();
        break;
      case (8 << 3) | 1:
        endLow = reader.fixed32();
        endHigh = reader.fixed32();
        break;
      case (9 << 3) | 2:
        if (attributes.size < maxAttributes) keyValue(reader, reader.uint32(), attributes);
        else reader.skip(wire, field);
        break;
      case (13 << 3) | 2: {
        const read = linkOf(reader, reader.uint32());
        link ??= read;
        break;
      }
      case (15 << 3) | 2:
        status = statusCode(reader, reader.uint32());
        break;
      default:
        reader.skip(wire, field);
    }
  }
  if (reader.pos !== end) throw new RangeError('a span is longer than it says');
  if (traceId === '' || spanId === '') throw new UnusableSpan('a span without a valid trace or span id');
  const exact = times(millis(startHigh, startLow), millis(endHigh, endLow));
  return {
    traceId,
    spanId,
    parentSpanId: parentSpanId || undefined,
    name,
    kind: kind > 0 ? spanKind(kind) : 'unset',
    ...exact,
    durationMs: exact.durationMs === 0 ? 0 : millis(endHigh - startHigh, endLow - startLow),
    ok: status !== statusError,
    resource,
    scope,
    attributes,
    link,
    follows: false,
  };
}

const millis = (high: number, low: number): number => (high * 4_294_967_296 + low) / 1e6;

/** Empty for an id of zeros, which OpenTelemetry calls invalid, or of another length. */
function hex(bytes: Uint8Array, length: number): string {
  if (bytes.length !== length) return '';
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
  return /^0+$/.test(text) ? '' : text;
}

function linkOf(reader: BinaryReader, length: number): { traceId: string; spanId: string } {
  const end = endOf(reader, length);
  let [traceId, spanId] = ['', ''];
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    if (field === 1 && wire === lengthDelimited) traceId = hex(reader.bytes(), 16);
    else if (field === 2 && wire === lengthDelimited) spanId = hex(reader.bytes(), 8);
    else reader.skip(wire, field);
  }
  return { traceId, spanId };
}

function statusCode(reader: BinaryReader, length: number): number {
  const end = endOf(reader, length);
  let code = 0;
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    if (field === 3 && wire === 0) code = reader.int32();
    else reader.skip(wire, field);
  }
  return code;
}

function keyValue(reader: BinaryReader, length: number, into: Map<string, ForeignValue>): void {
  const end = endOf(reader, length);
  let key = '';
  let value: unknown;
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    if (field === 1 && wire === lengthDelimited) key = reader.string();
    else if (field === 2 && wire === lengthDelimited) value = anyValue(reader, reader.uint32(), 0);
    else reader.skip(wire, field);
  }
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') into.set(key, value);
  else if (value !== undefined) into.set(key, JSON.stringify(value));
}

/** Deeper nesting than any exporter writes; protects the stack from a hostile file. */
const maxDepth = 32;

function anyValue(reader: BinaryReader, length: number, depth: number): unknown {
  if (depth > maxDepth) throw new UnusableSpan('an attribute is nested too deep');
  const end = endOf(reader, length);
  let value: unknown;
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    switch ((field << 3) | wire) {
      case (1 << 3) | 2:
        value = reader.string();
        break;
      case (2 << 3) | 0:
        value = reader.bool();
        break;
      case (3 << 3) | 0:
        value = Number(reader.int64());
        break;
      case (4 << 3) | 1:
        value = reader.double();
        break;
      case (5 << 3) | 2: {
        const items: unknown[] = [];
        message(reader, reader.uint32(), { 1: (item, n) => items.push(anyValue(item, n, depth + 1) ?? null) });
        value = items;
        break;
      }
      case (6 << 3) | 2: {
        const pairs: [string, unknown][] = [];
        message(reader, reader.uint32(), { 1: (item, n) => pairs.push(pair(item, n, depth)) });
        value = Object.fromEntries(pairs);
        break;
      }
      default:
        reader.skip(wire, field);
    }
  }
  return value;
}

function pair(reader: BinaryReader, length: number, depth: number): [string, unknown] {
  const end = endOf(reader, length);
  let key = '';
  let value: unknown = null;
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    if (field === 1 && wire === lengthDelimited) key = reader.string();
    else if (field === 2 && wire === lengthDelimited) value = anyValue(reader, reader.uint32(), depth + 1) ?? null;
    else reader.skip(wire, field);
  }
  return [key, value];
}
