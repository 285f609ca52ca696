import { BinaryReader, type WireType } from '@bufbuild/protobuf/wire';
import type { SpanRecord } from '../../../compiler/contracts/traces.ts';
import {
  type Attributes,
  type AttributeValue,
  MalformedOtlp,
  nanosToMs,
  type ResourceFacts,
  resourceFacts,
  spanKind,
  statusError,
} from './record.ts';

/**
 * Decodes an `ExportTraceServiceRequest` straight into flat records, without building the message tree in between.
 * Field numbers: https://github.com/open-telemetry/opentelemetry-proto, `trace/v1/trace.proto` and `common/v1/common.proto`.
 * @throws MalformedOtlp when the bytes are not such a message
 */
export function decodeProtobuf(bytes: Uint8Array): SpanRecord[] {
  const out: SpanRecord[] = [];
  try {
    message(new BinaryReader(bytes), bytes.length, {
      1: (reader, length) => resourceSpans(reader, length, out),
    });
  } catch (error) {
    throw new MalformedOtlp(`not an OTLP trace request: ${error instanceof Error ? error.message : String(error)}`);
  }
  return out;
}

type FieldReaders = { readonly [field: number]: (reader: BinaryReader, length: number) => void };

/** Reads `length` bytes as a message whose interesting fields are all length-delimited. */
function message(reader: BinaryReader, length: number, fields: FieldReaders): void {
  const end = bounded(reader, length);
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    const read = fields[field];
    if (read && wire === lengthDelimited) read(reader, reader.uint32());
    else reader.skip(wire, field);
  }
  finish(reader, end);
}

const lengthDelimited = 2 as WireType;

function bounded(reader: BinaryReader, length: number): number {
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError('a message is longer than the body');
  return end;
}
function finish(reader: BinaryReader, end: number): void {
  if (reader.pos !== end) throw new RangeError('a message is longer than it says');
}

function resourceSpans(reader: BinaryReader, length: number, out: SpanRecord[]): void {
  // The resource may stand after the spans it describes, so it is read in a pass of its own.
  const start = reader.pos;
  const attributes: Attributes = {};
  message(reader, length, {
    1: (resource, size) => message(resource, size, { 1: (pair, n) => keyValue(pair, n, attributes) }),
  });
  const facts = resourceFacts(attributes);
  reader.pos = start;
  message(reader, length, {
    2: (scope, size) => message(scope, size, { 2: (item, n) => out.push(span(item, n, facts)) }),
  });
}

function span(reader: BinaryReader, length: number, facts: ResourceFacts): SpanRecord {
  const end = bounded(reader, length);
  const attributes: Attributes = {};
  let traceId = '';
  let spanId = '';
  let parentSpanId = '';
  let name = '';
  let kind = 0;
  let startLow = 0;
  let startHigh = 0;
  let endLow = 0;
  let endHigh = 0;
  let status = 0;
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    switch ((field << 3) | wire) {
      case (1 << 3) | 2:
        traceId = hex(reader.bytes());
        break;
      case (2 << 3) | 2:
        spanId = hex(reader.bytes());
        break;
      case (4 << 3) | 2:
        parentSpanId = hex(reader.bytes());
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
        keyValue(reader, reader.uint32(), attributes);
        break;
      case (15 << 3) | 2:
        status = statusCode(reader, reader.uint32());
        break;
      default:
        reader.skip(wire, field);
    }
  }
  finish(reader, end);
  if (traceId.length !== 32 || spanId.length !== 16) throw new RangeError('a span without a valid trace or span id');
  return {
    traceId,
    spanId,
    ...(parentSpanId === '' ? {} : { parentSpanId }),
    name,
    kind: spanKind(kind),
    startMs: nanosToMs(startHigh, startLow),
    // The difference is taken before it is rounded to a double of milliseconds since 1970.
    durationMs: Math.max(0, nanosToMs(endHigh - startHigh, endLow - startLow)),
    ok: status !== statusError,
    ...facts,
    attributes,
  };
}

function statusCode(reader: BinaryReader, length: number): number {
  const end = bounded(reader, length);
  let code = 0;
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    if (field === 3 && wire === 0) code = reader.int32();
    else reader.skip(wire, field);
  }
  finish(reader, end);
  return code;
}

function keyValue(reader: BinaryReader, length: number, into: Attributes): void {
  const end = bounded(reader, length);
  let key = '';
  let value: unknown;
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    if (field === 1 && wire === 2) key = reader.string();
    else if (field === 2 && wire === 2) value = anyValue(reader, reader.uint32(), 0);
    else reader.skip(wire, field);
  }
  finish(reader, end);
  if (value !== undefined) into[key] = flat(value);
}

/** Nested values are kept as JSON text, so that a row stays flat. */
const flat = (value: unknown): AttributeValue =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : JSON.stringify(value);

/** Deeper nesting than any exporter writes; protects the stack from a hostile body. */
const maxDepth = 32;

function anyValue(reader: BinaryReader, length: number, depth: number): unknown {
  if (depth > maxDepth) throw new RangeError('an attribute is nested too deep');
  const end = bounded(reader, length);
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
        const pairs: Record<string, unknown> = {};
        message(reader, reader.uint32(), { 1: (item, n) => nestedPair(item, n, depth, pairs) });
        value = pairs;
        break;
      }
      case (7 << 3) | 2:
        value = Buffer.from(reader.bytes()).toString('base64');
        break;
      default:
        reader.skip(wire, field);
    }
  }
  finish(reader, end);
  return value;
}

function nestedPair(reader: BinaryReader, length: number, depth: number, into: Record<string, unknown>): void {
  const end = bounded(reader, length);
  let key = '';
  let value: unknown = null;
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    if (field === 1 && wire === 2) key = reader.string();
    else if (field === 2 && wire === 2) value = anyValue(reader, reader.uint32(), depth + 1) ?? null;
    else reader.skip(wire, field);
  }
  finish(reader, end);
  into[key] = value;
}

const hexOf = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
function hex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += hexOf[byte];
  return text;
}
