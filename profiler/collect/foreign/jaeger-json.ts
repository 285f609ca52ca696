import { spanKind } from '../otlp/record.ts';
import { keyValues } from './anyvalue.ts';
import { fieldsOf } from './otlp-json.ts';
import { type ForeignResource, type ForeignSpan, type ForeignValue, idOf, times, UnusableSpan } from './span.ts';

/** Jaeger writes values as they are, with their type beside them. */
const attributesOf = (list: unknown) =>
  keyValues(list, ({ value }): ForeignValue | undefined =>
    typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined,
  );

/** A Jaeger process in the words of OpenTelemetry. */
export function processAttributes(value: unknown): ForeignResource['attributes'] {
  const fields = fieldsOf(value);
  const out = attributesOf(fields?.tags);
  if (typeof fields?.serviceName === 'string') out.set('service.name', fields.serviceName);
  const host = out.get('hostname');
  if (host !== undefined && !out.has('host.name')) out.set('host.name', host);
  return out;
}

const kinds = ['', 'internal', 'server', 'client', 'producer', 'consumer'];

/**
 * One span of the JSON that Jaeger's query service and user interface write. `processOf` gives the resource for a process id.
 * @throws UnusableSpan
 */
export function jaegerSpan(value: unknown, traceOf: string, processOf: (id: string) => ForeignResource): ForeignSpan {
  const fields = fieldsOf(value);
  if (!fields) throw new UnusableSpan('a span that is not an object');
  const traceId = idOf(fields.traceID, 16) || traceOf;
  const spanId = idOf(fields.spanID, 8);
  if (traceId === '' || spanId === '') throw new UnusableSpan('a span without a valid trace or span id');
  const { startTime, duration } = fields;
  if (typeof startTime !== 'number' || typeof duration !== 'number')
    throw new UnusableSpan('a start time or duration that is not a number');
  if (!Number.isFinite(duration)) throw new UnusableSpan('a duration that is not a number');
  // Microseconds. A negative duration is told as one, not as an end before 1970.
  const exact = times(startTime / 1000, startTime / 1000 + Math.max(0, duration) / 1000);
  const attributes = attributesOf(fields.tags);
  const parent = parentOf(fields, traceId);
  const kind = kinds.indexOf(String(attributes.get('span.kind') ?? ''));
  const own = fieldsOf(fields.process);
  return {
    traceId,
    spanId,
    parentSpanId: parent?.spanId,
    name: typeof fields.operationName === 'string' ? fields.operationName : '',
    kind: kind > 0 ? spanKind(kind) : 'unset',
    ...exact,
    durationMs: Math.max(0, duration) / 1000,
    reversed: duration < 0,
    ok: !failed(attributes),
    resource: typeof fields.processID === 'string' ? processOf(fields.processID) : { attributes: processAttributes(own) },
    scope: String(attributes.get('otel.library.name') ?? attributes.get('otel.scope.name') ?? ''),
    attributes,
    link: linkOf(fields, traceId),
    follows: parent?.follows ?? false,
  };
}

/** `error` is true, or says what the error was. */
function failed(attributes: ReadonlyMap<string, ForeignValue>): boolean {
  const error = attributes.get('error');
  return (error !== undefined && error !== false && error !== 'false' && error !== '') || attributes.get('otel.status_code') === 'ERROR';
}

function* references(fields: { readonly [key: string]: unknown }) {
  if (!Array.isArray(fields.references)) return;
  for (const item of fields.references) {
    const reference = fieldsOf(item);
    if (reference)
      yield { follows: reference.refType === 'FOLLOWS_FROM', traceId: idOf(reference.traceID, 16), spanId: idOf(reference.spanID, 8) };
  }
}

/** The first reference into the same trace that says CHILD_OF, else the first that says FOLLOWS_FROM. */
function parentOf(fields: { readonly [key: string]: unknown }, traceId: string) {
  const inside = [...references(fields)].filter((each) => each.spanId !== '' && (each.traceId === '' || each.traceId === traceId));
  const found = inside.find((each) => !each.follows) ?? inside[0];
  if (found) return found;
  const old = idOf(fields.parentSpanID, 8);
  return old === '' ? undefined : { spanId: old, follows: false };
}

function linkOf(fields: { readonly [key: string]: unknown }, traceId: string) {
  for (const each of references(fields))
    if (each.traceId !== '' && each.traceId !== traceId) return { traceId: each.traceId, spanId: each.spanId };
  return undefined;
}
