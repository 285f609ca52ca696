import type { KubernetesObject } from './cluster.ts';
import { filesFolder } from './code.ts';

/** A Deployment or a StatefulSet, as far as it is changed here. */
export interface Workload extends KubernetesObject {
  readonly spec: {
    readonly replicas?: number;
    readonly selector: { readonly matchLabels: { readonly [label: string]: string } };
    readonly template: {
      readonly metadata: {
        readonly labels: { readonly [label: string]: string };
        readonly annotations?: { readonly [annotation: string]: string };
      };
      readonly spec: PodSpec;
    };
    readonly [field: string]: unknown;
  };
}

interface PodSpec {
  readonly containers: readonly Container[];
  readonly volumes?: readonly object[];
  readonly [field: string]: unknown;
}

interface Container {
  readonly env?: readonly { readonly name: string; readonly [field: string]: unknown }[];
  readonly volumeMounts?: readonly object[];
  readonly readinessProbe?: object;
  readonly [field: string]: unknown;
}

export interface CodeVolume {
  readonly name: string;
  readonly projected: object;
}

export const isWorkload = ({ kind }: KubernetesObject): boolean => kind === 'Deployment' || kind === 'StatefulSet';

interface Dress {
  readonly name: string;
  readonly mark: { readonly [label: string]: string };
  readonly annotations: { readonly [annotation: string]: string } | undefined;
  readonly code: CodeVolume | undefined;
  readonly drainMs: number;
}

/** From the end of draining until the process is gone (`runtime/process-life.ts` gives it two seconds). */
const endSeconds = 4;

/**
 * A workload of the exported files, for a deployment of a study: labelled by version, with its code at hand, ready as soon as it is
 * (a probe each second), and without a pause before it ends, since callers are moved away before.
 */
export function dressWorkload(workload: Workload, { name, mark, annotations, code, drainMs }: Dress): KubernetesObject {
  const { spec, metadata } = workload;
  const { template } = spec;
  return {
    ...workload,
    metadata: { ...metadata, name, labels: { ...metadata.labels, ...mark } },
    spec: {
      ...spec,
      selector: { matchLabels: { ...spec.selector.matchLabels, ...mark } },
      template: {
        metadata: {
          labels: { ...template.metadata.labels, ...mark },
          annotations: { ...template.metadata.annotations, ...annotations },
        },
        spec: {
          ...template.spec,
          terminationGracePeriodSeconds: Math.ceil(drainMs / 1000) + endSeconds,
          containers: template.spec.containers.map((container) => dressContainer(container, code)),
          volumes: [...(template.spec.volumes ?? []), ...(code === undefined ? [] : [code])],
        },
      },
    },
  };
}

function dressContainer({ lifecycle: _, ...container }: Container, code: CodeVolume | undefined): Container {
  return {
    ...container,
    ...(container.readinessProbe === undefined ? {} : { readinessProbe: { ...container.readinessProbe, periodSeconds: 1 } }),
    ...(code === undefined
      ? {}
      : {
          env: [...(container.env ?? []), { name: 'DMAS_FILES', value: filesFolder }, { name: 'TMPDIR', value: '/tmp' }],
          volumeMounts: [...(container.volumeMounts ?? []), { name: code.name, mountPath: filesFolder, readOnly: true }],
        }),
  };
}
