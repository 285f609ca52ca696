import { type Attributes as OtelAttributes, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeJson } from '../../../profiler/collect/otlp/json.ts';
import { decodeProtobuf } from '../../../profiler/collect/otlp/protobuf.ts';
import { MalformedOtlp } from '../../../profiler/collect/otlp/record.ts';

const hex = (digits: number) =>
  fc
    .array(fc.integer({ min: 0, max: 15 }), { minLength: digits, maxLength: digits })
    .map((nibbles) => nibbles.map((nibble) => nibble.toString(16)).join(''))
    .filter((id) => /[^0]/.test(id));

const attributeValue = fc.oneof(
  fc.string(),
  fc.boolean(),
  fc.integer(),
  fc.integer({ min: -(2 ** 50), max: 2 ** 50 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
);
// The exporters write keys into objects of their own, where these mean something else.
const key = fc.string({ minLength: 1 }).filter((name) => !(name in {}));

const spanArbitrary = fc.record({
  traceId: hex(32),
  spanId: hex(16),
  parentId: fc.option(hex(16), { nil: undefined }),
  name: fc.string(),
  kind: fc.constantFrom(SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER),
  startS: fc.integer({ min: 0, max: 4_000_000_000 }),
  startNs: fc.integer({ min: 0, max: 999_999_999 }),
  durationNs: fc.integer({ min: 0, max: 999_999_999 }),
  failed: fc.boolean(),
  attributes: fc.dictionary(key, attributeValue, { maxKeys: 6 }),
  unit: fc.option(fc.string(), { nil: undefined }),
  replica: fc.option(fc.nat(20), { nil: undefined }),
});
type Made = typeof spanArbitrary extends fc.Arbitrary<infer T> ? T : never;

const kindNames = ['internal', 'server', 'client', 'producer', 'consumer'] as const;

function readable(made: Made): ReadableSpan {
  const endNs = made.startNs + made.durationNs;
  const resource: OtelAttributes = {
    'service.name': 'app',
    ...(made.unit === undefined ? {} : { 'dmas.unit': made.unit }),
    ...(made.replica === undefined ? {} : { 'dmas.replica': made.replica }),
  };
  return {
    name: made.name,
    kind: made.kind,
    spanContext: () => ({ traceId: made.traceId, spanId: made.spanId, traceFlags: TraceFlags.SAMPLED }),
    ...(made.parentId === undefined
      ? {}
      : { parentSpanContext: { traceId: made.traceId, spanId: made.parentId, traceFlags: TraceFlags.SAMPLED } }),
    startTime: [made.startS, made.startNs],
    endTime: [made.startS + Math.floor(endNs / 1e9), endNs % 1e9],
    duration: [0, made.durationNs],
    status: { code: made.failed ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes: made.attributes,
    links: [],
    events: [{ name: 'seen', time: [made.startS, made.startNs], attributes: { note: 'skipped' } }],
    ended: true,
    resource: resourceFromAttributes(resource),
    instrumentationScope: { name: 'test' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

const expected = (made: Made) => ({
  traceId: made.traceId,
  spanId: made.spanId,
  ...(made.parentId === undefined ? {} : { parentSpanId: made.parentId }),
  name: made.name,
  kind: kindNames[made.kind],
  startMs: expect.closeTo(made.startS * 1000 + made.startNs / 1e6, 2),
  durationMs: expect.closeTo(made.durationNs / 1e6, 6),
  ok: !made.failed,
  ...(made.unit === undefined ? {} : { unit: made.unit }),
  ...(made.replica === undefined ? {} : { replica: made.replica }),
  attributes: made.attributes,
});

const byId = (a: { traceId: string; spanId: string }, b: { traceId: string; spanId: string }) =>
  a.traceId + a.spanId < b.traceId + b.spanId ? -1 : 1;
const sorted = (made: Made[]) => [...made].sort((a, b) => byId(a, b)).map(expected);

describe('OTLP as the official exporter writes it', () => {
  const batch = fc.uniqueArray(spanArbitrary, { minLength: 1, maxLength: 8, selector: (made) => made.spanId });

  it('protobuf decodes to the spans that were encoded', () => {
    fc.assert(
      fc.property(batch, (made) => {
        const bytes = ProtobufTraceSerializer.serializeRequest(made.map(readable));
        expect(decodeProtobuf(bytes ?? new Uint8Array()).sort(byId)).toEqual(sorted(made));
      }),
      { numRuns: 200 },
    );
  });

  it('JSON decodes to the spans that were encoded', () => {
    fc.assert(
      fc.property(batch, (made) => {
        const bytes = JsonTraceSerializer.serializeRequest(made.map(readable));
        expect(decodeJson(Buffer.from(bytes ?? []).toString('utf8')).sort(byId)).toEqual(sorted(made));
      }),
      { numRuns: 200 },
    );
  });

  it('keeps nested values as JSON text, so that a row stays flat', () => {
    const made: Made = {
      traceId: 'a'.repeat(32),
      spanId: 'b'.repeat(16),
      parentId: undefined,
      name: 'n',
      kind: SpanKind.INTERNAL,
      startS: 1,
      startNs: 0,
      durationNs: 1,
      failed: false,
      attributes: {},
      unit: undefined,
      replica: undefined,
    };
    const span = { ...readable(made), attributes: { list: ['x', 'y'], numbers: [1, 2.5] } };
    const attributes = { list: '["x","y"]', numbers: '[1,2.5]' };
    expect(decodeProtobuf(ProtobufTraceSerializer.serializeRequest([span]) ?? new Uint8Array())[0]?.attributes).toEqual(attributes);
    expect(decodeJson(Buffer.from(JsonTraceSerializer.serializeRequest([span]) ?? []).toString())[0]?.attributes).toEqual(attributes);
  });
});

describe('input that is not OTLP', () => {
  const decodesOrRefuses = (decode: () => unknown) => {
    try {
      expect(Array.isArray(decode())).toBe(true);
    } catch (error) {
      expect(error).toBeInstanceOf(MalformedOtlp);
    }
  };

  it('random bytes are refused, never thrown through', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => decodesOrRefuses(() => decodeProtobuf(bytes))),
      { numRuns: 2000 },
    );
  });

  it('a request with a few bytes changed or cut is refused or read, never thrown through', () => {
    const made = fc.sample(spanArbitrary, { seed: 7, numRuns: 5 });
    const whole = ProtobufTraceSerializer.serializeRequest(made.map(readable)) ?? new Uint8Array();
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length), (at, value, length) => {
        const bytes = whole.slice();
        bytes[at] = value;
        decodesOrRefuses(() => decodeProtobuf(bytes));
        decodesOrRefuses(() => decodeProtobuf(whole.subarray(0, length)));
      }),
      { numRuns: 2000 },
    );
  });

  it('any JSON value is refused or read, never thrown through', () => {
    const span = fc.record({ traceId: fc.anything(), spanId: fc.anything(), attributes: fc.anything(), startTimeUnixNano: fc.anything() });
    const shaped = fc.record({
      resourceSpans: fc.array(fc.record({ resource: fc.anything(), scopeSpans: fc.array(fc.record({ spans: fc.array(span) })) })),
    });
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), shaped), (value) => {
        let text: string | undefined;
        try {
          text = JSON.stringify(value);
        } catch {
          return; // not a JSON value (a bigint, a cycle)
        }
        decodesOrRefuses(() => decodeJson(text ?? ''));
      }),
      { numRuns: 200 },
    );
  });
});
