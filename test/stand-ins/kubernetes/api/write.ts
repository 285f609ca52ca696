import { randomBytes } from 'node:crypto';
import { copy, isObject, type Json, type JsonObject, type KubeObject, objectAt, same, textAt } from '../state/json.ts';
import { claimAddress } from './addresses.ts';
import { admit, asObject, countGeneration, keepSystemFields, kindOf, readObject } from './admit.ts';
import { parseBody } from './body.ts';
import { defineCustom } from './custom.ts';
import { decode } from './decode.ts';
import { applyOver, type Editor, recordUpdate } from './managers.ts';
import { jsonPatch, mergePatch, strategicPatch } from './patch.ts';
import { finishDeletion } from './remove.ts';
import { type ApiRequest, isTrue, subjectOf } from './request.ts';
import { alreadyExists, badRequest, conflict, forbidden, internal, notFound, Refusal } from './status.ts';
import { builtInKind, type World } from './world.ts';

export interface Written {
  readonly code: number;
  readonly object: KubeObject;
  readonly warnings: readonly string[];
}

/** Who writes: the field manager a client names, or the first word of its user agent. */
export const editorOf = (request: ApiRequest): Editor => ({
  name: request.query.get('fieldManager') ?? (request.userAgent.split('/')[0] || 'unknown'),
  subresource: request.subresource,
});

const isDry = (request: ApiRequest) => request.query.get('dryRun') === 'All';

export function create(world: World, request: ApiRequest): Written {
  const { resource } = request;
  const body = asObject(resource, parseBody(request));
  return store(world, request, body);
}

function store(world: World, request: ApiRequest, body: JsonObject): Written {
  const { resource } = request;
  const read = readObject(world, resource, body, request.query.get('fieldValidation'));
  const object = named(request, read.object);
  refuseNamespace(world, request);
  if (world.store.get(resource, object.metadata.namespace, object.metadata.name)) {
    throw alreadyExists(subjectOf({ resource, name: object.metadata.name }));
  }
  // Real servers give the uid before admission: a Job's selector is made of it.
  prepareNew(object);
  if (resource.subresources.includes('status')) delete object.status;
  admit(world, resource, object, null, read.missing);
  claimAddress(world, object);
  countGeneration(resource, object, null);
  recordUpdate(world.schema, resource, null, object, editorOf(request));
  if (isDry(request)) return { code: 201, object, warnings: read.warnings };
  const created = world.store.create(resource, object);
  defineCustom(world, created);
  return { code: 201, object: created, warnings: read.warnings };
}

function prepareNew(object: KubeObject): void {
  const { metadata } = object;
  metadata.uid = crypto.randomUUID();
  delete metadata.generation;
  delete metadata.deletionTimestamp;
  delete metadata.managedFields;
}

/** The object with a name and a namespace of its own. */
function named(request: ApiRequest, body: JsonObject): KubeObject {
  const object = copy(body) as KubeObject;
  const metadata = objectAt(object, 'metadata') as KubeObject['metadata'];
  object.metadata = metadata;
  const { resource } = request;
  if (resource.namespaced) {
    if (metadata.namespace !== undefined && metadata.namespace !== request.namespace) {
      throw badRequest(`the namespace of the provided object does not match the namespace sent on the request`);
    }
    metadata.namespace = request.namespace;
  } else delete metadata.namespace;
  const prefix = textAt(metadata, 'generateName');
  if ((metadata.name ?? '') === '' && prefix !== undefined && request.name === '') metadata.name = `${prefix}${suffix()}`;
  if (request.name !== '') {
    if (metadata.name !== undefined && metadata.name !== request.name)
      throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${request.name})`);
    metadata.name = request.name;
  }
  if ((metadata.name ?? '') === '') {
    throw new Refusal(
      422,
      'Invalid',
      `${resource.kind}${resource.group === '' ? '' : `.${resource.group}`} "" is invalid: metadata.name: Required value: name or generateName is required`,
    );
  }
  if (request.method === 'POST' && metadata.resourceVersion !== undefined && metadata.resourceVersion !== '') {
    throw internal('resourceVersion should not be set on objects to be created');
  }
  return object;
}

const letters = 'bcdfghjklmnpqrstvwxz2456789';
/** Five letters, as servers and controllers put them behind a name. */
export const suffix = (length = 5): string => [...randomBytes(length)].map((byte) => letters[byte % letters.length]).join('');

function refuseNamespace(world: World, request: ApiRequest): void {
  if (!request.resource.namespaced) return;
  const namespace = world.store.get(builtInKind('Namespace'), undefined, request.namespace);
  if (!namespace) throw notFound({ group: '', kind: 'Namespace', plural: 'namespaces', name: request.namespace });
  if (namespace.metadata.deletionTimestamp !== undefined) {
    const why = `unable to create new content in namespace ${request.namespace} because it is being terminated`;
    throw forbidden(subjectOf({ resource: request.resource, name: request.name }), why);
  }
}

export function update(world: World, request: ApiRequest): Written {
  const { resource, name } = request;
  const body = asObject(resource, parseBody(request));
  const read = readObject(world, resource, body, request.query.get('fieldValidation'));
  const before = world.store.get(resource, resource.namespaced ? request.namespace : undefined, name);
  if (!before) throw notFound(subjectOf(request));
  return replace(world, request, before, named(request, read.object), read);
}

export function patch(world: World, request: ApiRequest): Written {
  const { resource, contentType } = request;
  const before = world.store.get(resource, resource.namespaced ? request.namespace : undefined, request.name);
  const body = parseBody(request);
  if (contentType === 'application/apply-patch+yaml') return apply(world, request, before ?? null, asObject(resource, body));
  if (!before) throw notFound(subjectOf(request));
  const patched = patchedBy(world, request, before, body);
  const read = readObject(world, resource, patched, request.query.get('fieldValidation'));
  return replace(world, request, before, named(request, read.object), read);
}

function patchedBy(world: World, { contentType, resource }: ApiRequest, before: KubeObject, body: unknown): JsonObject {
  switch (contentType) {
    case 'application/json-patch+json':
      return jsonPatch(before, body as Json);
    case 'application/merge-patch+json':
      return mergePatch(before, body as Json) as JsonObject;
    case 'application/strategic-merge-patch+json':
      if (resource.model === null) break;
      return strategicPatch(world.schema, resource.model, before, isObject(body) ? body : {});
  }
  throw new Refusal(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml`,
  );
}

