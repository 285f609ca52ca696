import { fnv1a, type Json, type JsonSchema } from '../../../compiler/contracts/index.ts';
import type { Lookup } from './facts.ts';
import { conforms, isSchema, resolve, schemasIn, testPattern, typeOf } from './json-schema.ts';
import { sampleOf } from './pattern-sample.ts';

export interface ValueSource {
  /** Values known from the conversation, by property name. */
  readonly known: Lookup;
  /** Text for properties that ask for free text, such as `query`. */
  readonly text: string;
  /** Equal seeds give equal values. */
  readonly seed: string;
}

const deepest = 12;
const freeText = /^(query|question|text|input|message|prompt|topic|request|task|content|summary|answer|reply)$/i;
const words = ['harbour', 'market', 'garden', 'castle', 'museum', 'station', 'bridge', 'library', 'theatre', 'tower'];

/**
 * A value that fits a JSON Schema: what the conversation says under that property name, else the default, the first
 * of an enumeration, or something plausible for the type and format. Optional properties are given only when known.
 * Conditions (`if`, `not`, `dependentRequired`) are not looked at.
 */
export function valueFor(schema: JsonSchema, source: ValueSource): Json {
  return make(schema, { ...source, root: schema, name: '', path: '', depth: 0 });
}

interface Spot extends ValueSource {
  readonly root: JsonSchema;
  /** Name of the property being made, or of the array it is an item of. */
  readonly name: string;
  readonly path: string;
  readonly depth: number;
}

const at = (spot: Spot, name: string, step: string | number): Spot => ({
  ...spot,
  name,
  path: `${spot.path}/${step}`,
  depth: spot.depth + 1,
});
const draw = (spot: Spot, bound: number) => fnv1a(`${spot.seed}${spot.path}`) % bound;

function make(given: JsonSchema, spot: Spot): Json {
  const schema = resolve(given, spot.root);
  if (schema.const !== undefined) return schema.const;
  const known = knownValue(schema, spot);
  if (known !== undefined) return known;
  if (schema.default !== undefined) return schema.default;
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0] as Json;
  if (Array.isArray(schema.examples) && schema.examples.length > 0) return schema.examples[0] as Json;
  if (spot.depth > deepest) return typeOf(schema) === 'array' ? [] : null;
  const options = [...schemasIn(schema.anyOf), ...schemasIn(schema.oneOf)];
  if (options.length > 0) {
    const { anyOf: _a, oneOf: _o, ...rest } = schema;
    return make({ ...rest, ...(options.find((option) => typeOf(resolve(option, spot.root)) !== 'null') ?? options[0]) }, spot);
  }
  if (Array.isArray(schema.allOf)) return make(merged(schema, spot.root), spot);
  switch (typeOf(schema)) {
    case 'object':
      return makeObject(schema, spot);
    case 'array':
      return makeArray(schema, spot);
    case 'number':
    case 'integer':
      return makeNumber(schema, spot);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return makeString(schema, spot);
  }
}

function knownValue(schema: JsonSchema, spot: Spot): Json | undefined {
  if (spot.name === '') return undefined;
  for (const value of spot.known(spot.name)) {
    if (conforms(value, schema, spot.root)) return value;
    const other = typeof value === 'number' ? String(value) : typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN;
    if (!Number.isNaN(other) && conforms(other, schema, spot.root)) return other;
  }
  return undefined;
}

function merged(schema: JsonSchema, root: JsonSchema): JsonSchema {
  const { allOf, ...rest } = schema;
  const parts = [rest as JsonSchema, ...schemasIn(allOf).map((part) => resolve(part, root))];
  return {
    ...Object.assign({}, ...parts),
    properties: Object.assign({}, ...parts.map((part) => part.properties)),
    required: parts.flatMap((part) => (Array.isArray(part.required) ? part.required : [])),
  };
}

function makeObject(schema: JsonSchema, spot: Spot): Json {
  const properties = isSchema(schema.properties) ? schema.properties : {};
  const required = new Set(Array.isArray(schema.required) ? (schema.required as string[]) : []);
  const out: Record<string, Json> = {};
  for (const key of new Set([...Object.keys(properties), ...required])) {
    const own = properties[key];
    const property = isSchema(own) ? own : {};
    const inner = at(spot, key, key);
    if (required.has(key)) out[key] = make(property, inner);
    else {
      const known = knownValue(resolve(property, spot.root), inner);
      if (known !== undefined) out[key] = known;
    }
  }
  return out;
}

