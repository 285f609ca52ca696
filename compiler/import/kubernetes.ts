import { type Container, systemOfContainers } from './containers.ts';
import type { FoundSystem } from './found.ts';

/**
 * The fields of Kubernetes objects that are read, all optional: a stranger's cluster may hold anything. Shapes are those
 * of the API (apps/v1, core/v1, autoscaling/v2).
 */
export interface NamespaceObjects {
  readonly namespace: string;
  readonly workloads: readonly Workload[];
  readonly services: readonly KubernetesService[];
  readonly autoscalers: readonly Autoscaler[];
  /** Data of the namespace's ConfigMaps by name. Secrets are never read. */
  readonly configMaps: { readonly [name: string]: { readonly [key: string]: string } };
  /** What could not be listed and why, e.g. `horizontalpodautoscalers: forbidden`. */
  readonly unreadable: readonly string[];
}

export interface Workload {
  readonly kind: 'Deployment' | 'StatefulSet' | 'DaemonSet';
  readonly metadata?: Metadata;
  readonly spec?: {
    readonly replicas?: number;
    readonly template?: { readonly metadata?: Metadata; readonly spec?: { readonly containers?: readonly PodContainer[] } };
  };
}
interface Metadata {
  readonly name?: string;
  readonly labels?: { readonly [label: string]: string };
  readonly annotations?: { readonly [name: string]: string };
}
interface PodContainer {
  readonly name?: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly {
    readonly name?: string;
    readonly value?: string;
    readonly valueFrom?: { readonly configMapKeyRef?: { readonly name?: string; readonly key?: string }; readonly secretKeyRef?: unknown };
  }[];
  readonly envFrom?: readonly { readonly configMapRef?: { readonly name?: string }; readonly secretRef?: { readonly name?: string } }[];
  readonly ports?: readonly { readonly containerPort?: number }[];
  readonly resources?: { readonly requests?: Quantities; readonly limits?: Quantities };
}
type Quantities = { readonly [resource: string]: string };
export interface KubernetesService {
  readonly metadata?: Metadata;
  readonly spec?: { readonly selector?: { readonly [label: string]: string }; readonly type?: string };
}
export interface Autoscaler {
  readonly metadata?: Metadata;
  readonly spec?: {
    readonly scaleTargetRef?: { readonly kind?: string; readonly name?: string };
    readonly minReplicas?: number;
    readonly maxReplicas?: number;
    readonly metrics?: readonly { readonly type?: string; readonly resource?: { readonly name?: string } }[];
  };
}

/** What a namespace runs. Only reads what it is given; nothing of the cluster is touched. */
export function foundInNamespace(objects: NamespaceObjects): FoundSystem {
  const containers = objects.workloads.flatMap((workload) => containersOf(workload, objects));
  const system = systemOfContainers(objects.namespace, containers);
  const unread = objects.unreadable.map((what) => ({
    about: objects.namespace,
    text: `Not readable with your rights, so left out: ${what}.`,
  }));
  return { ...system, questions: [...system.questions, ...unread] };
}

function containersOf(workload: Workload, objects: NamespaceObjects): Container[] {
  const name = workload.metadata?.name;
  const template = workload.spec?.template;
  // Further containers of a pod are sidecars: they come and go with the first.
  const [main, ...sidecars] = template?.spec?.containers ?? [];
  if (name === undefined || main === undefined) return [];
  const labels = template?.metadata?.labels ?? {};
  const services = objects.services.filter((service) => selects(service.spec?.selector, labels));
  const serviceNames = services.flatMap((service) => service.metadata?.name ?? []);
  const resources = resourcesOf(main);
  const autoscaling = autoscalingOf(workload, objects.autoscalers);
  const pinned = pinnedBecause(workload, sidecars);
  const command = [...(main.command ?? []), ...(main.args ?? [])];
  return [
    {
      called: name,
      hosts: serviceNames.flatMap((host) => [
        host,
        `${host}.${objects.namespace}`,
        `${host}.${objects.namespace}.svc`,
        `${host}.${objects.namespace}.svc.cluster.local`,
      ]),
      image: main.image,
      ...(command.length === 0 ? {} : { command }),
      environment: environmentOf(main, objects.configMaps),
      ports: (main.ports ?? []).flatMap((port) => port.containerPort ?? []),
      published: services.some((service) => service.spec?.type === 'LoadBalancer' || service.spec?.type === 'NodePort'),
      startsAfter: [],
      replicas: Math.max(1, workload.spec?.replicas ?? 1),
      ...(resources === undefined ? {} : { resources }),
      ...(autoscaling === undefined ? {} : { autoscaling }),
      ...(pinned === undefined ? {} : { pinned }),
      place: `${workload.kind.toLowerCase()}/${name}`,
    },
  ];
}

