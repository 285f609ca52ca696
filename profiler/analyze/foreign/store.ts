import type { SpanRecord } from '../../../compiler/contracts/traces.ts';
import type { Act, Reading } from '../../collect/conventions/convention.ts';
import { readConventions } from '../../collect/conventions/index.ts';
import type { ForeignResource, ForeignSpan } from '../../collect/foreign/span.ts';

/** What many spans share; one object each, so that a million spans cost their times and ids. */
export interface SpanLabel {
  /** Numbers and ids in it replaced. */
  readonly name: string;
  readonly kind: SpanRecord['kind'] | 'unset';
  readonly act: Act;
  readonly subject: string | null;
  readonly protocol: string | null;
  readonly provider: string | null;
  readonly operation: string | null;
  readonly errorType: string | null;
  readonly requestClass: string | null;
  readonly oneWay: boolean;
}

/** What few spans have. */
export type SpanFacts = Pick<
  Reading,
  | 'conversation'
  | 'tokensIn'
  | 'tokensOut'
  | 'tokensCached'
  | 'costUsd'
  | 'firstChunkMs'
  | 'requestBytes'
  | 'responseBytes'
  | 'cpuMs'
  | 'queueMs'
  | 'messages'
>;

export interface StoredSpan {
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly startMs: number;
  readonly durationMs: number;
  readonly ok: boolean;
  readonly follows: boolean;
  readonly label: SpanLabel;
  readonly resource: ForeignResource;
  readonly facts: SpanFacts | null;
  readonly link: { readonly traceId: string; readonly spanId: string } | undefined;
  /** Only where spans must be given back as they came: see `canonicalSpans`. */
  readonly original: SpanRecord | undefined;
}

export interface StoredTrace {
  readonly traceId: string;
  spans: StoredSpan[];
}

/** Names beyond this many differ in something that names nothing; they are told as `(other)`. */
const maxLabels = 50_000;

/** Turns spans as read into what is kept of them. */
export function createReader(seen?: (convention: string) => void): (span: ForeignSpan, original?: SpanRecord) => StoredSpan {
  const labels = new Map<string, SpanLabel>();
  const labelOf = (span: ForeignSpan, reading: ReturnType<typeof readConventions>): SpanLabel => {
    const { act, subject = null, protocol = null, provider = null, operation = null, requestClass = null, oneWay = false } = reading;
    const errorType = reading.errorType ?? null;
    const name = labels.size < maxLabels ? withoutIds(span.name) : '(other)';
    const key = `${name}\n${span.kind}\n${act}\n${subject}\n${protocol}\n${provider}\n${operation}\n${errorType}\n${requestClass}\n${oneWay}`;
    const known = labels.get(key);
    if (known) return known;
    const label = { name, kind: span.kind, act, subject, protocol, provider, operation, errorType, requestClass, oneWay };
    labels.set(key, label);
    return label;
  };
  return (span, original) => {
    const reading = readConventions(span, seen);
    return {
      spanId: span.spanId,
      parentSpanId: span.parentSpanId,
      startMs: span.startMs,
      durationMs: span.durationMs,
      ok: span.ok,
      follows: span.follows,
      label: labelOf(span, reading),
      resource: span.resource,
      facts: factsOf(reading),
      link: span.link,
      original,
    };
  };
}

const factKeys = [
  'conversation',
  'tokensIn',
  'tokensOut',
  'tokensCached',
  'costUsd',
  'firstChunkMs',
  'requestBytes',
  'responseBytes',
  'cpuMs',
  'queueMs',
  'messages',
] as const satisfies readonly (keyof SpanFacts)[];

function factsOf(reading: Reading): SpanFacts | null {
  let facts: Record<string, unknown> | null = null;
  for (const key of factKeys) {
    if (reading[key] === undefined) continue;
    facts ??= {};
    facts[key] = reading[key];
  }
  return facts;
}

const anyDigit = /\d/;

/** `GET /users/4711/orders` and `GET /users/4712/orders` are one name. */
export function withoutIds(name: string): string {
  const short = name.length > 120 ? `${name.slice(0, 120)}…` : name;
  if (!anyDigit.test(short)) return short;
  return short
    .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '{id}')
    .replace(/\b(?=[a-f]*\d)[0-9a-f]{12,}\b/gi, '{id}')
    .replace(/\/\d+(?=\/|$|\?)/g, '/{id}')
    .replace(/\d{5,}/g, '{id}');
}

export interface TraceStore {
  add(span: ForeignSpan): boolean;
  readonly traces: Map<string, StoredTrace>;
  readonly spans: number;
}

/** `add` returns false for spans beyond `maxSpans`. */
export function createStore(maxSpans: number, seen: (convention: string) => void): TraceStore {
  const traces = new Map<string, StoredTrace>();
  const read = createReader(seen);
  let spans = 0;
  return {
    traces,
    add(span) {
      if (spans >= maxSpans) return false;
      let trace = traces.get(span.traceId);
      if (!trace) {
        trace = { traceId: span.traceId, spans: [] };
        traces.set(span.traceId, trace);
      }
      trace.spans.push(read(span));
      spans++;
      return true;
    },
    get spans() {
      return spans;
    },
  };
}
