import type { Access, Bundle, Plan } from '../../contracts/index.ts';
import type { ExportFacts } from '../emitter.ts';

/** Plain data as the Kubernetes API takes it; nothing of it is filled in by a server. */
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: KubernetesMetadata;
  readonly [field: string]: unknown;
}

export interface KubernetesMetadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels: { readonly [label: string]: string };
  readonly annotations?: { readonly [annotation: string]: string };
}

/** What a plan becomes on a cluster, beside the plan. */
export interface KubernetesInput {
  readonly plan: Plan;
  /** One for every unit and service of ours. */
  readonly bundles: readonly Bundle[];
  readonly access: Access;
  /** First part of every name and the value of `app.kubernetes.io/instance`; absent: the application's name. */
  readonly name?: string;
  /** Absent: no object names a namespace, so `kubectl -n`, kustomize or Helm decide. */
  readonly namespace?: string;
  /** Image of each unit and service of ours, by id; `*` for all others. What somebody else built has its own image unless it is named here. */
  readonly images: { readonly [member: string]: string };
  readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
  /** Names of Secrets of the namespace that hold registry credentials. */
  readonly pullSecrets?: readonly string[];
  /** What a container of ours runs, by member; default `node /app/<first 16 digits of the bundle's SHA-256>.mjs` (see `programPath`). */
  readonly commands?: { readonly [member: string]: readonly string[] };
  /** On every object and pod; must not clash with those written here. */
  readonly labels?: { readonly [label: string]: string };
  readonly annotations?: { readonly [annotation: string]: string };
  /** Also part of every selector, e.g. to keep an old and a new deployment apart that stand side by side; may not change later. */
  readonly selectorLabels?: { readonly [label: string]: string };
  /** On pods alone, e.g. for a mesh. */
  readonly podAnnotations?: { readonly [annotation: string]: string };
  /** `app.kubernetes.io/managed-by`; default `dmas-opt`. */
  readonly managedBy?: string;
  /** An account of the namespace to run as; absent: one for each member, without any right. */
  readonly serviceAccount?: string;
  /** OTLP/HTTP base URLs as the pods reach them. */
  readonly otlpEndpoints: readonly string[];
  /** Share of requests traced, 0 to 1; default 1. */
  readonly samplingRatio?: number;
  /** Calls that may wait per component of a replica; default 256. */
  readonly queueLimit?: number;
  /** How long a replica that ends waits for what is under way, in milliseconds; default 30 s. */
  readonly drainMs?: number;
  /** Secrets of the namespace that hold the values, by member; default `<name of the member>-secrets`. None is written here. */
  readonly secretNames?: { readonly [member: string]: string };
  /**
   * By member, part of the names of its Services: several versions of it stand side by side, each with names of its own, so that who
   * was told a name goes on calling that version. Absent: names outlast versions. At most seven characters.
   */
  readonly serviceVersions?: { readonly [member: string]: string };
  /** Where the ingress listens, whatever else its unit listens on; absent: behind the unit's other ports. */
  readonly ingressPort?: number;
  /** What a study measured: autoscaling and start-up times come from it. */
  readonly facts?: Pick<ExportFacts, 'capacityPerReplica' | 'startMs'>;
  /** Default: `cpu` where facts say how much CPU a replica needs at its capacity. */
  readonly autoscaling?: Autoscaling;
  readonly placement?: Placement;
  /** An Ingress object before the application's entry; absent: a Service of the cluster alone. */
  readonly publish?: { readonly host: string; readonly className?: string; readonly tlsSecret?: string };
  readonly gpus?: GpuNodes;
  /** Adds what a sidecar of this mesh needs: annotations, and the way to its control plane. */
  readonly mesh?: 'istio' | 'linkerd';
  /** Default true. */
  readonly networkPolicies?: boolean;
  /**
   * Demands AppArmor's profile `RuntimeDefault` (Kubernetes 1.30 and later). Without it a container runtime applies the same
   * profile wherever AppArmor is there, but nodes without AppArmor take the pods too. Default false.
   */
  readonly appArmor?: boolean;
  /** Volume for state on disk that outlives a replica. */
  readonly stateVolume?: VolumeRequest;
  /** Volume of each model server that keeps its weights. */
  readonly cacheVolume?: VolumeRequest;
  /** Members built by others whose image must choose its own user, even root; by id. */
  readonly asImageUser?: readonly string[];
}

export type Autoscaling =
  | { readonly by: 'none' }
  | { readonly by: 'cpu'; readonly maxReplicas?: number }
  /** KEDA, which asks Prometheus for the rate of requests of each unit. */
  | { readonly by: 'keda'; readonly maxReplicas?: number; readonly prometheus: string; readonly query: string };

/** Closer than one network; members of one unit are already one process. */
export interface Placement {
  /** Members that are containers of one pod. They must have as many replicas as each other. */
  readonly pods?: readonly (readonly string[])[];
  /** Members whose pods stay on one node. */
  readonly nodes?: readonly (readonly string[])[];
}

export interface VolumeRequest {
  /** Default: the cluster's. */
  readonly storageClass?: string;
  readonly sizeGi: number;
}

export interface GpuNodes {
  /** Default `nvidia.com/gpu`. */
  readonly resource?: string;
  readonly nodeSelector?: { readonly [label: string]: string };
  readonly tolerations?: readonly {
    readonly key?: string;
    readonly operator?: 'Exists' | 'Equal';
    readonly value?: string;
    readonly effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
  }[];
}
