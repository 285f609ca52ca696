import { copy, isObject, type Json, type JsonObject, type KubeObject, objectsAt, textAt } from '../state/json.ts';
import { now } from '../state/store.ts';
import {
  type FieldSet,
  fieldsOf,
  fromFieldsV1,
  overlay,
  type Path,
  pathText,
  removeAt,
  sameAt,
  setOf,
  shapeOfModel,
  toFieldsV1,
  valueAt,
} from './fields.ts';
import type { Resource } from './resources.ts';
import { apiVersionOf } from './resources.ts';
import type { Schema } from './schema.ts';
import { Refusal } from './status.ts';

/** Who owns which fields of an object, and how it came to own them. */
interface Manager {
  readonly name: string;
  readonly operation: string;
  readonly apiVersion: string;
  readonly subresource: string;
  readonly time: string;
  readonly fields: FieldSet;
}

export interface Editor {
  readonly name: string;
  readonly subresource: string;
}

/** What never belongs to anybody. */
const unowned = new Set(['apiVersion', 'kind', 'f:apiVersion', 'f:kind']);
const unownedMetadata = new Set([
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'selfLink',
  'managedFields',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generateName',
]);

function ownable(schema: Schema, resource: Resource, object: JsonObject): FieldSet {
  const paths = fieldsOf(schema, shapeOfModel(resource.model), bare(object)).filter((path) => !unowned.has(String(path[0])));
  return setOf(paths.filter((path) => !(path[0] === 'f:metadata' && (path.length === 1 || unownedMetadata.has(String(path[1]).slice(2))))));
}

/** An object without what nobody owns. */
function bare(object: JsonObject): JsonObject {
  const metadata = isObject(object.metadata) ? object.metadata : {};
  const rest = Object.fromEntries(Object.entries(metadata).filter(([key]) => !unownedMetadata.has(key)));
  return { ...object, metadata: rest };
}

/** Records that an editor wrote `after` over `before`: it owns what it changed, and others lose that. */
export function recordUpdate(schema: Schema, resource: Resource, before: KubeObject | null, after: KubeObject, editor: Editor): void {
  const shape = shapeOfModel(resource.model);
  const present = ownable(schema, resource, after);
  const changed = [...present.entries()].filter(([, path]) => before === null || !sameAt(schema, shape, before, after, path));
  const mine = new Map(changed);
  const version = apiVersionOf(resource);
  let found = false;
  const managers = managersOf(before ?? after).flatMap((manager): Manager[] => {
    const own = isEditor(manager, editor, 'Update');
    found ||= own;
    const kept = [...manager.fields.entries()].filter(([key]) => present.has(key) && (own || !mine.has(key)));
    const fields = own ? new Map([...kept, ...mine]) : new Map(kept);
    if (fields.size === 0) return [];
    return [{ ...manager, fields, time: own && mine.size > 0 ? now() : manager.time }];
  });
  if (!found && mine.size > 0) {
    managers.push({
      name: editor.name,
      operation: 'Update',
      apiVersion: version,
      subresource: editor.subresource,
      time: now(),
      fields: mine,
    });
  }
  writeManagers(after, managers);
}

/**
 * Server-side apply: lays `applied` over `stored`, takes out what the manager applied before and applies no more, and
 * records what it owns.
 * @throws {Refusal} 409 where a field differs from what another manager owns, unless forced
 */