function selects(selector: { readonly [label: string]: string } | undefined, labels: { readonly [label: string]: string }): boolean {
  const wanted = Object.entries(selector ?? {});
  return wanted.length > 0 && wanted.every(([label, value]) => labels[label] === value);
}

function pinnedBecause(workload: Workload, sidecars: readonly PodContainer[]): string | undefined {
  if (workload.kind === 'StatefulSet') return 'a StatefulSet: its replicas have identities and volumes of their own';
  if (workload.kind === 'DaemonSet') return 'a DaemonSet: one on every node';
  if (
    Object.keys(workload.metadata?.annotations ?? {}).some(
      (name) => name.startsWith('argocd.argoproj.io/') || name.startsWith('kustomize.toolkit.fluxcd.io/'),
    )
  )
    return 'managed by GitOps: change it in its repository, not in the cluster';
  return sidecars.length === 0
    ? undefined
    : `its pod has sidecars (${sidecars.map((each) => each.name ?? 'unnamed').join(', ')}) that go with it`;
}

function autoscalingOf(workload: Workload, autoscalers: readonly Autoscaler[]): Container['autoscaling'] {
  const found = autoscalers.find(
    ({ spec }) => spec?.scaleTargetRef?.kind === workload.kind && spec.scaleTargetRef.name === workload.metadata?.name,
  )?.spec;
  if (found?.maxReplicas === undefined) return undefined;
  const by = (found.metrics ?? []).map((metric) => metric.resource?.name ?? metric.type ?? 'a metric').join(', ');
  return { min: found.minReplicas ?? 1, max: found.maxReplicas, by: by === '' ? 'cpu' : by };
}

function environmentOf(container: PodContainer, configMaps: NamespaceObjects['configMaps']): Container['environment'] {
  const environment: { [name: string]: string | undefined } = {};
  for (const { configMapRef } of container.envFrom ?? []) Object.assign(environment, configMaps[configMapRef?.name ?? ''] ?? {});
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (name === undefined) continue;
    const { name: map = '', key = '' } = valueFrom?.configMapKeyRef ?? {};
    environment[name] = valueFrom === undefined ? (value ?? '') : configMaps[map]?.[key];
  }
  return environment;
}

/** Requests are what is paid for; limits only where nothing is requested. */
function resourcesOf({ resources }: PodContainer): Container['resources'] {
  const quantity = (resource: string) => resources?.requests?.[resource] ?? resources?.limits?.[resource];
  const vcpu = quantityOf(quantity('cpu'));
  const memoryBytes = quantityOf(quantity('memory'));
  if (vcpu === undefined && memoryBytes === undefined) return undefined;
  return {
    ...(vcpu === undefined || vcpu <= 0 ? {} : { vcpu }),
    ...(memoryBytes === undefined || memoryBytes <= 0 ? {} : { memoryMb: Math.max(1, Math.round(memoryBytes / 1024 ** 2)) }),
  };
}

const suffixes: { readonly [suffix: string]: number } = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
  Pi: 1024 ** 5,
  Ei: 1024 ** 6,
};

/** A Kubernetes quantity (apimachinery `resource.Quantity`) in base units; undefined when it is none. */
export function quantityOf(text: string | undefined): number | undefined {
  const [, number, suffix = ''] = /^([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)([numkMGTPE]|[KMGTPE]i)?$/.exec(text ?? '') ?? [];
  const factor = suffixes[suffix];
  return number === undefined || factor === undefined ? undefined : Number(number) * factor;
}
