import type { V1PodTemplateSpec } from '@kubernetes/client-node';
import { isReady } from '../api/disruptions.ts';
import { remove } from '../api/remove.ts';
import { Refusal } from '../api/status.ts';
import { createBySystem, isOwnedBy, ownedBy, tellEvent, writeStatus } from '../api/system.ts';
import { builtInKind, newObject, type World } from '../api/world.ts';
import { suffix } from '../api/write.ts';
import { copy, json, type KubeObject, numberAt, objectAt, textAt } from '../state/json.ts';
import { now } from '../state/store.ts';

export const podsOf = (world: World, owner: KubeObject): KubeObject[] =>
  world.store.list(builtInKind('Pod'), owner.metadata.namespace).filter((pod) => isOwnedBy(pod, owner));

export const isLive = (pod: KubeObject): boolean =>
  pod.metadata.deletionTimestamp === undefined && !['Succeeded', 'Failed'].includes(textAt(pod, 'status', 'phase') ?? '');

/** Ready for as long as its owner wants it to be before it counts. */
export function isAvailable(pod: KubeObject, minReadySeconds: number): boolean {
  if (!isReady(pod)) return false;
  const since = readySince(pod);
  return minReadySeconds === 0 || (since !== null && Date.now() - since >= minReadySeconds * 1000);
}

function readySince(pod: KubeObject): number | null {
  const conditions = objectAt(pod, 'status').conditions;
  const ready = Array.isArray(conditions) ? conditions.find((each) => textAt(each, 'type') === 'Ready') : undefined;
  const text = textAt(ready, 'lastTransitionTime');
  return text === undefined ? null : Date.parse(text);
}

/** A pod of its owner's template. */
export function podOf(owner: KubeObject, template: V1PodTemplateSpec, name: string, more: { [label: string]: string } = {}): KubeObject {
  const metadata = json(copy(template.metadata ?? {}));
  return newObject(
    builtInKind('Pod'),
    {
      ...metadata,
      name,
      generateName: `${owner.metadata.name}-`,
      namespace: owner.metadata.namespace ?? '',
      labels: { ...template.metadata?.labels, ...more },
      ownerReferences: ownedBy(owner),
    },
    { spec: copy(template.spec ?? {}) },
  );
}

/** Creates a pod, or tells its owner why not. */
export function tryCreatePod(world: World, owner: KubeObject, pod: KubeObject, controller: string): string | null {
  try {
    const created = createBySystem(world, builtInKind('Pod'), pod, 'kube-controller-manager');
    tellEvent(world, owner, 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`, controller);
    return null;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    tellEvent(world, owner, 'Warning', 'FailedCreate', `Error creating: ${error.message}`, controller);
    return error.message;
  }
}

/** Owners whose pods were refused wait a moment before they ask again. */
const refusedUntil = new WeakMap<World, Map<string, number>>();
const retryMs = 1_000;

/** Replica sets: as many pods as asked for. */
export function replicaSets(world: World): void {
  const waits = refusedUntil.get(world) ?? new Map<string, number>();
  refusedUntil.set(world, waits);
  for (const set of world.store.list(builtInKind('ReplicaSet'))) {
    if (set.metadata.deletionTimestamp !== undefined) continue;
    const pods = podsOf(world, set).filter(isLive);
    const wanted = numberAt(set, 'spec', 'replicas') ?? 1;
    let refused: string | null = null;
    if (pods.length < wanted && (waits.get(set.metadata.uid) ?? 0) > Date.now())
      refused = textAt(set, 'status', 'conditions', 0, 'message') ?? '';
    for (let missing = wanted - pods.length; missing > 0 && refused === null; missing -= 1) {
      const template = objectAt(set, 'spec', 'template') as unknown as V1PodTemplateSpec;
      refused = tryCreatePod(world, set, podOf(set, template, `${set.metadata.name}-${suffix()}`), 'replicaset-controller');
      if (refused !== null) waits.set(set.metadata.uid, Date.now() + retryMs);
    }
    for (const pod of lessNeeded(pods).slice(0, Math.max(0, pods.length - wanted))) {
      remove(world, builtInKind('Pod'), pod, { propagation: 'Background', graceSeconds: null });
      tellEvent(world, set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`, 'replicaset-controller');
    }
    const left = podsOf(world, set).filter(isLive);
    const minReady = numberAt(set, 'spec', 'minReadySeconds') ?? 0;
    const former = objectAt(objectAt(set, 'status'), 'conditions', 0);
    writeStatus(world, set, {
      replicas: left.length,
      fullyLabeledReplicas: left.length,
      readyReplicas: left.filter(isReady).length,
      availableReplicas: left.filter((pod) => isAvailable(pod, minReady)).length,
      observedGeneration: set.metadata.generation ?? 1,
      conditions:
        refused === null
          ? []
          : [
              {
                type: 'ReplicaFailure',
                status: 'True',
                reason: 'FailedCreate',
                message: refused,
                lastTransitionTime: textAt(former, 'lastTransitionTime') ?? now(),
              },
            ],
    });
  }
}

/** Those that do least first: not scheduled, not ready, youngest. */
const lessNeeded = (pods: readonly KubeObject[]) =>
  [...pods].sort((a, b) => worth(a) - worth(b) || (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? 1 : -1));
const worth = (pod: KubeObject) => (textAt(pod, 'spec', 'nodeName') === undefined ? 0 : isReady(pod) ? 2 : 1);
