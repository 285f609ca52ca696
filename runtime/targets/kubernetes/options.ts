import type { Bundle } from '../../../compiler/contracts/index.ts';
import type { ClusterOptions } from './cluster.ts';
import type { HelperOptions } from './helper-pod.ts';
import type { LocalCluster } from './images/local-cluster.ts';

/** Options of the target, as parsed. */
export interface KubernetesOptions extends ClusterOptions {
  readonly image: string;
  readonly images: { readonly [member: string]: string };
  /** Where images of units are pushed; empty: nowhere. */
  readonly registry: string;
  readonly load: 'none' | LocalCluster;
  readonly localCluster: string;
  /** The delivered image that holds the code of some bundles; absent: code comes in ConfigMaps. */
  readonly imageOf?: (bundles: readonly Bundle[]) => string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  readonly pullSecrets: readonly string[];
  readonly serviceAccount: string;
  readonly namePrefix: string;
  readonly labels: { readonly [label: string]: string };
  readonly annotations: { readonly [annotation: string]: string };
  readonly podAnnotations: { readonly [annotation: string]: string };
  readonly mesh: 'none' | 'istio' | 'linkerd';
  readonly networkPolicies: boolean;
  readonly appArmor: boolean;
  readonly gpus: {
    readonly resource: string;
    readonly nodeSelector: { readonly [label: string]: string };
    readonly tolerations: readonly { readonly [field: string]: unknown }[];
    readonly limit: number;
  };
  /** 0: no limit. */
  readonly cpus: number;
  readonly startTimeoutMs: number;
  readonly dnsTtlMs: number;
  readonly drainMs: number;
  readonly queueLimit: number;
}

/** What pods of our own beside the plan get of them. */
export const helperOptions = (options: KubernetesOptions): Omit<HelperOptions, 'labels' | 'annotations'> => ({
  image: options.image,
  pullSecrets: options.pullSecrets,
  serviceAccount: options.serviceAccount,
});
