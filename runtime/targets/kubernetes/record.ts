import { thisOwner } from '../process/lease.ts';
import { applyObject, readObject, removeObject } from './apply.ts';
import { recordRole } from './clean.ts';
import type { Cluster, KubernetesObject } from './cluster.ts';
import { annotations, fieldManager, labels, labelValue, objectName, renewEveryMs } from './labels.ts';
import { objectPath } from './resources.ts';

/** What every object of a deployment bears, so that it is found when its owner is gone. */
export function ownership(deploymentId: string): Required<Pick<KubernetesObject['metadata'], 'labels' | 'annotations'>> {
  return {
    labels: { [labels.managedBy]: fieldManager, [labels.deployment]: labelValue(deploymentId) },
    annotations: { [annotations.deploymentId]: deploymentId, [annotations.owner]: JSON.stringify(thisOwner()) },
  };
}

/** Of a deployment: on the cluster before anything else of it, gone after everything else. */
export interface DeploymentRecord {
  /** For objects that are to go with it, whoever removes it. */
  readonly reference: { readonly apiVersion: 'v1'; readonly kind: 'ConfigMap'; readonly name: string; readonly uid: string } | null;
  close(): Promise<void>;
}

/**
 * Says on the cluster who looks after a deployment, and every minute that they still do: machines elsewhere know no pids of here. Is not to
 * be interrupted: a server may still make what it was asked for, and of this nothing else would rid it.
 */
export async function openRecord(cluster: Cluster, name: string, deploymentId: string): Promise<DeploymentRecord> {
  const record = (): KubernetesObject => {
    const owned = ownership(deploymentId);
    return {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        name: objectName(name, recordRole),
        labels: { ...owned.labels, [labels.role]: recordRole },
        annotations: { ...owned.annotations, [annotations.renewed]: new Date().toISOString() },
      },
      data: { about: 'A deployment of dmas-opt. Everything with its label goes with it.' },
    };
  };
  const made = await applyObject(cluster, record());
  // One that is missed is made up for by the next.
  const timer = setInterval(() => void applyObject(cluster, record()).catch(() => {}), renewEveryMs).unref();
  const { uid } = made.metadata;
  return {
    reference: uid === undefined ? null : { apiVersion: 'v1', kind: 'ConfigMap', name: made.metadata.name, uid },
    close: async () => {
      clearInterval(timer);
      const present = await readObject(cluster, objectPath(cluster, 'v1/ConfigMap', made.metadata.name));
      if (present !== null) await removeObject(cluster, present);
    },
  };
}
