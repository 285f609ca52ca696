import type { Json, JsonSchema } from '../../../compiler/contracts/index.ts';
import { resolve, schemasIn, typeOf } from '../server/json-schema.ts';

/** How far a model may go where a schema sets no bounds: one that knows nothing would never close a string or a list. */
export interface Bounds {
  readonly stringLength: number;
  readonly listLength: number;
}

const deepest = 8;
const widestRange = 64;

/**
 * A JSON Schema in the words of node-llama-cpp's grammars: references filled in, alternatives as `oneOf`, everything bounded. What a
 * grammar cannot say (`pattern`, `multipleOf`, conditions) is left out. Objects get what is required, or all properties when nothing is.
 */
export function grammarSchema(given: JsonSchema, bounds: Bounds, root: JsonSchema = given, depth = 0): Json {
  const schema = resolve(given, root);
  const inner = (one: JsonSchema) => grammarSchema(one, bounds, root, depth + 1);
  if (schema.const !== undefined) return { const: schema.const };
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return { enum: schema.enum };
  if (depth > deepest) return { type: 'null' };
  const options = [...schemasIn(schema.anyOf), ...schemasIn(schema.oneOf)];
  if (options.length > 0) return { oneOf: options.map((option) => inner(option)) };
  if (Array.isArray(schema.allOf)) return inner(Object.assign({}, ...schemasIn(schema.allOf).map((one) => resolve(one, root))));
  const number = (key: string) => (typeof schema[key] === 'number' ? (schema[key] as number) : undefined);
  switch (typeOf(schema)) {
    case 'object': {
      const properties = Object.entries((schema.properties ?? {}) as Record<string, JsonSchema>);
      const required = Array.isArray(schema.required) ? schema.required : [];
      const kept = properties.filter(([name]) => required.length === 0 || required.includes(name));
      return { type: 'object', properties: Object.fromEntries(kept.map(([name, one]) => [name, inner(one)])) };
    }
    case 'array': {
      const least = number('minItems') ?? 0;
      const most = Math.min(number('maxItems') ?? Infinity, Math.max(least, bounds.listLength));
      const items = (schema.items ?? { type: 'string' }) as JsonSchema;
      return { type: 'array', items: inner(items), minItems: least, maxItems: most };
    }
    case 'integer':
    case 'number': {
      // A grammar cannot compare numbers, so a range becomes a choice of whole ones.
      const low = Math.ceil(number('minimum') ?? (number('exclusiveMinimum') ?? -1) + 1);
      const high = Math.floor(number('maximum') ?? (number('exclusiveMaximum') ?? low + widestRange) - 1);
      const bounded = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'].some((key) => number(key) !== undefined);
      if (!bounded) return { type: schema.type as string };
      const choices = Array.from({ length: Math.max(1, Math.min(widestRange, high - low + 1)) }, (_, index) => low + index);
      return { enum: choices };
    }
    case 'boolean':
      return { type: 'boolean' };
    case 'null':
      return { type: 'null' };
    default: {
      if (['date', 'time', 'date-time'].includes(String(schema.format))) return { type: 'string', format: schema.format ?? null };
      const least = number('minLength') ?? 0;
      return {
        type: 'string',
        minLength: least,
        maxLength: Math.min(number('maxLength') ?? Infinity, Math.max(least, bounds.stringLength)),
      };
    }
  }
}
