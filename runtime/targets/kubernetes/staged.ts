import type { Json } from '../../../compiler/contracts/index.ts';
import { applyObject } from './apply.ts';
import type { Cluster, KubernetesObject } from './cluster.ts';
import { labels, labelValue } from './labels.ts';

/** One unit or service of a plan, as it is put on the cluster. */
export interface StagedMember {
  readonly id: string;
  readonly kind: 'unit' | 'service';
  readonly replicas: number;
  /** Built by somebody else: it has no control server. */
  readonly foreign: boolean;
  /** Equal for members that need not be replaced by each other; part of the names of its objects and a label of its pods. */
  readonly version: string;
  /** Name of its Deployment. */
  readonly maker: string;
  /** Port of the control server; null for what somebody else built. */
  readonly controlPort: number | null;
  /** Port that users call; null where they do not. */
  readonly publicPort: number | null;
  /** Port where a model server tells its load; null for everything else. */
  readonly metricsPort: number | null;
  /** What one that stays is told when the plan around it changes; null for those that are told nothing. */
  readonly settings: Json;
  /** Host under which the cluster finds it. */
  readonly host: string;
  /** Objects of this version alone; the Deployment is the last of them. */
  readonly own: readonly KubernetesObject[];
  /** What leads to it, under names that outlast a version: applied last, so that it is the switch. */
  readonly doors: readonly KubernetesObject[];
}

export const memberName = ({ kind, id }: Pick<StagedMember, 'kind' | 'id'>, replica = 0): string => `${kind} ${id} replica ${replica}`;

/** Whether a pod is of this member in this version. */
export const belongs = ({ metadata }: KubernetesObject, { id, version }: Pick<StagedMember, 'id' | 'version'>): boolean =>
  metadata.labels?.[labels.member] === labelValue(id) && metadata.labels[labels.version] === version;

/** The Deployment after what its pods need. */
export async function applyOwn(cluster: Cluster, { own }: StagedMember, signal: AbortSignal): Promise<void> {
  await Promise.all(own.slice(0, -1).map((object) => applyObject(cluster, object, signal)));
  for (const maker of own.slice(-1)) await applyObject(cluster, maker, signal);
}
