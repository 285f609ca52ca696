import { copy, isObject, type Json, type JsonObject, same } from '../state/json.ts';
import { mergeKey } from './lists.ts';
import type { FieldType, Schema } from './schema.ts';
import { badRequest, Refusal } from './status.ts';

/** RFC 7386. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else if (value !== undefined) result[key] = mergePatch(result[key], value);
  }
  return result;
}

/** RFC 6902. */
export function jsonPatch(target: JsonObject, operations: Json): JsonObject {
  if (!Array.isArray(operations))
    throw badRequest('error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch');
  const root: { value: Json } = { value: copy(target) };
  for (const operation of operations) {
    if (!isObject(operation)) throw badRequest('error decoding patch: an operation must be an object');
    const { op, value } = operation;
    const path = String(operation.path);
    if (op === 'test') {
      if (!same(read(root, path), value)) throw unprocessable(`testing value ${path} failed: test failed`);
    } else if (op === 'remove') removeAt(root, path);
    else if (op === 'add' || op === 'replace') write(root, path, copy(value ?? null), op);
    else if (op === 'copy') write(root, path, copy(read(root, String(operation.from)) ?? null), 'add');
    else if (op === 'move') {
      const moved = copy(read(root, String(operation.from)) ?? null);
      removeAt(root, String(operation.from));
      write(root, path, moved, 'add');
    } else throw badRequest(`error decoding patch: unknown operation ${String(op)}`);
  }
  return root.value as JsonObject;
}

const unprocessable = (message: string) =>
  new Refusal(422, 'Invalid', `the server rejected our request due to an error in our request: ${message}`);
const steps = (path: string) =>
  path
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));

function read(root: { value: Json }, path: string): Json | undefined {
  return steps(path).reduce<Json | undefined>(
    (here, step) => (Array.isArray(here) ? here[Number(step)] : isObject(here) ? here[step] : undefined),
    root.value,
  );
}

function holder(root: { value: Json }, path: string): { parent: Json[] | JsonObject; last: string } {
  const all = steps(path);
  const parent = read(root, `/${all.slice(0, -1).join('/')}`.replace(/\/$/, '')) ?? (all.length === 1 ? root.value : undefined);
  if (!Array.isArray(parent) && !isObject(parent))
    throw unprocessable(`add operation does not apply: doc is missing path: "${path}": missing value`);
  return { parent, last: String(all.at(-1)) };
}

function write(root: { value: Json }, path: string, value: Json, op: string): void {
  if (path === '') {
    root.value = value;
    return;
  }
  const { parent, last } = holder(root, path);
  if (Array.isArray(parent)) {
    if (op === 'add') parent.splice(last === '-' ? parent.length : Number(last), 0, value);
    else parent[Number(last)] = value;
  } else {
    if (op === 'replace' && parent[last] === undefined)
      throw unprocessable(`replace operation does not apply: doc is missing key: ${path}: missing value`);
    parent[last] = value;
  }
}

function removeAt(root: { value: Json }, path: string): void {
  const { parent, last } = holder(root, path);
  if (Array.isArray(parent) ? parent[Number(last)] === undefined : parent[last] === undefined) {
    throw unprocessable(`remove operation does not apply: doc is missing path: ${path}: missing value`);
  }
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else delete parent[last];
}

/** Kubernetes' own patch: lists with a merge key are merged by it, and `$patch`, `$retainKeys` and the like are obeyed. */
export function strategicPatch(schema: Schema, model: string | null, target: JsonObject, patch: JsonObject): JsonObject {
  if (patch.$patch === 'replace') return without(patch);
  if (patch.$patch === 'delete') return {};
  const result: JsonObject = { ...target };
  const retained = patch.$retainKeys;
  if (Array.isArray(retained)) for (const key of Object.keys(result)) if (!retained.includes(key)) delete result[key];
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else if (key.startsWith('$deleteFromPrimitiveList/') && Array.isArray(value)) {
      const list = key.slice('$deleteFromPrimitiveList/'.length);
      const present = result[list];
      if (Array.isArray(present)) result[list] = present.filter((item) => !value.includes(item));
    } else if (value !== undefined && !key.startsWith('$')) result[key] = strategicField(schema, model, key, result[key], value);
  }
  for (const [key, order] of Object.entries(patch))
    if (key.startsWith('$setElementOrder/')) sortList(result, model, key.slice('$setElementOrder/'.length), order);
  return result;
}

const without = (patch: JsonObject): JsonObject => Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$')));

function strategicField(schema: Schema, model: string | null, key: string, present: Json | undefined, patch: Json): Json {
  const type = model === null ? undefined : schema.model(model)?.get(key)?.type;
  if (isObject(patch)) return strategicPatch(schema, modelIn(type), isObject(present) ? present : {}, patch);
  if (!Array.isArray(patch)) return patch;
  if (model === 'V1ObjectMeta' && key === 'finalizers' && Array.isArray(present)) return [...new Set([...present, ...patch])];
  const by = model === null ? null : mergeKey(model, key);
  if (by === null) return patch;
  const replaced = patch.some((item) => isObject(item) && item.$patch === 'replace');
  const result: Json[] = Array.isArray(present) && !replaced ? [...present] : [];
  for (const item of patch) {
    if (!isObject(item) || item.$patch === 'replace') continue;
    const found = result.findIndex((each) => isObject(each) && each[by] === item[by]);
    if (item.$patch === 'delete') {
      if (found >= 0) result.splice(found, 1);
    } else if (found >= 0) result[found] = strategicPatch(schema, itemModel(type), result[found] as JsonObject, item);
    else result.push(strategicPatch(schema, itemModel(type), {}, item));
  }
  return result;
}

const modelIn = (type: FieldType | undefined): string | null => (type?.is === 'model' ? type.model : null);
const itemModel = (type: FieldType | undefined): string | null => (type?.is === 'list' ? modelIn(type.of) : null);

function sortList(object: JsonObject, model: string | null, key: string, order: Json | undefined): void {
  const by = model === null ? null : mergeKey(model, key);
  const list = object[key];
  if (!Array.isArray(list) || !Array.isArray(order)) return;
  const placed = order.map((each) => (by !== null && isObject(each) ? each[by] : each));
  const place = (item: Json) => {
    const found = placed.findIndex((each) => same(each, by !== null && isObject(item) ? item[by] : item));
    return found < 0 ? placed.length : found;
  };
  object[key] = [...list].sort((a, b) => place(a) - place(b));
}