function apply(world: World, request: ApiRequest, before: KubeObject | null, body: JsonObject): Written {
  const { resource, query } = request;
  if (query.get('fieldManager') === null) {
    throw new Refusal(422, 'Invalid', 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch');
  }
  if (isObject(body.metadata) && body.metadata.managedFields !== undefined && !same(body.metadata.managedFields, []))
    throw badRequest('metadata.managedFields must be nil');
  refuseUntyped(world, request, body);
  const said = named(request, body);
  if (said.metadata.resourceVersion !== undefined && before && said.metadata.resourceVersion !== before.metadata.resourceVersion) {
    throw conflict(subjectOf(request));
  }
  if (before === null) {
    if (request.subresource !== '') throw notFound(subjectOf(request));
    refuseNamespace(world, request);
  }
  const whole = applyOver(world.schema, resource, before, said, editorOf(request), isTrue(query.get('force')));
  const { missing } = resource.model === null ? { missing: [] } : decode(world.schema, resource.model, whole);
  if (before) return replace(world, request, before, whole, { warnings: [], missing }, true);
  prepareApplied(whole);
  if (resource.subresources.includes('status')) delete whole.status;
  admit(world, resource, whole, null, missing);
  claimAddress(world, whole);
  countGeneration(resource, whole, null);
  if (isDry(request)) return { code: 201, object: whole, warnings: [] };
  const created = world.store.create(resource, whole);
  defineCustom(world, created);
  return { code: 201, object: created, warnings: [] };
}

function prepareApplied(object: KubeObject): void {
  object.metadata.uid = crypto.randomUUID();
}

/** What does not fit the schema is refused before anything is merged. */
function refuseUntyped(world: World, { resource, name, namespace }: ApiRequest, body: JsonObject): void {
  if (resource.model === null) return;
  const found = decode(world.schema, resource.model, body);
  const said = [
    ...found.unknown.map((path) => `.${path}: field not declared in schema`),
    ...(found.wrongType === null ? [] : [found.wrongType]),
  ];
  if (said.length === 0) return;
  const { apiVersion, kind } = kindOf(resource);
  throw internal(
    `failed to create typed patch object (${namespace}/${name}; ${apiVersion}, Kind=${kind}): ${said.length === 1 ? said[0] : `errors:\n  ${said.join('\n  ')}`}`,
  );
}

function replace(
  world: World,
  request: ApiRequest,
  before: KubeObject,
  object: KubeObject,
  { warnings, missing }: { readonly warnings: readonly string[]; readonly missing: readonly string[] },
  applied = false,
): Written {
  const { resource, subresource } = request;
  const said = object.metadata.resourceVersion;
  if (said !== undefined && said !== '' && said !== before.metadata.resourceVersion) throw conflict(subjectOf(request));
  if (textAt(object, 'metadata', 'uid') !== undefined && object.metadata.uid !== before.metadata.uid) {
    throw conflict(
      subjectOf(request),
      `Precondition failed: UID in precondition: ${object.metadata.uid}, UID in object meta: ${before.metadata.uid}`,
    );
  }
  const next = subresource === 'status' ? onlyStatus(before, object) : copy(object);
  if (subresource === '' && resource.subresources.includes('status')) keep(next, before, 'status');
  keepSystemFields(next, before);
  next.metadata.resourceVersion = before.metadata.resourceVersion;
  if (!applied) keepManagers(next, before);
  if (before.kind === 'Service') keepAddress(next, before);
  if (before.kind === 'Job' && !('selector' in objectAt(next, 'spec'))) objectAt(next, 'spec').selector = objectAt(before, 'spec').selector;
  admit(world, resource, next, before, missing);
  countGeneration(resource, next, before);
  if (!applied) recordUpdate(world.schema, resource, before, next, editorOf(request));
  if (isDry(request)) return { code: 200, object: next, warnings };
  const stored = world.store.replace(resource, next);
  defineCustom(world, stored);
  return { code: 200, object: finishDeletion(world, resource, stored) ?? stored, warnings };
}

function onlyStatus(before: KubeObject, object: KubeObject): KubeObject {
  const next = copy(before);
  next.status = copy(object.status);
  // A status written by apply carries its own managers.
  next.metadata.managedFields = copy(object.metadata.managedFields);
  return next;
}

function keep(object: KubeObject, before: KubeObject, key: string): void {
  if (before[key] === undefined) delete object[key];
  else object[key] = copy(before[key]);
}

const keepManagers = (object: KubeObject, before: KubeObject) => {
  if (before.metadata.managedFields === undefined) delete object.metadata.managedFields;
  else object.metadata.managedFields = copy(before.metadata.managedFields);
};

/** A service keeps the addresses it got, also when a client does not name them. */
function keepAddress(object: KubeObject, before: KubeObject): void {
  const spec = objectAt(object, 'spec');
  for (const key of ['clusterIP', 'clusterIPs']) if (spec[key] === undefined) spec[key] = copy(objectAt(before, 'spec')[key]);
}
