import { createHash } from 'node:crypto';
import type { V1StatefulSetSpec } from '@kubernetes/client-node';
import { isReady } from '../api/disruptions.ts';
import { remove } from '../api/remove.ts';
import { createBySystem, writeStatus } from '../api/system.ts';
import { builtInKind, newObject, type World } from '../api/world.ts';
import { as, copy, json, type KubeObject, objectAt, objectsAt } from '../state/json.ts';
import { isAvailable, podOf, podsOf, tryCreatePod } from './replicas.ts';

const revisionLabel = 'controller-revision-hash';

/** Stateful sets: pods with numbers, one after the other, each with claims of its own. */
export function statefulSets(world: World): void {
  for (const set of world.store.list(builtInKind('StatefulSet'))) {
    if (set.metadata.deletionTimestamp !== undefined) continue;
    const spec = as<V1StatefulSetSpec>(set.spec);
    const wanted = spec.replicas ?? 1;
    const revision = `${set.metadata.name}-${createHash('sha256').update(JSON.stringify(spec.template)).digest('hex').slice(0, 10)}`;
    const pods = new Map(podsOf(world, set).map((pod) => [pod.metadata.name, pod]));
    const inOrder = spec.podManagementPolicy !== 'Parallel';
    let settled = true;
    for (let index = 0; index < wanted; index += 1) {
      const name = `${set.metadata.name}-${index}`;
      const pod = pods.get(name);
      if (!pod) {
        tryCreatePod(world, set, numbered(world, set, spec, index, revision), 'statefulset-controller');
        settled = false;
      } else if (!isReady(pod)) settled = false;
      if (!settled && inOrder) break;
    }
    const surplus = [...pods.values()].filter((pod) => numberOf(pod) >= wanted).sort((a, b) => numberOf(b) - numberOf(a));
    const stale = [...pods.values()]
      .filter((pod) => pod.metadata.labels?.[revisionLabel] !== revision)
      .sort((a, b) => numberOf(b) - numberOf(a));
    const [next] = surplus.length > 0 ? surplus : settled ? stale : [];
    if (next && next.metadata.deletionTimestamp === undefined)
      remove(world, builtInKind('Pod'), next, { propagation: 'Background', graceSeconds: null });
    const left = podsOf(world, set);
    const updated = left.filter((pod) => pod.metadata.labels?.[revisionLabel] === revision).length;
    writeStatus(world, set, {
      observedGeneration: set.metadata.generation ?? 1,
      replicas: left.length,
      readyReplicas: left.filter(isReady).length,
      availableReplicas: left.filter((pod) => isAvailable(pod, spec.minReadySeconds ?? 0)).length,
      currentReplicas: updated,
      updatedReplicas: updated,
      updateRevision: revision,
      currentRevision: updated === left.length ? revision : (objectAt(set, 'status').currentRevision ?? revision),
      collisionCount: 0,
    });
  }
}

const numberOf = (pod: KubeObject) => Number(/-(\d+)$/.exec(pod.metadata.name)?.[1] ?? 0);

function numbered(world: World, set: KubeObject, spec: V1StatefulSetSpec, index: number, revision: string): KubeObject {
  const name = `${set.metadata.name}-${index}`;
  const labels = { 'statefulset.kubernetes.io/pod-name': name, 'apps.kubernetes.io/pod-index': String(index), [revisionLabel]: revision };
  const pod = podOf(set, spec.template, name, labels);
  delete pod.metadata.generateName;
  const wanted = objectAt(pod, 'spec');
  wanted.hostname = name;
  if (spec.serviceName !== undefined) wanted.subdomain = spec.serviceName;
  const claims = (spec.volumeClaimTemplates ?? []).map((template) => json(copy(template)));
  const others = objectsAt(wanted, 'volumes').filter((volume) => !claims.some((claim) => objectAt(claim, 'metadata').name === volume.name));
  wanted.volumes = [...others, ...claims.map((claim) => claimVolume(world, set, claim, name))];
  return pod;
}

function claimVolume(world: World, set: KubeObject, template: KubeObject | ReturnType<typeof json>, pod: string) {
  const volume = String(objectAt(template, 'metadata').name);
  const name = `${volume}-${pod}`;
  const resource = builtInKind('PersistentVolumeClaim');
  if (!world.store.get(resource, set.metadata.namespace, name)) {
    const labels = objectAt(set, 'spec', 'selector', 'matchLabels') as { [key: string]: string };
    createBySystem(
      world,
      resource,
      newObject(resource, { name, namespace: set.metadata.namespace ?? '', labels }, { spec: copy(objectAt(template, 'spec')) }),
      'statefulset-controller',
    );
  }
  return { name: volume, persistentVolumeClaim: { claimName: name } };
}
