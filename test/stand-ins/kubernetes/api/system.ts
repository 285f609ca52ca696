import { copy, type JsonObject, type KubeObject, same } from '../state/json.ts';
import { now } from '../state/store.ts';
import { admit, countGeneration } from './admit.ts';
import { applyDefaults } from './defaults.ts';
import { faultRefusal } from './fault-refusals.ts';
import { recordUpdate } from './managers.ts';
import type { Resource } from './resources.ts';
import { builtInKind, newObject, type World } from './world.ts';
import { suffix } from './write.ts';

/** What the cluster itself creates passes admission like everything else. */
export function createBySystem(world: World, resource: Resource, object: KubeObject, controller: string): KubeObject {
  const fault = world.faults.meet({
    verb: 'create',
    group: resource.group,
    resource: resource.plural,
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name,
    user: `system:serviceaccount:kube-system:${controller}`,
  });
  const refused = fault && faultRefusal(fault, { ...resource, name: object.metadata.name }, 'create');
  if (refused) throw refused;
  const made = copy(object);
  made.metadata.uid = crypto.randomUUID();
  admit(world, resource, made, null, []);
  countGeneration(resource, made, null);
  recordUpdate(world.schema, resource, null, made, { name: controller, subresource: '' });
  return world.store.create(resource, made);
}

/** Writes what a controller changed, as its own. Nothing happens where nothing changed. */
export function writeBySystem(
  world: World,
  object: KubeObject,
  change: (object: KubeObject) => void,
  controller = 'kube-controller-manager',
): KubeObject {
  const resource = builtInKind(object.kind);
  const before = world.store.get(resource, object.metadata.namespace, object.metadata.name);
  if (!before || before.metadata.uid !== object.metadata.uid) return object;
  const after = copy(before);
  change(after);
  if (same(before, after)) return before;
  applyDefaults(after);
  countGeneration(resource, after, before);
  const onlyStatus = same({ ...before, status: null }, { ...after, status: null });
  recordUpdate(world.schema, resource, before, after, { name: controller, subresource: onlyStatus ? 'status' : '' });
  return world.store.replace(resource, after);
}

/** Sets an object's status, as far as it differs. */
export const writeStatus = (world: World, object: KubeObject, status: JsonObject, controller?: string): KubeObject =>
  writeBySystem(
    world,
    object,
    (after) => {
      after.status = { ...(after.status as JsonObject | undefined), ...status };
    },
    controller,
  );

/** Tells of something that happened to an object; the same again is counted. */
export function tellEvent(
  world: World,
  about: KubeObject,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
  component: string,
): void {
  const resource = builtInKind('Event');
  const namespace = about.metadata.namespace ?? 'default';
  const known = world.store
    .list(resource, namespace)
    .find(
      (event) => event.reason === reason && event.message === message && (event.involvedObject as JsonObject).uid === about.metadata.uid,
    );
  if (known) {
    world.store.replace(resource, { ...known, count: Number(known.count) + 1, lastTimestamp: now() });
    return;
  }
  const event = newObject(
    resource,
    { name: `${about.metadata.name}.${suffix(10)}`, namespace },
    {
      involvedObject: {
        apiVersion: about.apiVersion,
        kind: about.kind,
        name: about.metadata.name,
        ...(about.metadata.namespace === undefined ? {} : { namespace: about.metadata.namespace }),
        uid: about.metadata.uid,
        resourceVersion: about.metadata.resourceVersion,
      },
      reason,
      message,
      type,
      source: { component },
      reportingComponent: component,
      reportingInstance: '',
      firstTimestamp: now(),
      lastTimestamp: now(),
      count: 1,
    },
  );
  world.store.create(resource, event);
}

/** The reference by which a controller owns what it makes. */
export const ownedBy = (owner: KubeObject) => [
  {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name,
    uid: owner.metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  },
];

export const isOwnedBy = (object: KubeObject, owner: KubeObject): boolean =>
  (object.metadata.ownerReferences ?? []).some(({ uid, controller }) => uid === owner.metadata.uid && controller === true);
