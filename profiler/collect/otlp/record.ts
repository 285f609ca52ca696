import { attr } from '../../../compiler/contracts/trace-attributes.ts';
import type { SpanRecord } from '../../../compiler/contracts/traces.ts';

export type AttributeValue = string | number | boolean;
export type Attributes = Record<string, AttributeValue>;

/** What both decoders read of a resource: only what is lifted into every span. */
export interface ResourceFacts {
  readonly unit?: string;
  readonly replica?: number;
}

export function resourceFacts(attributes: Attributes): ResourceFacts {
  const unit = attributes[attr.unit];
  const replica = Number(attributes[attr.replica] ?? Number.NaN);
  return { ...(typeof unit === 'string' ? { unit } : {}), ...(Number.isInteger(replica) ? { replica } : {}) };
}

const kinds: readonly SpanRecord['kind'][] = ['internal', 'internal', 'server', 'client', 'producer', 'consumer'];
/** OTLP SpanKind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer. */
export const spanKind = (value: number): SpanRecord['kind'] => kinds[value] ?? 'internal';

/** OTLP StatusCode: 0 unset, 1 ok, 2 error. */
export const statusError = 2;

/** Nanoseconds in two 32-bit halves as milliseconds. Good to a quarter of a microsecond for times of this century. */
export const nanosToMs = (high: number, low: number): number => (high * 4_294_967_296 + low) / 1e6;

/** What a request body that is not OTLP is answered with. */
export class MalformedOtlp extends Error {
  override name = 'MalformedOtlp';
}
