import type { Cluster, KubernetesObject } from './cluster.ts';

/** Plural names of the namespaced kinds we create or read, by `apiVersion/kind`. Others are looked up (`pathOf`). */
const plurals: { readonly [kind: string]: string } = {
  'v1/ConfigMap': 'configmaps',
  'v1/Secret': 'secrets',
  'v1/Service': 'services',
  'v1/ServiceAccount': 'serviceaccounts',
  'v1/Pod': 'pods',
  'v1/Event': 'events',
  'v1/ResourceQuota': 'resourcequotas',
  'v1/LimitRange': 'limitranges',
  'apps/v1/Deployment': 'deployments',
  'apps/v1/ReplicaSet': 'replicasets',
  'apps/v1/StatefulSet': 'statefulsets',
  'v1/PersistentVolumeClaim': 'persistentvolumeclaims',
  'batch/v1/Job': 'jobs',
  'networking.k8s.io/v1/NetworkPolicy': 'networkpolicies',
  'policy/v1/PodDisruptionBudget': 'poddisruptionbudgets',
  'autoscaling/v2/HorizontalPodAutoscaler': 'horizontalpodautoscalers',
};

/** Everything a deployment may consist of, in the order in which it is removed: what makes pods first. */
export const ownKinds = [
  'autoscaling/v2/HorizontalPodAutoscaler',
  'batch/v1/Job',
  'apps/v1/Deployment',
  'apps/v1/StatefulSet',
  'policy/v1/PodDisruptionBudget',
  'v1/Service',
  'networking.k8s.io/v1/NetworkPolicy',
  'v1/Secret',
  'v1/ServiceAccount',
  'v1/PersistentVolumeClaim',
  'v1/ConfigMap',
] as const;

export const kindOf = ({ apiVersion, kind }: Pick<KubernetesObject, 'apiVersion' | 'kind'>): string => `${apiVersion}/${kind}`;

/** Path of all objects of a kind in the cluster's namespace. */
export function collectionPath(cluster: Cluster, kind: string, plural = plurals[kind]): string {
  if (plural === undefined) throw new RangeError(`the plural of ${kind} is not known`);
  const version = kind.slice(0, kind.lastIndexOf('/'));
  const root = version.includes('/') ? `/apis/${version}` : `/api/${version}`;
  return `${root}/namespaces/${encodeURIComponent(cluster.namespace)}/${plural}`;
}

export const objectPath = (cluster: Cluster, kind: string, name: string): string =>
  `${collectionPath(cluster, kind)}/${encodeURIComponent(name)}`;

/** As `objectPath`, of any kind: those not in the table are asked for by discovery. */
export async function pathOf(cluster: Cluster, object: KubernetesObject): Promise<string> {
  const kind = kindOf(object);
  const plural = plurals[kind] ?? (await discover(cluster, object));
  return `${collectionPath(cluster, kind, plural)}/${encodeURIComponent(object.metadata.name)}`;
}

async function discover(cluster: Cluster, { apiVersion, kind }: KubernetesObject): Promise<string> {
  const { resources } = await cluster.ask<{ resources: readonly { readonly name: string; readonly kind: string }[] }>(
    'GET',
    apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`,
  );
  const found = resources.find((resource) => resource.kind === kind && !resource.name.includes('/'));
  if (found === undefined) throw new RangeError(`the cluster knows no ${kind} of ${apiVersion}`);
  return found.name;
}
