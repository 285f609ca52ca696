import { removeObject } from './apply.ts';
import { ApiError, type Cluster, type ClusterOptions, type KubernetesObject, openCluster } from './cluster.ts';
import { managedBy } from './guard.ts';
import { annotations, deploymentOf, isAbandoned, labels, ownSelector } from './labels.ts';
import { kindOf, ownKinds } from './resources.ts';
import { listObjects } from './watch.ts';

interface Leftover {
  readonly line: string;
  readonly object: KubernetesObject;
}

export const kubernetesLeftovers = async (options: ClusterOptions): Promise<string[]> =>
  (await find(options)).found.map(({ line }) => line);

/**
 * Removes what dead owners of this machine left in the namespace, and what owners elsewhere no longer renew. Pods go with
 * what made them.
 */
export async function cleanKubernetes(options: ClusterOptions): Promise<string[]> {
  const { cluster, found } = await find(options);
  const removed: string[] = [];
  for (const { line, object } of found) {
    if (cluster !== null && (await removeObject(cluster, object, 0))) removed.push(line);
  }
  return removed;
}

/** Nothing where no cluster answers: `check` says so. */
async function find(options: ClusterOptions): Promise<{ cluster: Cluster | null; found: Leftover[] }> {
  let cluster: Cluster;
  try {
    cluster = await openCluster(options);
  } catch {
    return { cluster: null, found: [] };
  }
  const ours = (await Promise.all([...ownKinds, 'v1/Pod'].map((kind) => readable(cluster, kind)))).flat();
  const renewed = renewals(ours);
  const nowMs = Date.now();
  const dead = ours.filter((object) => managedBy(object) === null && isAbandoned(object, renewed.get(deploymentOf(object)), nowMs));
  // The record of a deployment last: an interrupted clean can be repeated.
  dead.sort((a, b) => Number(isRecord(a)) - Number(isRecord(b)));
  return {
    cluster,
    found: dead.map((object) => ({
      object,
      line: `${object.kind.toLowerCase()} ${object.metadata.name} of deployment ${deploymentOf(object)} in namespace ${cluster.namespace}`,
    })),
  };
}

/** What may not be listed, or is not served, cannot have been created either. */
async function readable(cluster: Cluster, kind: string): Promise<KubernetesObject[]> {
  try {
    return await listObjects(cluster, kind, ownSelector);
  } catch (error) {
    if (error instanceof ApiError && [401, 403, 404].includes(error.status)) return [];
    if (error instanceof ApiError) throw error;
    return [];
  }
}

export const recordRole = 'record';
const isRecord = (object: KubernetesObject): boolean =>
  object.metadata.labels?.[labels.role] === recordRole && kindOf(object) === 'v1/ConfigMap';

/** When the owner of each deployment last said that it lives, epoch ms. */
function renewals(objects: readonly KubernetesObject[]): Map<string, number> {
  return new Map(
    objects.filter(isRecord).flatMap((record): [string, number][] => {
      const at = Date.parse(record.metadata.annotations?.[annotations.renewed] ?? '');
      return Number.isFinite(at) ? [[deploymentOf(record), at]] : [];
    }),
  );
}
