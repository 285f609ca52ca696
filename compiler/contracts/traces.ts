/** One span as it is kept: flat, so that SQL reads it as it stands. One per line in `traces/<block>.ndjson`. */
export interface SpanRecord {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  /** Milliseconds since the epoch, with fraction. */
  readonly startMs: number;
  readonly durationMs: number;
  readonly ok: boolean;
  /** Resource attributes `dmas.unit` and `dmas.replica`, lifted. */
  readonly unit?: string;
  readonly replica?: number;
  /** Span attributes, names of `trace-attributes.ts`. */
  readonly attributes: { readonly [name: string]: string | number | boolean };
}
