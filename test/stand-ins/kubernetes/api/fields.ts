import { isObject, type Json, type JsonObject, same } from '../state/json.ts';
import { isSet, isWhole, isWholeMap, keyDefaults, listKeys } from './lists.ts';
import type { FieldType, Schema } from './schema.ts';

/**
 * Fields as server-side apply counts them: a path is a list of steps, `f:name` for a field, `k:{…}` for an item of a list
 * by key, `v:…` for an item of a set. What is merged as one piece is one field.
 */
export type Path = readonly string[];
export type FieldSet = ReadonlyMap<string, Path>;

const keyOfPath = (path: Path) => path.join('\u0000');
export const setOf = (paths: Iterable<Path>): Map<string, Path> => new Map([...paths].map((path) => [keyOfPath(path), path]));

/** What holds a value: a model, a list of items or a map, with the place it stands in. */
interface Shape {
  readonly model: string | null;
  readonly type: FieldType | null;
  readonly keys: readonly string[] | null;
  readonly set: boolean;
  readonly whole: boolean;
}

const free: Shape = { model: null, type: { is: 'any' }, keys: null, set: false, whole: false };

export function shapeOfModel(model: string | null): Shape {
  return model === null ? free : { model, type: null, keys: null, set: false, whole: isWhole(model) };
}

function shapeOfType(type: FieldType, owner: string, field: string): Shape {
  if (type.is === 'model') return shapeOfModel(type.model);
  const keys = listKeys(owner, field);
  return {
    model: null,
    type,
    keys,
    set: isSet(owner, field),
    whole: (type.is === 'list' && keys === null && !isSet(owner, field)) || isWholeMap(owner, field),
  };
}

/** The shape of a field of a shape; custom resources have maps all the way down. */
export function inner(schema: Schema, shape: Shape, field: string): Shape {
  if (shape.model !== null) {
    const found = schema.model(shape.model)?.get(field);
    return found ? shapeOfType(found.type, shape.model, field) : free;
  }
  if (shape.type?.is === 'map') return shapeOfType(shape.type.of, '', '');
  return free;
}

export function itemShape(shape: Shape): Shape {
  return shape.type?.is === 'list' ? shapeOfType(shape.type.of, '', '') : free;
}

/** How an item of a keyed list is called in a path. */
export function itemStep(keys: readonly string[], item: Json): string {
  const named = keys.flatMap((key) => {
    const value = isObject(item) ? (item[key] ?? keyDefaults[key]) : undefined;
    return value === undefined ? [] : [[key, value] as const];
  });
  return `k:${JSON.stringify(Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1))))}`;
}

const isKeyed = (shape: Shape, value: Json): value is Json[] => shape.keys !== null && Array.isArray(value);
const isSetOf = (shape: Shape, value: Json): value is Json[] => shape.set && Array.isArray(value);
const isOpen = (shape: Shape, value: Json): value is JsonObject => isObject(value) && !shape.whole;

/** Every field an object sets. */
export function fieldsOf(schema: Schema, shape: Shape, value: Json, path: Path = []): Path[] {
  if (isKeyed(shape, value)) {
    const keys = shape.keys ?? [];
    if (value.length === 0) return [path];
    return value.flatMap((item) => {
      const here = [...path, itemStep(keys, item)];
      return [here, ...fieldsOf(schema, itemShape(shape), item, here)];
    });
  }
  if (isSetOf(shape, value)) return value.map((item) => [...path, `v:${JSON.stringify(item)}`]);
  if (isOpen(shape, value)) {
    const entries = Object.entries(value).filter(([, each]) => each !== undefined);
    if (entries.length === 0) return path.length === 0 ? [] : [path];
    return entries.flatMap(([name, each]) => fieldsOf(schema, inner(schema, shape, name), each as Json, [...path, `f:${name}`]));
  }
  return [path];
}

/** The value a path leads to; an item of a list is there or not. */
export function valueAt(schema: Schema, shape: Shape, value: Json | undefined, path: Path): Json | undefined {
  let here: Json | undefined = value;
  let form = shape;
  for (const step of path) {
    if (step.startsWith('f:')) {
      if (!isObject(here)) return undefined;
      here = here[step.slice(2)];
      form = inner(schema, form, step.slice(2));
    } else if (!Array.isArray(here)) {
      return undefined;
    } else if (step.startsWith('v:')) {
      here = here.find((item) => JSON.stringify(item) === step.slice(2));
    } else {
      const keys: readonly string[] = form.keys ?? [];
      here = here.find((item) => itemStep(keys, item) === step);
      form = itemShape(form);
    }
  }
  return here;
}

