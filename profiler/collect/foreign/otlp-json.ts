import { spanKind, statusError } from '../otlp/record.ts';
import { jsonAnyValue, keyValues } from './anyvalue.ts';
import { type ForeignResource, type ForeignSpan, idOf, times, UnusableSpan } from './span.ts';

type Fields = { readonly [key: string]: unknown };
const attributesOf = (list: unknown) => keyValues(list, (pair) => jsonAnyValue(pair.value));

export const fieldsOf = (value: unknown): Fields | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null;

/** A field under its JSON name or, as some exporters write it, under its name in the .proto file. */
const either = (fields: Fields, camel: string, snake: string): unknown => fields[camel] ?? fields[snake];

export const resourceAttributes = (value: unknown): ForeignResource['attributes'] => attributesOf(fieldsOf(value)?.attributes);

/** One span of OTLP/JSON as it was parsed. @throws UnusableSpan */
export function otlpJsonSpan(value: unknown, resource: ForeignResource, scope: string): ForeignSpan {
  const fields = fieldsOf(value);
  if (!fields) throw new UnusableSpan('a span that is not an object');
  const traceId = idOf(either(fields, 'traceId', 'trace_id'), 16);
  const spanId = idOf(either(fields, 'spanId', 'span_id'), 8);
  if (traceId === '' || spanId === '') throw new UnusableSpan('a span without a valid trace or span id');
  const start = nanos(either(fields, 'startTimeUnixNano', 'start_time_unix_nano'));
  const end = nanos(either(fields, 'endTimeUnixNano', 'end_time_unix_nano'));
  const exact = times(start.ms, end.ms);
  const status = fieldsOf(fields.status)?.code;
  const link = fieldsOf(Array.isArray(fields.links) ? fields.links[0] : undefined);
  return {
    traceId,
    spanId,
    parentSpanId: idOf(either(fields, 'parentSpanId', 'parent_span_id'), 8) || undefined,
    name: typeof fields.name === 'string' ? fields.name : '',
    kind: kindOf(fields.kind),
    ...exact,
    // The difference is taken before it is rounded to milliseconds since 1970.
    durationMs: exact.durationMs === 0 ? 0 : (end.high - start.high) * 1000 + (end.low - start.low) / 1e6,
    ok: status !== statusError && status !== 'STATUS_CODE_ERROR',
    resource,
    scope,
    attributes: attributesOf(fields.attributes),
    link: link ? linkOf(link) : undefined,
    follows: false,
  };
}

const linkOf = (fields: Fields) => ({
  traceId: idOf(either(fields, 'traceId', 'trace_id'), 16),
  spanId: idOf(either(fields, 'spanId', 'span_id'), 8),
});

const kindNames = [
  'SPAN_KIND_UNSPECIFIED',
  'SPAN_KIND_INTERNAL',
  'SPAN_KIND_SERVER',
  'SPAN_KIND_CLIENT',
  'SPAN_KIND_PRODUCER',
  'SPAN_KIND_CONSUMER',
];
function kindOf(value: unknown): ForeignSpan['kind'] {
  const number = typeof value === 'string' && value.startsWith('SPAN_KIND') ? kindNames.indexOf(value) : Number(value ?? 0);
  return number > 0 ? spanKind(number) : 'unset';
}

/** Nanoseconds since 1970, a number or its text, in seconds and nanoseconds without rounding. */
function nanos(value: unknown): { ms: number; high: number; low: number } {
  const written = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof written === 'string' && written.length <= 20 && /^\d+$/.test(written)) {
    const high = Number(written.slice(0, -9) || '0');
    const low = Number(written.slice(-9));
    return { ms: high * 1000 + low / 1e6, high, low };
  }
  if (value === undefined || value === null || value === '') return { ms: 0, high: 0, low: 0 };
  // A number above 2^53 has lost its last digits, yet says the time to a microsecond.
  if (typeof value === 'number' && Number.isFinite(value)) return { ms: value / 1e6, high: Math.floor(value / 1e9), low: value % 1e9 };
  throw new UnusableSpan('a time that is not a number of nanoseconds');
}
