import { isObject, type Json, type JsonObject } from '../state/json.ts';
import { quantity } from '../state/quantity.ts';
import type { Field, FieldType, Schema } from './schema.ts';

/** What is wrong with an object before anybody looks at what it means. */
export interface Faulty {
  /** Fields no model knows, as paths; dropped from `object` (a server drops them too, unless asked to be strict). */
  readonly unknown: readonly string[];
  /** The first value of a wrong type: a server stops there. */
  readonly wrongType: string | null;
  /** Required fields that are missing, outside `status`. */
  readonly missing: readonly string[];
  readonly object: JsonObject;
}

interface Walk {
  readonly schema: Schema;
  readonly unknown: string[];
  wrongType: string | null;
  readonly missing: string[];
}

/** Walks an object along the model of its kind. */
export function decode(schema: Schema, model: string, object: JsonObject): Faulty {
  const walk: Walk = { schema, unknown: [], wrongType: null, missing: [] };
  const decoded = decodeModel(walk, model, object, '') as JsonObject;
  return { unknown: walk.unknown, wrongType: walk.wrongType, missing: walk.missing, object: decoded };
}

const under = (path: string, name: string) => (path === '' ? name : `${path}.${name}`);

function decodeModel(walk: Walk, name: string, value: Json, path: string): Json {
  const model = walk.schema.model(name);
  if (!model) return value;
  if (!isObject(value)) return mistyped(walk, value, name.replace(/^V\d/, ''), path);
  const result: JsonObject = {};
  for (const [key, inner] of Object.entries(value)) {
    const field = model.get(key);
    if (!field) {
      walk.unknown.push(under(path, key));
      continue;
    }
    if (inner === null || inner === undefined) continue;
    result[key] = decodeField(walk, field, inner, under(path, key), name);
  }
  if (path !== 'status' && !path.startsWith('status.')) {
    for (const field of model.values()) {
      if (field.required && result[field.name] === undefined && !leftOut(name, field.name)) walk.missing.push(under(path, field.name));
    }
  }
  return result;
}

/** Required of readers only: a server fills these in. */
const filledIn = new Set(['V1NetworkPolicySpec.podSelector', 'V1ContainerPort.protocol', 'V1ObjectFieldSelector.apiVersion']);
const leftOut = (model: string, field: string) => field === 'status' || filledIn.has(`${model}.${field}`);

function decodeField(walk: Walk, field: Field, value: Json, path: string, owner: string): Json {
  return decodeValue(walk, field.type, value, path, { owner: owner.replace(/^(Core|Events)?V\d/, ''), format: field.format });
}

interface Place {
  readonly owner: string;
  readonly format: string;
}

function decodeValue(walk: Walk, type: FieldType, value: Json, path: string, place: Place): Json {
  switch (type.is) {
    case 'model':
      return decodeModel(walk, type.model, value, path);
    case 'list':
      if (!Array.isArray(value)) return mistyped(walk, value, `[]${goType(type.of, place.format)}`, path, place);
      return value.map((item, index) => (item === null ? item : decodeValue(walk, type.of, item, `${path}[${index}]`, place)));
    case 'map': {
      if (!isObject(value)) return mistyped(walk, value, `map[string]${goType(type.of, place.format)}`, path, place);
      // Maps of quantities are maps of text to the generator.
      const quantities = type.of.is === 'text' && isQuantities(path);
      return Object.fromEntries(
        Object.entries(value)
          .filter(([, inner]) => inner !== null && inner !== undefined)
          .map(([key, inner]) => [
            key,
            quantities
              ? decodeQuantity(walk, inner as Json, `${path}.${key}`, place)
              : decodeValue(walk, type.of, inner as Json, `${path}.${key}`, place),
          ]),
      );
    }
    case 'any':
      return value;
    case 'intOrText':
      return typeof value === 'string' || Number.isInteger(value) ? value : mistyped(walk, value, 'intstr.IntOrString', path, place);
    case 'date':
      if (typeof value === 'string' && !Number.isNaN(Date.parse(value))) return value;
      return mistyped(walk, value, 'time.Time', path, place);
    case 'text':
      if (isQuantityField(path) && typeof value === 'number') return String(value);
      return typeof value === 'string' ? value : mistyped(walk, value, 'string', path, place);
    case 'boolean':
      return typeof value === 'boolean' ? value : mistyped(walk, value, 'bool', path, place);
    case 'number':
      if (typeof value === 'number' && (place.format === 'double' || place.format === '' || Number.isInteger(value))) return value;
      return mistyped(walk, value, place.format === '' ? 'number' : place.format, path, place);
  }
}

const isQuantities = (path: string) =>
  /(^|\.)(requests|limits|hard|used|capacity|allocatable|overhead|default|defaultRequest|max|min|maxLimitRequestRatio)$/.test(path);
const isQuantityField = (path: string) => /(sizeLimit|divisor|averageValue|\.value)$/.test(path) && !path.includes('.env[');

function decodeQuantity(walk: Walk, value: Json, path: string, place: Place): Json {
  if ((typeof value === 'string' || typeof value === 'number') && quantity(value) !== null) return String(value);
  walk.wrongType ??= `quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`;
  void place;
  void path;
  return value;
}

const goType = (type: FieldType, format: string): string => {
  if (type.is === 'text') return 'string';
  if (type.is === 'number') return format === '' ? 'int' : format;
  if (type.is === 'model') return type.model.replace(/^V\d/, 'v1.');
  return type.is === 'boolean' ? 'bool' : 'interface {}';
};

function mistyped(walk: Walk, value: Json, wanted: string, path: string, place?: Place): Json {
  const seen = Array.isArray(value) ? 'array' : isObject(value) ? 'object' : typeof value === 'boolean' ? 'bool' : typeof value;
  const bare = path.replace(/\[\d+\]/g, '');
  walk.wrongType ??= `json: cannot unmarshal ${seen} into Go struct field ${place?.owner ?? wanted}.${bare} of type ${wanted}`;
  return value;
}
