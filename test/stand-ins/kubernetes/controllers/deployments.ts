import { createHash } from 'node:crypto';
import type { V1DeploymentSpec } from '@kubernetes/client-node';
import { remove } from '../api/remove.ts';
import { createBySystem, isOwnedBy, ownedBy, tellEvent, writeBySystem, writeStatus } from '../api/system.ts';
import { builtInKind, newObject, type World } from '../api/world.ts';
import { as, copy, type JsonObject, type KubeObject, numberAt, objectAt, objectsAt, same, textAt } from '../state/json.ts';
import { now } from '../state/store.ts';

const revision = 'deployment.kubernetes.io/revision';
const hashLabel = 'pod-template-hash';

/** Deployments: one replica set for each template, replicas moved from the old ones to the present one. */
export function deployments(world: World): void {
  for (const deployment of world.store.list(builtInKind('Deployment'))) {
    if (deployment.metadata.deletionTimestamp !== undefined) continue;
    const spec = as<V1DeploymentSpec>(deployment.spec);
    const sets = world.store.list(builtInKind('ReplicaSet'), deployment.metadata.namespace).filter((set) => isOwnedBy(set, deployment));
    const present =
      sets.find((set) => same(templateOf(set), objectAt(deployment, 'spec', 'template'))) ??
      (spec.paused === true ? undefined : newSet(world, deployment, sets));
    if (!present) continue;
    const old = sets.filter((set) => set.metadata.uid !== present.metadata.uid);
    if (spec.paused !== true) roll(world, deployment, present, old);
    trim(world, deployment, old);
    tellStatus(world, deployment, present.metadata.name);
  }
}

/** A set's template as the deployment wrote it. */
function templateOf(set: KubeObject): JsonObject {
  const template = copy(objectAt(set, 'spec', 'template'));
  const labels = objectAt(template, 'metadata', 'labels');
  delete labels[hashLabel];
  return template;
}

function newSet(world: World, deployment: KubeObject, sets: readonly KubeObject[]): KubeObject {
  const spec = copy(objectAt(deployment, 'spec'));
  const template = objectAt(spec, 'template');
  const hash = createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10);
  const labels = { ...objectAt(template, 'metadata', 'labels'), [hashLabel]: hash };
  template.metadata = { ...objectAt(template, 'metadata'), labels };
  const number = Math.max(0, ...sets.map((set) => Number(set.metadata.annotations?.[revision] ?? 0))) + 1;
  const name = `${deployment.metadata.name}-${hash}`;
  const made = newObject(
    builtInKind('ReplicaSet'),
    {
      name,
      namespace: deployment.metadata.namespace ?? '',
      labels: labels as { [key: string]: string },
      annotations: { [revision]: String(number) },
      ownerReferences: ownedBy(deployment),
    },
    {
      spec: {
        replicas: 0,
        ...(spec.minReadySeconds === undefined ? {} : { minReadySeconds: spec.minReadySeconds }),
        selector: { ...objectAt(spec, 'selector'), matchLabels: { ...objectAt(spec, 'selector', 'matchLabels'), [hashLabel]: hash } },
        template,
      },
    },
  );
  const created = createBySystem(world, builtInKind('ReplicaSet'), made, 'kube-controller-manager');
  writeBySystem(world, deployment, (after) => {
    after.metadata.annotations = { ...after.metadata.annotations, [revision]: String(number) };
  });
  return created;
}

function roll(world: World, deployment: KubeObject, present: KubeObject, old: readonly KubeObject[]): void {
  const wanted = numberAt(deployment, 'spec', 'replicas') ?? 1;
  const recreate = textAt(deployment, 'spec', 'strategy', 'type') === 'Recreate';
  const oldTotal = sum(old, replicasOf);
  if (recreate) {
    for (const set of old) scale(world, deployment, set, 0);
    const gone = world.store
      .list(builtInKind('Pod'), deployment.metadata.namespace)
      .every((pod) => !old.some((set) => isOwnedBy(pod, set)));
    if (gone) scale(world, deployment, present, wanted);
    return;
  }
  const rolling = objectAt(deployment, 'spec', 'strategy', 'rollingUpdate');
  const surge = portion(rolling.maxSurge, wanted, Math.ceil);
  const most = portion(rolling.maxUnavailable, wanted, Math.floor);
  const unavailable = surge === 0 && most === 0 ? 1 : most;
  const room = wanted + surge - oldTotal;
  const next = replicasOf(present) > wanted ? wanted : Math.min(wanted, Math.max(replicasOf(present), room));
  scale(world, deployment, present, next);
  const available = sum([present, ...old], (set) => numberAt(set, 'status', 'availableReplicas') ?? 0);
  // What is not available anyway goes first and costs nothing.
  let spare = Math.max(0, available - (wanted - unavailable));
  for (const set of old) {
    const idle = replicasOf(set) - (numberAt(set, 'status', 'availableReplicas') ?? 0);
    const dropped = Math.min(replicasOf(set), Math.max(0, idle) + Math.min(spare, numberAt(set, 'status', 'availableReplicas') ?? 0));
    spare -= Math.max(0, dropped - Math.max(0, idle));
    scale(world, deployment, set, replicasOf(set) - dropped);
  }
}