/** True where a path means the same in both: items count as the same where both are there. */
export function sameAt(schema: Schema, shape: Shape, a: Json | undefined, b: Json | undefined, path: Path): boolean {
  const [left, right] = [valueAt(schema, shape, a, path), valueAt(schema, shape, b, path)];
  if (path.at(-1)?.startsWith('k:')) return (left === undefined) === (right === undefined);
  return same(left, right);
}

/** Takes a field out; what holds it stays, empty. */
export function removeAt(schema: Schema, shape: Shape, value: Json | undefined, path: Path): void {
  const [parent, last] = [valueAt(schema, shape, value, path.slice(0, -1)), path.at(-1)];
  if (last === undefined || parent === undefined) return;
  if (last.startsWith('f:') && isObject(parent)) delete parent[last.slice(2)];
  else if (Array.isArray(parent)) {
    const keys = shapeAt(schema, shape, path.slice(0, -1)).keys ?? [];
    const found = parent.findIndex((item) =>
      last.startsWith('v:') ? JSON.stringify(item) === last.slice(2) : itemStep(keys, item) === last,
    );
    if (found >= 0) parent.splice(found, 1);
  }
}

function shapeAt(schema: Schema, shape: Shape, path: Path): Shape {
  return path.reduce((here, step) => (step.startsWith('f:') ? inner(schema, here, step.slice(2)) : itemShape(here)), shape);
}

/** Lays an applied object over the stored one. */
export function overlay(schema: Schema, shape: Shape, stored: Json | undefined, applied: Json): Json {
  if (stored === undefined) return applied;
  if (isKeyed(shape, applied) && Array.isArray(stored)) {
    const keys = shape.keys ?? [];
    const rest = stored.filter((item) => !applied.some((each) => itemStep(keys, each) === itemStep(keys, item)));
    const merged = applied.map((item) =>
      overlay(
        schema,
        itemShape(shape),
        stored.find((each) => itemStep(keys, each) === itemStep(keys, item)),
        item,
      ),
    );
    // Applied items come in their own order, those of others keep their places after them.
    return [...merged, ...rest];
  }
  if (isSetOf(shape, applied) && Array.isArray(stored))
    return [...stored, ...applied.filter((item) => !stored.some((each) => same(each, item)))];
  if (isOpen(shape, applied) && isObject(stored)) {
    const result: JsonObject = { ...stored };
    for (const [name, each] of Object.entries(applied)) {
      if (each !== undefined) result[name] = overlay(schema, inner(schema, shape, name), stored[name], each);
    }
    return result;
  }
  return applied;
}

/** A set of fields in the form objects carry it. */
export function toFieldsV1(fields: FieldSet): JsonObject {
  const root: JsonObject = {};
  for (const path of fields.values()) {
    let here = root;
    for (const step of path) {
      const next = here[step];
      if (isObject(next)) here = next;
      else {
        const made: JsonObject = {};
        here[step] = made;
        here = made;
      }
    }
    if (path.at(-1)?.startsWith('k:')) here['.'] = {};
  }
  return root;
}

/** `.spec.containers[name="a"].image`, as conflicts name a field. */
export const pathText = (path: Path): string =>
  path
    .map((step) => {
      if (step.startsWith('f:')) return `.${step.slice(2)}`;
      if (step.startsWith('v:')) return `[=${step.slice(2)}]`;
      const keys = JSON.parse(step.slice(2)) as { [key: string]: unknown };
      return `[${Object.entries(keys)
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join(',')}]`;
    })
    .join('');

/** The way back from what objects carry. */
export function fromFieldsV1(value: JsonObject, path: Path = []): Path[] {
  const steps = Object.entries(value).filter(([step]) => step !== '.');
  const own = '.' in value || steps.length === 0 ? (path.length === 0 ? [] : [path]) : [];
  return [...own, ...steps.flatMap(([step, each]) => fromFieldsV1(isObject(each) ? each : {}, [...path, step]))];
}
