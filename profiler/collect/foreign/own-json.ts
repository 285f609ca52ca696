import { attr } from '../../../compiler/contracts/trace-attributes.ts';
import { fieldsOf } from './otlp-json.ts';
import { type ForeignSpan, type ForeignValue, times, UnusableSpan } from './span.ts';

const kinds = new Set<unknown>(['internal', 'server', 'client', 'producer', 'consumer']);

/** One line of `traces/<block>.ndjson` of a run folder. @throws UnusableSpan */
export function ownSpan(fields: ReadonlyMap<string, unknown>): ForeignSpan {
  const [traceId, spanId, parent] = [fields.get('traceId'), fields.get('spanId'), fields.get('parentSpanId')];
  const [startMs, durationMs] = [fields.get('startMs'), fields.get('durationMs')];
  if (typeof traceId !== 'string' || typeof spanId !== 'string' || typeof startMs !== 'number' || typeof durationMs !== 'number')
    throw new UnusableSpan('an object that holds no spans');
  const attributes = new Map<string, ForeignValue>();
  const given = fieldsOf(fields.get('attributes')) ?? {};
  for (const key of Object.keys(given)) {
    const value = given[key];
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') attributes.set(key, value);
  }
  const resource = new Map<string, ForeignValue>();
  const unit = fields.get('unit');
  const replica = fields.get('replica');
  if (typeof unit === 'string') resource.set(attr.unit, unit).set(attr.serviceName, unit);
  if (typeof replica === 'number') resource.set(attr.replica, replica);
  const kind = fields.get('kind');
  return {
    traceId,
    spanId,
    parentSpanId: typeof parent === 'string' ? parent : undefined,
    name: String(fields.get('name') ?? ''),
    kind: kinds.has(kind) ? (kind as ForeignSpan['kind']) : 'unset',
    ...times(startMs, startMs + Math.max(0, durationMs)),
    durationMs: Math.max(0, durationMs),
    reversed: durationMs < 0,
    ok: fields.get('ok') !== false,
    resource: { attributes: resource },
    scope: '',
    attributes,
    link: undefined,
    follows: false,
  };
}