const sum = (sets: readonly KubeObject[], read: (set: KubeObject) => number) => sets.reduce((total, set) => total + read(set), 0);
const replicasOf = (set: KubeObject) => numberAt(set, 'spec', 'replicas') ?? 0;
const portion = (value: unknown, whole: number, round: (value: number) => number) =>
  typeof value === 'string' ? round((Number.parseFloat(value) / 100) * whole) : Number(value ?? 0);

function scale(world: World, deployment: KubeObject, set: KubeObject, replicas: number): void {
  const before = replicasOf(set);
  if (before === replicas) return;
  writeBySystem(world, set, (after) => {
    objectAt(after, 'spec').replicas = replicas;
  });
  const way = replicas > before ? 'up' : 'down';
  tellEvent(
    world,
    deployment,
    'Normal',
    'ScalingReplicaSet',
    `Scaled ${way} replica set ${set.metadata.name} from ${before} to ${replicas}`,
    'deployment-controller',
  );
}

function trim(world: World, deployment: KubeObject, old: readonly KubeObject[]): void {
  const idle = old.filter((set) => replicasOf(set) === 0 && (numberAt(set, 'status', 'replicas') ?? 0) === 0);
  const kept = numberAt(deployment, 'spec', 'revisionHistoryLimit') ?? 10;
  const byAge = [...idle].sort((a, b) => Number(a.metadata.annotations?.[revision]) - Number(b.metadata.annotations?.[revision]));
  for (const set of byAge.slice(0, Math.max(0, idle.length - kept))) {
    remove(world, builtInKind('ReplicaSet'), set, { propagation: 'Background', graceSeconds: null });
  }
}

function tellStatus(world: World, before: KubeObject, presentName: string): void {
  const deployment = world.store.get(builtInKind('Deployment'), before.metadata.namespace, before.metadata.name);
  if (!deployment) return;
  const sets = world.store.list(builtInKind('ReplicaSet'), deployment.metadata.namespace).filter((set) => isOwnedBy(set, deployment));
  const present = sets.find(({ metadata }) => metadata.name === presentName);
  const count = (set: KubeObject | undefined, field: string) => numberAt(set, 'status', field) ?? 0;
  const wanted = numberAt(deployment, 'spec', 'replicas') ?? 1;
  const [replicas, updated] = [sum(sets, (set) => count(set, 'replicas')), count(present, 'replicas')];
  const [ready, available] = [sum(sets, (set) => count(set, 'readyReplicas')), sum(sets, (set) => count(set, 'availableReplicas'))];
  const allowed = portion(objectAt(deployment, 'spec', 'strategy', 'rollingUpdate').maxUnavailable, wanted, Math.floor);
  const enough = available >= wanted - allowed;
  const complete = updated === wanted && replicas === wanted && available === wanted;
  const failure = sets.flatMap((set) => objectsAt(set, 'status', 'conditions')).find(({ type }) => type === 'ReplicaFailure');
  const progress = progressOf(deployment, present, complete, [replicas, updated, ready, available]);
  writeStatus(world, deployment, {
    observedGeneration: deployment.metadata.generation ?? 1,
    replicas,
    updatedReplicas: updated,
    readyReplicas: ready,
    availableReplicas: available,
    unavailableReplicas: Math.max(0, Math.max(wanted, replicas) - available),
    conditions: [
      condition(
        deployment,
        'Available',
        enough,
        enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        `Deployment ${enough ? 'has' : 'does not have'} minimum availability.`,
      ),
      progress,
      ...(failure ? [condition(deployment, 'ReplicaFailure', true, 'FailedCreate', textAt(failure, 'message') ?? '')] : []),
    ],
  });
}

function progressOf(deployment: KubeObject, present: KubeObject | undefined, complete: boolean, counts: readonly number[]): JsonObject {
  const former = objectsAt(deployment, 'status', 'conditions').find(({ type }) => type === 'Progressing');
  const name = present?.metadata.name ?? '';
  const before = ['replicas', 'updatedReplicas', 'readyReplicas', 'availableReplicas'].map(
    (field) => numberAt(deployment, 'status', field) ?? 0,
  );
  const fresh = numberAt(deployment, 'status', 'observedGeneration') !== deployment.metadata.generation;
  const moved = fresh || !same([...before], [...counts]);
  const updated = moved || former === undefined ? now() : (textAt(former, 'lastUpdateTime') ?? now());
  const late = Date.now() - Date.parse(updated) > (numberAt(deployment, 'spec', 'progressDeadlineSeconds') ?? 600) * 1000;
  const made = complete
    ? condition(deployment, 'Progressing', true, 'NewReplicaSetAvailable', `ReplicaSet "${name}" has successfully progressed.`)
    : late
      ? condition(deployment, 'Progressing', false, 'ProgressDeadlineExceeded', `ReplicaSet "${name}" has timed out progressing.`)
      : condition(deployment, 'Progressing', true, 'ReplicaSetUpdated', `ReplicaSet "${name}" is progressing.`);
  return { ...made, lastUpdateTime: updated };
}

/** A condition, with the time at which it became what it is. */
export function condition(object: KubeObject, type: string, holds: boolean, reason: string, message: string): JsonObject {
  const former = objectsAt(object, 'status', 'conditions').find((each) => each.type === type);
  const status = holds ? 'True' : 'False';
  const since = former?.status === status ? textAt(former, 'lastTransitionTime') : undefined;
  const updated = former?.status === status && former.reason === reason ? textAt(former, 'lastUpdateTime') : undefined;
  return { type, status, reason, message, lastTransitionTime: since ?? now(), lastUpdateTime: updated ?? now() };
}