function makeArray(schema: JsonSchema, spot: Spot): Json {
  const first = schemasIn(schema.prefixItems);
  const least = typeof schema.minItems === 'number' ? schema.minItems : 1;
  const length = Math.min(Math.max(least, first.length), typeof schema.maxItems === 'number' ? schema.maxItems : Infinity);
  const items = isSchema(schema.items) ? schema.items : {};
  return Array.from({ length }, (_, index) => {
    // Only the first item may be the known value, or all items would be the same.
    const inner = at(spot, index === 0 ? spot.name : '', index);
    const item = first[index] ?? items;
    if (schema.uniqueItems !== true || index === 0) return make(item, inner);
    const choices = resolve(item, spot.root).enum;
    return Array.isArray(choices) ? ((choices[index] ?? null) as Json) : distinct(make(item, inner), index);
  });
}

/** Keeps items of a set apart. */
const distinct = (value: Json, index: number): Json =>
  typeof value === 'number' ? value + 100 * index : typeof value === 'string' ? `${value}${index}` : value;

function makeNumber(schema: JsonSchema, spot: Spot): number {
  const whole = typeOf(schema) === 'integer';
  const number = (key: string) => (typeof schema[key] === 'number' ? (schema[key] as number) : undefined);
  const least = number('minimum') ?? number('exclusiveMinimum');
  const most = number('maximum') ?? number('exclusiveMaximum');
  const low = least ?? Math.min(1, (most ?? 1) - (whole ? 20 : 1));
  const high = Math.min(most ?? Infinity, low + 20);
  const step = number('multipleOf') ?? (whole ? 1 : (high - low) / 64);
  if (step <= 0) return low;
  const from = Math.ceil(low / step - 1e-9) + (number('exclusiveMinimum') === undefined ? 0 : 1);
  const to = Math.max(from, Math.floor(high / step + 1e-9) - (number('exclusiveMaximum') === undefined ? 0 : 1));
  const value = (from + draw(spot, to - from + 1)) * step;
  return Number(Math.min(Math.max(value, low), most ?? Infinity).toPrecision(12));
}

function makeString(schema: JsonSchema, spot: Spot): string {
  const pick = draw(spot, 1000);
  const candidates = [
    typeof schema.format === 'string' ? formats[schema.format]?.(pick) : undefined,
    freeText.test(spot.name) ? spot.text : undefined,
    words[pick % words.length],
    typeof schema.pattern === 'string' ? sampleOf(schema.pattern) : undefined,
  ].flatMap((candidate) => (candidate === undefined || candidate === '' ? [] : [fitLength(candidate, schema)]));
  return candidates.find((candidate) => testPattern(schema.pattern, candidate)) ?? candidates[0] ?? 'a';
}

function fitLength(text: string, schema: JsonSchema): string {
  const most = typeof schema.maxLength === 'number' ? schema.maxLength : 400;
  const least = typeof schema.minLength === 'number' ? schema.minLength : 0;
  return [...text.padEnd(least, text)].slice(0, Math.max(most, 0)).join('');
}

const two = (n: number) => String(n).padStart(2, '0');
const date = (pick: number) => `2026-${two(1 + (pick % 12))}-${two(1 + (pick % 28))}`;
const formats: { readonly [format: string]: (pick: number) => string } = {
  date,
  time: (pick) => `${two(pick % 24)}:${two(pick % 60)}:00Z`,
  'date-time': (pick) => `${date(pick)}T${two(pick % 24)}:${two(pick % 60)}:00Z`,
  duration: (pick) => `PT${1 + (pick % 48)}H`,
  email: (pick) => `person${pick}@example.com`,
  uri: (pick) => `https://example.com/${pick}`,
  url: (pick) => `https://example.com/${pick}`,
  hostname: (pick) => `host${pick}.example.com`,
  ipv4: (pick) => `192.0.2.${pick % 255}`,
  ipv6: (pick) => `2001:db8::${(pick % 255).toString(16)}`,
  uuid: (pick) => `00000000-0000-4000-8000-${String(pick).padStart(12, '0')}`,
};
