import type { Plan } from '../../../compiler/contracts/index.ts';
import type { GpuNodes } from '../../../compiler/emit/kubernetes/input.ts';
import { objectsOf } from '../../../compiler/emit/kubernetes/objects.ts';
import { accessOf } from '../../../compiler/plan/access.ts';
import { plannedMembers } from '../../../compiler/plan/members.ts';
import type { KubernetesObject } from './cluster.ts';
import type { KubernetesOptions } from './options.ts';
import { isWorkload, type Workload } from './workload.ts';

export interface Amounts {
  readonly [resource: string]: unknown;
}

/** Some equal pods, as a quota counts them. */
export interface PodDemand {
  /** Of whom, for messages. */
  readonly name: string;
  readonly count: number;
  readonly containers: readonly { readonly requests: Amounts; readonly limits: Amounts }[];
}

/** What a deployment asks of its namespace, at least. */
export interface Demand {
  readonly pods: readonly PodDemand[];
  /** Objects by `<plural>` or `<plural>.<group>`, as quotas name them. */
  readonly objects: { readonly [resource: string]: number };
  readonly storageBytes: readonly unknown[];
}

/** Pods of our own beside those of the plan: one that collects spans, and one at a time that makes load. */
export const helperNeeds = {
  collector: { vcpu: 0.1, memoryMb: 1024 },
  job: { vcpu: 1, memoryMb: 1024 },
} as const;

const helperPod = (name: keyof typeof helperNeeds): PodDemand => {
  const { vcpu, memoryMb } = helperNeeds[name];
  return {
    name: name === 'job' ? 'the load job' : 'the collector of traces',
    count: 1,
    containers: [{ requests: { cpu: vcpu, memory: `${memoryMb}Mi` }, limits: { memory: `${memoryMb}Mi` } }],
  };
};
export const helperPods: readonly PodDemand[] = [helperPod('collector'), helperPod('job')];

/** @throws DmasError DMAS_EXPORT for a plan Kubernetes has no words for */
export function demandOf(plan: Plan, options: KubernetesOptions): Demand {
  const members = plannedMembers(plan);
  const objects = objectsOf({
    plan,
    bundles: [],
    access: accessOf(plan),
    name: options.namePrefix,
    images: { '*': options.image, ...options.images },
    commands: Object.fromEntries(members.filter(({ program }) => program === null).map(({ id }) => [id, ['node']])),
    ...(options.serviceAccount === '' ? {} : { serviceAccount: options.serviceAccount }),
    otlpEndpoints: [],
    autoscaling: { by: 'none' },
    gpus: options.gpus as GpuNodes,
    networkPolicies: options.networkPolicies,
  });
  const workloads = objects.filter(isWorkload) as unknown as readonly Workload[];
  return {
    pods: [...workloads.map(podsOf), ...helperPods],
    objects: countsOf([...objects, ...secretsOf(plan)]),
    storageBytes: objects.flatMap(({ kind, spec }) => (kind === 'PersistentVolumeClaim' ? [storageOf(spec)] : [])),
  };
}

interface Resources {
  readonly requests?: Amounts;
  readonly limits?: Amounts;
}

function podsOf({ metadata, spec }: Workload): PodDemand {
  const containers = spec.template.spec.containers as readonly { readonly resources?: Resources }[];
  return {
    name: String(metadata.labels?.['app.kubernetes.io/component'] ?? metadata.name),
    count: spec.replicas ?? 1,
    containers: containers.map(({ resources }) => ({ requests: resources?.requests ?? {}, limits: resources?.limits ?? {} })),
  };
}

const storageOf = (spec: unknown): unknown => (spec as { readonly resources?: Resources }).resources?.requests?.storage;

const secretsOf = (plan: Plan): readonly Pick<KubernetesObject, 'apiVersion' | 'kind'>[] =>
  plannedMembers(plan)
    .filter(({ secrets }) => secrets.length > 0)
    .map(() => ({ apiVersion: 'v1', kind: 'Secret' }));

/** Plurals of kinds as quotas name them, with the group where there is one. */
const counted: { readonly [kind: string]: string } = {
  'v1/ConfigMap': 'configmaps',
  'v1/Secret': 'secrets',
  'v1/Service': 'services',
  'v1/PersistentVolumeClaim': 'persistentvolumeclaims',
  'apps/v1/Deployment': 'deployments.apps',
  'apps/v1/StatefulSet': 'statefulsets.apps',
};

function countsOf(objects: readonly Pick<KubernetesObject, 'apiVersion' | 'kind'>[]): Demand['objects'] {
  const counts: { [resource: string]: number } = {};
  for (const { apiVersion, kind } of objects) {
    const resource = counted[`${apiVersion}/${kind}`];
    if (resource !== undefined) counts[resource] = (counts[resource] ?? 0) + 1;
  }
  return counts;
}