export function applyOver(
  schema: Schema,
  resource: Resource,
  stored: KubeObject | null,
  applied: JsonObject,
  editor: Editor,
  force: boolean,
): KubeObject {
  const shape = shapeOfModel(resource.model);
  const mine = ownable(schema, resource, applied);
  const before = stored ? managersOf(stored) : [];
  const others = before.filter((manager) => !isEditor(manager, editor, 'Apply'));
  const taken = others.map((manager) => ({
    manager,
    paths: [...mine.entries()].filter(
      ([key, path]) => manager.fields.has(key) && !sameAt(schema, shape, stored ?? undefined, applied, path),
    ),
  }));
  if (!force) refuseConflicts(taken.map(({ manager, paths }) => ({ manager, paths: paths.map(([, path]) => path) })));
  const result = copy(overlay(schema, shape, stored ?? undefined, copy(applied) as Json)) as KubeObject;
  const earlier = before.find((manager) => isEditor(manager, editor, 'Apply'));
  for (const [key, path] of shortestFirst(earlier?.fields ?? new Map())) {
    const kept = [...mine.values()].some((each) => startsWith(each, path));
    if (!mine.has(key) && !kept && !others.some(({ fields }) => [...fields.values()].some((each) => startsWith(each, path)))) {
      removeAt(schema, shape, result, path);
      // A list or a map of labels whose last item went is not there, as an omitted one is not.
      const holder = path.slice(0, -1);
      const left = valueAt(schema, shape, result, holder);
      const empty = Array.isArray(left)
        ? left.length === 0
        : holder[0] === 'f:metadata' && isObject(left) && Object.keys(left).length === 0;
      if (empty && holder.length > 1) removeAt(schema, shape, result, holder);
    }
  }
  const managers = taken.flatMap(({ manager, paths }): Manager[] => {
    const lost = new Set(paths.map(([key]) => key));
    const fields = new Map([...manager.fields.entries()].filter(([key]) => !lost.has(key)));
    return fields.size === 0 ? [] : [{ ...manager, fields }];
  });
  const unchanged = earlier && earlier.fields.size === mine.size && [...mine.keys()].every((key) => earlier.fields.has(key));
  const time = unchanged ? earlier.time : now();
  managers.push({
    name: editor.name,
    operation: 'Apply',
    apiVersion: apiVersionOf(resource),
    subresource: editor.subresource,
    time,
    fields: mine,
  });
  writeManagers(result, managers);
  return result;
}

function refuseConflicts(taken: readonly { manager: Manager; paths: readonly Path[] }[]): void {
  const found = taken.flatMap(({ manager, paths }) => paths.map((path) => ({ manager, path })));
  if (found.length === 0) return;
  const said = (manager: Manager) =>
    `"${manager.name}"${manager.subresource === '' ? '' : ` with subresource "${manager.subresource}"`} using ${manager.apiVersion}${manager.operation === 'Update' && manager.time !== '' ? ` at ${manager.time}` : ''}`;
  const causes = found.map(({ manager, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${said(manager)}`,
    field: pathText(path),
  }));
  const [first] = found;
  const message =
    found.length === 1 && first
      ? `Apply failed with 1 conflict: conflict with ${said(first.manager)}: ${pathText(first.path)}`
      : `Apply failed with ${found.length} conflicts: ${taken
          .filter(({ paths }) => paths.length > 0)
          .map(({ manager, paths }) => `conflicts with ${said(manager)}:\n${paths.map((path) => `- ${pathText(path)}`).join('\n')}`)
          .join('\n')}`;
  throw new Refusal(409, 'Conflict', message, { causes });
}

const isEditor = (manager: Manager, editor: Editor, operation: string) =>
  manager.name === editor.name && manager.operation === operation && manager.subresource === editor.subresource;
const startsWith = (path: Path, start: Path) => path.length > start.length && start.every((step, index) => path[index] === step);
const shortestFirst = (fields: FieldSet) => [...fields.entries()].sort(([, a], [, b]) => a.length - b.length);

function managersOf(object: KubeObject): Manager[] {
  return objectsAt(object, 'metadata', 'managedFields').map((entry) => ({
    name: textAt(entry, 'manager') ?? '',
    operation: textAt(entry, 'operation') ?? '',
    apiVersion: textAt(entry, 'apiVersion') ?? '',
    subresource: textAt(entry, 'subresource') ?? '',
    time: textAt(entry, 'time') ?? '',
    fields: setOf(fromFieldsV1(isObject(entry.fieldsV1) ? entry.fieldsV1 : {})),
  }));
}

function writeManagers(object: KubeObject, managers: readonly Manager[]): void {
  object.metadata.managedFields = managers.map(({ name, operation, apiVersion, subresource, time, fields }) => ({
    manager: name,
    operation,
    apiVersion,
    time,
    fieldsType: 'FieldsV1',
    fieldsV1: toFieldsV1(fields),
    ...(subresource === '' ? {} : { subresource }),
  }));
}
