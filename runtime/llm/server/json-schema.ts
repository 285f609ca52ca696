import { canonicalJson, type Json, type JsonSchema } from '../../../compiler/contracts/index.ts';

export const isSchema = (value: Json | undefined): value is JsonSchema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const schemasIn = (value: Json | undefined): readonly JsonSchema[] => (Array.isArray(value) ? value.filter(isSchema) : []);

/** Follows a local `$ref` (`#/$defs/x`), keeping what stands beside it. Unknown references become the empty schema. */
export function resolve(schema: JsonSchema, root: JsonSchema): JsonSchema {
  let current = schema;
  for (let guard = 0; typeof current.$ref === 'string' && guard < 32; guard++) {
    const { $ref, ...rest } = current;
    const steps = $ref
      .replace(/^#\/?/, '')
      .split('/')
      .filter(Boolean)
      .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
    let target: Json | undefined = root;
    for (const step of steps) target = isSchema(target) ? target[step] : undefined;
    current = { ...(isSchema(target) ? target : {}), ...rest };
  }
  return current;
}

/** The type to make: the declared one, the first that is not null, or what the other keywords suggest. */
export function typeOf(schema: JsonSchema): string | undefined {
  const { type } = schema;
  if (typeof type === 'string') return type;
  if (Array.isArray(type)) return (type.find((one) => one !== 'null') ?? type[0]) as string | undefined;
  if (schema.properties !== undefined) return 'object';
  if (schema.items !== undefined || schema.prefixItems !== undefined) return 'array';
  if (schema.pattern !== undefined || schema.format !== undefined) return 'string';
  return undefined;
}

export function testPattern(pattern: Json | undefined, text: string): boolean {
  if (typeof pattern !== 'string') return true;
  try {
    return new RegExp(pattern, 'u').test(text);
  } catch {
    return true;
  }
}

/** The part of JSON Schema that tool parameters use. Keywords not known here do not refuse anything. */
export function conforms(value: Json, given: JsonSchema, root: JsonSchema = given): boolean {
  const schema = resolve(given, root);
  if (schema.const !== undefined && canonicalJson(schema.const) !== canonicalJson(value)) return false;
  if (Array.isArray(schema.enum) && !schema.enum.some((one) => canonicalJson(one) === canonicalJson(value))) return false;
  if (Array.isArray(schema.anyOf) && !schemasIn(schema.anyOf).some((one) => conforms(value, one, root))) return false;
  if (Array.isArray(schema.oneOf) && schemasIn(schema.oneOf).filter((one) => conforms(value, one, root)).length !== 1) return false;
  if (!schemasIn(schema.allOf).every((one) => conforms(value, one, root))) return false;
  if (schema.type !== undefined && ![schema.type].flat().some((type) => isOfType(value, type as string))) return false;
  if (typeof value === 'number') return numberConforms(value, schema);
  if (typeof value === 'string') {
    return within([...value].length, schema.minLength, schema.maxLength) && testPattern(schema.pattern, value);
  }
  if (Array.isArray(value)) return arrayConforms(value, schema, root);
  if (value !== null && typeof value === 'object') return objectConforms(value as { readonly [key: string]: Json }, schema, root);
  return true;
}

function isOfType(value: Json, type: string): boolean {
  if (type === 'null') return value === null;
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

const within = (size: number, low: Json | undefined, high: Json | undefined) =>
  size >= (typeof low === 'number' ? low : -Infinity) && size <= (typeof high === 'number' ? high : Infinity);

function numberConforms(value: number, schema: JsonSchema): boolean {
  if (!within(value, schema.minimum, schema.maximum)) return false;
  if (typeof schema.exclusiveMinimum === 'number' && value <= schema.exclusiveMinimum) return false;
  if (typeof schema.exclusiveMaximum === 'number' && value >= schema.exclusiveMaximum) return false;
  if (typeof schema.multipleOf !== 'number') return true;
  const quotient = value / schema.multipleOf;
  return Math.abs(quotient - Math.round(quotient)) < 1e-9;
}

function arrayConforms(value: readonly Json[], schema: JsonSchema, root: JsonSchema): boolean {
  if (!within(value.length, schema.minItems, schema.maxItems)) return false;
  if (schema.uniqueItems === true && new Set(value.map((item) => canonicalJson(item))).size < value.length) return false;
  const first = schemasIn(schema.prefixItems);
  return value.every((item, index) => {
    const itemSchema = first[index] ?? schema.items;
    return !isSchema(itemSchema) || conforms(item, itemSchema, root);
  });
}

function objectConforms(value: { readonly [key: string]: Json }, schema: JsonSchema, root: JsonSchema): boolean {
  const properties = isSchema(schema.properties) ? schema.properties : {};
  if (Array.isArray(schema.required) && !schema.required.every((key) => Object.hasOwn(value, key as string))) return false;
  return Object.entries(value).every(([key, member]) => {
    const own = properties[key];
    if (own !== undefined) return !isSchema(own) || conforms(member, own, root);
    const rest = schema.additionalProperties;
    return rest === false ? false : !isSchema(rest) || conforms(member, rest, root);
  });
}
