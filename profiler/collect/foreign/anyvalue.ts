import type { ForeignValue } from './span.ts';

/** Attributes above this many of one span are left out; no SDK allows more than 128 unless told to. */
export const maxAttributes = 4_096;

/** The JSON form of an OTLP AnyValue, nested ones as JSON text. Undefined for none. */
export function jsonAnyValue(value: unknown): ForeignValue | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { stringValue, intValue, doubleValue, boolValue, arrayValue, kvlistValue } = value as { [key: string]: unknown };
  if (typeof stringValue === 'string') return stringValue;
  if (intValue !== undefined) return Number(intValue);
  if (doubleValue !== undefined) return Number(doubleValue);
  if (boolValue !== undefined) return boolValue === true || boolValue === 'true';
  const nested = arrayValue ?? kvlistValue;
  return nested === undefined ? undefined : JSON.stringify(nested);
}

/** A list of `{key, value}` as OTLP and Jaeger write attributes, by `read`. What is not of that form is left out. */
export function keyValues(
  list: unknown,
  read: (pair: { readonly [key: string]: unknown }) => ForeignValue | undefined,
): Map<string, ForeignValue> {
  const out = new Map<string, ForeignValue>();
  if (!Array.isArray(list)) return out;
  for (const pair of list) {
    if (out.size >= maxAttributes) break;
    if (typeof pair !== 'object' || pair === null || typeof pair.key !== 'string') continue;
    const value = read(pair);
    if (value !== undefined) out.set(pair.key, value);
  }
  return out;
}
