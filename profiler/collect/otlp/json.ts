import type { SpanRecord } from '../../../compiler/contracts/traces.ts';
import { type Attributes, MalformedOtlp, nanosToMs, type ResourceFacts, resourceFacts, spanKind, statusError } from './record.ts';

/**
 * The JSON form of OTLP: ids are hex, 64-bit integers are strings (numbers are taken too), enums are numbers.
 * Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 * @throws MalformedOtlp when the text is not such a message
 */
export function decodeJson(text: string): SpanRecord[] {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw new MalformedOtlp(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const out: SpanRecord[] = [];
  for (const group of list(object(body, 'the body').resourceSpans, 'resourceSpans')) {
    const { resource, scopeSpans } = object(group, 'resourceSpans');
    const facts = resourceFacts(resource === undefined ? {} : attributes(object(resource, 'resource').attributes));
    for (const scope of list(scopeSpans, 'scopeSpans')) {
      for (const item of list(object(scope, 'scopeSpans').spans, 'spans')) out.push(span(object(item, 'spans'), facts));
    }
  }
  return out;
}

type Fields = { readonly [key: string]: unknown };

function object(value: unknown, where: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new MalformedOtlp(`${where}: expected an object`);
  return value as Fields;
}
function list(value: unknown, where: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new MalformedOtlp(`${where}: expected an array`);
  return value;
}
function hexId(value: unknown, digits: number, where: string): string {
  if (typeof value !== 'string' || value.length !== digits || !/^[0-9a-fA-F]*$/.test(value))
    throw new MalformedOtlp(`${where}: expected ${digits} hex digits`);
  return value.toLowerCase();
}
function nanos(value: unknown, where: string): bigint {
  const text = typeof value === 'number' || typeof value === 'string' ? String(value) : '0';
  if (!/^\d{1,20}$/.test(text)) throw new MalformedOtlp(`${where}: expected nanoseconds`);
  return BigInt(text);
}
const half = 4_294_967_296n;
const ms = (value: bigint) => nanosToMs(Number(value / half), Number(value % half));

function span(fields: Fields, facts: ResourceFacts): SpanRecord {
  const start = nanos(fields.startTimeUnixNano, 'startTimeUnixNano');
  const end = nanos(fields.endTimeUnixNano, 'endTimeUnixNano');
  const parent = fields.parentSpanId;
  const status = fields.status === undefined || fields.status === null ? {} : object(fields.status, 'status');
  return {
    traceId: hexId(fields.traceId, 32, 'traceId'),
    spanId: hexId(fields.spanId, 16, 'spanId'),
    ...(parent === undefined || parent === null || parent === '' ? {} : { parentSpanId: hexId(parent, 16, 'parentSpanId') }),
    name: typeof fields.name === 'string' ? fields.name : '',
    kind: spanKind(Number(fields.kind ?? 0)),
    startMs: ms(start),
    durationMs: end > start ? ms(end - start) : 0,
    ok: Number(status.code ?? 0) !== statusError,
    ...facts,
    attributes: attributes(fields.attributes),
  };
}

function attributes(value: unknown): Attributes {
  const out: Attributes = {};
  for (const item of list(value, 'attributes')) {
    const pair = object(item, 'attributes');
    if (typeof pair.key !== 'string') throw new MalformedOtlp('attributes: expected a key');
    const plain = pair.value === undefined || pair.value === null ? undefined : anyValue(object(pair.value, 'value'), 0);
    if (plain === undefined) continue;
    out[pair.key] = typeof plain === 'string' || typeof plain === 'number' || typeof plain === 'boolean' ? plain : JSON.stringify(plain);
  }
  return out;
}

const maxDepth = 32;

function anyValue(value: Fields, depth: number): unknown {
  if (depth > maxDepth) throw new MalformedOtlp('an attribute is nested too deep');
  if (value.stringValue !== undefined) return String(value.stringValue);
  if (value.boolValue !== undefined) return value.boolValue === true || value.boolValue === 'true';
  if (value.intValue !== undefined) return Number(value.intValue);
  if (value.doubleValue !== undefined) return Number(value.doubleValue);
  if (value.bytesValue !== undefined) return String(value.bytesValue);
  if (value.arrayValue !== undefined)
    return list(object(value.arrayValue, 'arrayValue').values, 'values').map((item) => anyValue(object(item, 'values'), depth + 1) ?? null);
  if (value.kvlistValue !== undefined) {
    const pairs = list(object(value.kvlistValue, 'kvlistValue').values, 'values').map((item) => object(item, 'values'));
    return Object.fromEntries(
      pairs.map((pair) => [String(pair.key), pair.value === undefined ? null : (anyValue(object(pair.value, 'value'), depth + 1) ?? null)]),
    );
  }
  return undefined;
}
