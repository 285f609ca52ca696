import { fail } from '../../../compiler/contracts/index.ts';
import { ApiError, type Cluster, type KubernetesObject } from './cluster.ts';
import { explained } from './failures.ts';
import { managedBy } from './guard.ts';
import { fieldManager } from './labels.ts';
import { pathOf } from './resources.ts';

export const nameOf = ({ kind, metadata }: KubernetesObject): string => `${kind} ${metadata.name}`;

/**
 * Makes an object be as it says, by server-side apply: fields we do not name are left alone, and fields that somebody else
 * holds are never taken.
 *
 * @throws DmasError where the object is not ours, or the server refuses it
 */
export async function applyObject(cluster: Cluster, object: KubernetesObject, signal?: AbortSignal): Promise<KubernetesObject> {
  return explained(`applying ${nameOf(object)}`, cluster, async () => {
    const path = await pathOf(cluster, object);
    const present = await readObject(cluster, path, signal);
    const manager = present === null ? null : managedBy(present);
    if (manager !== null)
      fail('DMAS_DEPLOY_FAILED', `${nameOf(object)} in namespace ${cluster.namespace} is managed by ${manager}, so it is left alone.`, {
        fix: 'Use another namespace, or target.namePrefix, so that the names do not meet.',
      });
    return cluster.ask<KubernetesObject>('PATCH', path, {
      query: { fieldManager, force: false, fieldValidation: 'Strict' },
      contentType: 'application/apply-patch+yaml',
      // JSON is YAML.
      body: { ...object, metadata: { ...object.metadata, namespace: cluster.namespace } },
      ...(signal === undefined ? {} : { signal }),
    });
  });
}

/** Null when there is none. */
export async function readObject(cluster: Cluster, path: string, signal?: AbortSignal): Promise<KubernetesObject | null> {
  try {
    return await cluster.ask<KubernetesObject>('GET', path, signal === undefined ? {} : { signal });
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/**
 * Removes one object with all that it made. An object that is gone, was replaced meanwhile or belongs to somebody else is
 * left as it is.
 *
 * @returns whether it is on its way out because of us
 */
export async function removeObject(cluster: Cluster, object: KubernetesObject, graceSeconds?: number): Promise<boolean> {
  if (managedBy(object) !== null) return false;
  const { uid } = object.metadata;
  try {
    await cluster.ask('DELETE', await pathOf(cluster, object), {
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        propagationPolicy: 'Background',
        ...(uid === undefined ? {} : { preconditions: { uid } }),
        ...(graceSeconds === undefined ? {} : { gracePeriodSeconds: graceSeconds }),
      },
    });
    return true;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 404 || error.status === 409)) return false;
    throw error;
  }
}
