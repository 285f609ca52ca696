import { dependentsOf, finishDeletion, remove } from '../api/remove.ts';
import { allResources, builtInKind, type World } from '../api/world.ts';

/** Deletes what nobody owns any more, finishes foreground deletions, and empties namespaces that go. */
export function garbage(world: World): void {
  const owners = new Set(allResources(world).flatMap((resource) => world.store.list(resource).map(({ metadata }) => metadata.uid)));
  for (const resource of allResources(world)) {
    for (const object of world.store.list(resource)) {
      const references = object.metadata.ownerReferences ?? [];
      if (references.length > 0 && references.every(({ uid }) => !owners.has(uid)) && object.metadata.deletionTimestamp === undefined) {
        remove(world, resource, object, { propagation: 'Background', graceSeconds: null });
        continue;
      }
      if (object.metadata.deletionTimestamp === undefined || !object.metadata.finalizers?.includes('foregroundDeletion')) continue;
      const dependents = dependentsOf(world, object);
      const blocking = dependents.filter((each) =>
        (each.object.metadata.ownerReferences ?? []).some(
          ({ uid, blockOwnerDeletion }) => uid === object.metadata.uid && blockOwnerDeletion === true,
        ),
      );
      for (const each of dependents) {
        if (each.object.metadata.deletionTimestamp === undefined)
          remove(world, each.resource, each.object, { propagation: 'Foreground', graceSeconds: null });
      }
      if (blocking.length > 0) continue;
      object.metadata.finalizers = object.metadata.finalizers.filter((each) => each !== 'foregroundDeletion');
      const stored = world.store.replace(resource, object);
      finishDeletion(world, resource, stored);
    }
  }
  emptyNamespaces(world);
}

function emptyNamespaces(world: World): void {
  const resource = builtInKind('Namespace');
  for (const namespace of world.store.list(resource)) {
    if (namespace.metadata.deletionTimestamp === undefined) continue;
    let left = 0;
    for (const each of allResources(world).filter(({ namespaced }) => namespaced)) {
      for (const object of world.store.list(each, namespace.metadata.name)) {
        if (object.metadata.deletionTimestamp === undefined) remove(world, each, object, { propagation: 'Background', graceSeconds: null });
        if (world.store.get(each, namespace.metadata.name, object.metadata.name)) left += 1;
      }
    }
    if (left === 0) world.store.remove(resource, namespace);
  }
}
