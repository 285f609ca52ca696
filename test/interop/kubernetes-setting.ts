import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { ApiError, type Cluster, type KubernetesObject, openCluster } from '../../runtime/targets/kubernetes/cluster.ts';
import { ownSelector } from '../../runtime/targets/kubernetes/labels.ts';
import { collectionPath, ownKinds } from '../../runtime/targets/kubernetes/resources.ts';
import { listObjects } from '../../runtime/targets/kubernetes/watch.ts';
import { scenarioFolder } from '../placements/deploy.ts';

/** Why no cluster is tried; undefined where one is. */
export const noCluster: string | undefined =
  (process.env.KUBECONFIG ?? '') === '' ? 'KUBECONFIG names no cluster (see docs/kubernetes.md)' : undefined;

/** An existing namespace; empty: one is made for the test, and removed. */
const givenNamespace = process.env.DMAS_OPT_KUBE_NAMESPACE ?? '';
/** Any image with Node.js that the nodes can get. */
export const nodeImage = process.env.DMAS_OPT_KUBE_IMAGE || 'node:22-slim';

/** A namespace of the cluster that KUBECONFIG names. */
export interface Setting {
  readonly cluster: Cluster;
  readonly namespace: string;
  /** Options of the target that name all this. */
  readonly options: { readonly [option: string]: unknown };
  /** Everything of ours in the namespace, pods and what they come from included. */
  present(): Promise<string[]>;
  /** Whether the user may do this in the namespace. */
  may(verb: string, group: string, resource: string): Promise<boolean>;
  create(kind: string, object: object): Promise<KubernetesObject>;
  remove(kind: string, name: string): Promise<void>;
  close(): Promise<void>;
}

/** Rules everybody should be able to live under: a namespace of our own enforces them. */
const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted', 'pod-security.kubernetes.io/enforce-version': 'latest' };

export async function openSetting(): Promise<Setting> {
  const made = givenNamespace === '';
  const namespace = made ? `dmas-opt-test-${process.pid}` : givenNamespace;
  const cluster = await openCluster({ namespace, context: '', kubeconfig: '' });
  if (made) {
    const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: restricted } };
    await cluster.ask('POST', '/api/v1/namespaces', { body }).catch((error: unknown) => {
      if (error instanceof ApiError && error.status === 403)
        throw new Error('You may not create a namespace: name one with DMAS_OPT_KUBE_NAMESPACE.', { cause: error });
      throw error;
    });
  }
  return {
    cluster,
    namespace,
    options: { namespace, image: nodeImage, drainMs: 100 },
    present: async () => {
      const kinds = [...ownKinds, 'v1/Pod', 'apps/v1/ReplicaSet'];
      const objects = (await Promise.all(kinds.map((kind) => listObjects(cluster, kind, ownSelector)))).flat();
      return objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort();
    },
    may: async (verb, group, resource) => {
      const body = {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectAccessReview',
        spec: { resourceAttributes: { namespace, verb, group, resource } },
      };
      const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
      const { status } = await cluster.ask<{ readonly status: { readonly allowed: boolean } }>('POST', path, { body });
      return status.allowed;
    },
    create: (kind, object) => cluster.ask('POST', placeOf(cluster, kind), { body: { ...kindFields(kind), ...object } }),
    remove: async (kind, name) => {
      await cluster.ask('DELETE', `${placeOf(cluster, kind)}/${name}`);
    },
    close: async () => {
      if (made) await cluster.ask('DELETE', `/api/v1/namespaces/${namespace}`);
    },
  };
}

/** Kinds the target itself never makes. */
const plurals: { readonly [kind: string]: string } = {
  'v1/LimitRange': 'limitranges',
  'rbac.authorization.k8s.io/v1/Role': 'roles',
  'rbac.authorization.k8s.io/v1/RoleBinding': 'rolebindings',
};
const placeOf = (cluster: Cluster, kind: string): string =>
  plurals[kind] === undefined ? collectionPath(cluster, kind) : collectionPath(cluster, kind, plurals[kind]);
const kindFields = (kind: string) => ({ apiVersion: kind.slice(0, kind.lastIndexOf('/')), kind: kind.slice(kind.lastIndexOf('/') + 1) });

/** An example as it stands, but for the target: written into a folder; what it names stays where it is. */
export function scenarioOn(setting: Pick<Setting, 'options'>, example: string, folder: string, more: object = {}): string {
  const from = scenarioFolder(example);
  const scenario = parse(readFileSync(join(from, 'scenario.yaml'), 'utf8')) as { readonly workflow: string };
  const file = join(folder, `${example}.yaml`);
  const { drainMs: _, ...options } = setting.options;
  const workflow = join(from, scenario.workflow);
  writeFileSync(file, stringify({ ...scenario, workflow, target: { kind: 'kubernetes', ...options }, ...more }));
  // Inputs are looked for beside the scenario.
  for (const name of ['inputs.jsonl']) copyFileSync(join(from, name), join(folder, basename(name)));
  return file;
}
