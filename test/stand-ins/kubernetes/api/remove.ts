import { copy, type JsonObject, type KubeObject, numberAt, textAt } from '../state/json.ts';
import { now } from '../state/store.ts';
import { parseBody } from './body.ts';
import { forgetCustom } from './custom.ts';
import { type ApiRequest, subjectOf } from './request.ts';
import type { Resource } from './resources.ts';
import { conflict, notFound } from './status.ts';
import { allResources, type World } from './world.ts';

export interface Removal {
  readonly propagation: 'Background' | 'Foreground' | 'Orphan';
  /** Seconds a pod has to end; null for its own. */
  readonly graceSeconds: number | null;
}

/** What a delete asks for, from its query and its body. */
export function removalOf(request: ApiRequest): Removal & { readonly dry: boolean; readonly body: JsonObject } {
  const body = (request.body.length > 0 ? parseBody(request) : {}) as JsonObject;
  const policy = textAt(body, 'propagationPolicy') ?? request.query.get('propagationPolicy');
  const orphan = body.orphanDependents === true;
  const grace =
    numberAt(body, 'gracePeriodSeconds') ??
    (request.query.has('gracePeriodSeconds') ? Number(request.query.get('gracePeriodSeconds')) : null);
  const dryRun = body.dryRun ?? request.query.getAll('dryRun');
  return {
    propagation: orphan || policy === 'Orphan' ? 'Orphan' : policy === 'Foreground' ? 'Foreground' : 'Background',
    graceSeconds: grace,
    dry: Array.isArray(dryRun) && dryRun.includes('All'),
    body,
  };
}

/** Deletes what the request names; the answer is what is left of it, or null when it is gone. */
export function removeNamed(world: World, request: ApiRequest): { readonly object: KubeObject; readonly gone: boolean } {
  const { resource, name } = request;
  const found = world.store.get(resource, resource.namespaced ? request.namespace : undefined, name);
  if (!found) throw notFound(subjectOf(request));
  const removal = removalOf(request);
  const uid = textAt(removal.body, 'preconditions', 'uid');
  const version = textAt(removal.body, 'preconditions', 'resourceVersion');
  if (uid !== undefined && uid !== found.metadata.uid) {
    throw conflict(subjectOf(request), `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${found.metadata.uid}`);
  }
  if (version !== undefined && version !== found.metadata.resourceVersion) {
    throw conflict(
      subjectOf(request),
      `Precondition failed: ResourceVersion in precondition: ${version}, ResourceVersion in object meta: ${found.metadata.resourceVersion}`,
    );
  }
  if (removal.dry) return { object: found, gone: true };
  const left = remove(world, resource, found, removal);
  return { object: left ?? found, gone: left === null };
}

/** Deletes an object, or begins to. Returns what is left of it. */
export function remove(world: World, resource: Resource, object: KubeObject, removal: Removal): KubeObject | null {
  if (removal.propagation === 'Orphan') orphan(world, object);
  const marked = copy(object);
  const finalizers = [...(marked.metadata.finalizers ?? [])];
  const hasDependents = removal.propagation === 'Foreground' && dependentsOf(world, object).length > 0;
  if (hasDependents && !finalizers.includes('foregroundDeletion')) finalizers.push('foregroundDeletion');
  if (finalizers.length > 0) marked.metadata.finalizers = finalizers;
  const grace = resource.kind === 'Pod' ? graceOf(object, removal) : 0;
  const lingers = finalizers.length > 0 || grace > 0 || resource.kind === 'Namespace';
  if (!lingers) {
    world.store.remove(resource, marked);
    if (resource.kind === 'CustomResourceDefinition') forgetCustom(world, object);
    return null;
  }
  const first = object.metadata.deletionTimestamp === undefined;
  if (first) marked.metadata.deletionTimestamp = new Date(Date.now() + grace * 1000).toISOString().replace(/\.\d+Z$/, 'Z');
  marked.metadata.deletionGracePeriodSeconds = first ? grace : Math.min(grace, marked.metadata.deletionGracePeriodSeconds ?? grace);
  if (resource.kind === 'Namespace') marked.status = { phase: 'Terminating' };
  void now;
  return world.store.replace(resource, marked);
}

/** A pod nobody runs yet, or that has ended, needs no time. */
function graceOf(pod: KubeObject, { graceSeconds }: Removal): number {
  const ended = ['Succeeded', 'Failed'].includes(textAt(pod, 'status', 'phase') ?? '');
  if (textAt(pod, 'spec', 'nodeName') === undefined || ended) return 0;
  return graceSeconds ?? numberAt(pod, 'spec', 'terminationGracePeriodSeconds') ?? 30;
}

/** Removes an object whose last finalizer went. */
export function finishDeletion(world: World, resource: Resource, object: KubeObject): KubeObject | null {
  const { deletionTimestamp, finalizers = [], deletionGracePeriodSeconds = 0 } = object.metadata;
  if (deletionTimestamp === undefined || finalizers.length > 0 || resource.kind === 'Namespace') return null;
  if (resource.kind === 'Pod' && deletionGracePeriodSeconds > 0) return null;
  return world.store.remove(resource, object);
}

/** Objects that name this one as an owner. */
export function dependentsOf(world: World, owner: KubeObject): { readonly resource: Resource; readonly object: KubeObject }[] {
  return allResources(world).flatMap((resource) =>
    world.store
      .list(resource, resource.namespaced ? owner.metadata.namespace : undefined)
      .filter((object) => (object.metadata.ownerReferences ?? []).some(({ uid }) => uid === owner.metadata.uid))
      .map((object) => ({ resource, object })),
  );
}

function orphan(world: World, owner: KubeObject): void {
  for (const { resource, object } of dependentsOf(world, owner)) {
    object.metadata.ownerReferences = (object.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata.uid);
    world.store.replace(resource, object);
  }
}
