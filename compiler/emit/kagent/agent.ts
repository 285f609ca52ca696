import { fail, type PlannedUnit, type Workflow } from '../../contracts/index.ts';
import type { KubernetesObject } from '../kubernetes/input.ts';

type Fields = { readonly [field: string]: unknown };

/** What of a workload (`apps/v1`) an Agent is made of. */
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
  };
}

interface PodSpec extends Fields {
  readonly serviceAccountName: string;
  readonly imagePullSecrets?: readonly object[];
  readonly securityContext?: object;
  readonly affinity?: object;
  readonly topologySpreadConstraints?: readonly { readonly topologyKey: string }[];
  readonly nodeSelector?: object;
  readonly tolerations?: readonly object[];
  readonly containers: readonly Container[];
  readonly volumes?: readonly object[];
}

interface Container extends Fields {
  readonly image: string;
  readonly imagePullPolicy?: string;
  readonly command?: readonly string[];
  readonly env?: readonly object[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly resources?: object;
  readonly securityContext?: object;
  readonly volumeMounts?: readonly object[];
}

/**
 * The Agent’s own name: its controller makes a Deployment, a Service and a Secret of that name, and the unit’s objects have
 * theirs without the ending.
 */
export const agentName = (unitName: string): string => `${unitName}-agent`;

/** Set by the controller’s own selector and ownership; what we say there would break or hide them. */
const controllersLabels = new Set(['app', 'kagent', 'app.kubernetes.io/managed-by']);

/**
 * A unit as an Agent of type BYO (`kagent.dev/v1alpha2`): the workload of format kubernetes in kagent’s words. What those
 * have no word for is named in the README (see `lostWords`).
 */
export function agentOf(workload: Workload, unit: PlannedUnit, workflow: Workflow): KubernetesObject {
  const { template, replicas, selector } = workload.spec;
  const pod = template.spec;
  const [container] = pod.containers;
  if (container === undefined) return fail('DMAS_EXPORT', `unit "${unit.id}" has no container`);
  const [command, ...args] = container.command ?? [];
  const { labels, name: _, ...metadata } = workload.metadata;
  return {
    apiVersion: 'kagent.dev/v1alpha2',
    kind: 'Agent',
    metadata: { ...metadata, name: agentName(workload.metadata.name), labels },
    spec: {
      type: 'BYO',
      description: descriptionOf(unit, workflow),
      byo: {
        deployment: present({
          image: container.image,
          imagePullPolicy: container.imagePullPolicy,
          cmd: command,
          args: args.length === 0 ? undefined : args,
          // Left out where a HorizontalPodAutoscaler says it: the controller leaves a number alone that is not its own.
          replicas,
          labels: Object.fromEntries(Object.entries(template.metadata.labels).filter(([label]) => !controllersLabels.has(label))),
          annotations: template.metadata.annotations,
          env: container.env,
          resources: container.resources,
          volumes: pod.volumes,
          volumeMounts: container.volumeMounts,
          imagePullSecrets: pod.imagePullSecrets,
          nodeSelector: pod.nodeSelector,
          tolerations: pod.tolerations,
          affinity: affinityOf(pod, selector.matchLabels),
          securityContext: container.securityContext,
          podSecurityContext: pod.securityContext,
          serviceAccountName: pod.serviceAccountName,
        }),
      },
    },
  };
}

const present = (fields: Fields): Fields => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** kagent knows no spread of pods over nodes and zones; pods that would rather be apart say nearly the same. */
function affinityOf(
  { affinity, topologySpreadConstraints = [] }: Pick<PodSpec, 'affinity' | 'topologySpreadConstraints'>,
  matchLabels: object,
): object | undefined {
  if (topologySpreadConstraints.length === 0) return affinity;
  const apart = topologySpreadConstraints.map(({ topologyKey }) => ({
    weight: 100,
    podAffinityTerm: { topologyKey, labelSelector: { matchLabels } },
  }));
  return { ...affinity, podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: apart } };
}

/** What a unit is for, as people read it in kagent: the agent whose card it shows, and who else is inside. */
function descriptionOf(unit: PlannedUnit, { agents, entry }: Workflow): string {
  const isEntry = (name: string) => entry.kind === 'agent' && entry.agent === name;
  const own = agents.filter(({ name }) => unit.agents.includes(name));
  const [first, ...others] = [...own.filter(({ name }) => isEntry(name)), ...own.filter(({ name }) => !isEntry(name))];
  const text = first?.description || first?.name || unit.id;
  return others.length === 0 ? text : `${text} (with ${others.map(({ name }) => name).join(', ')})`;
}

/** Ports of a container by name: a Service before pods of the controller’s own cannot use names, which it does not give. */
export function numberedPorts({ spec }: Workload): ReadonlyMap<string, number> {
  const ports = spec.template.spec.containers.flatMap(({ ports = [] }) => ports);
  return new Map(ports.map(({ name, containerPort }) => [name, containerPort]));
}

/** Fields of a pod that an Agent has no word for, of those its workload has; see kagent’s `SharedDeploymentSpec`. */
export function lostWords({ kind, spec }: Workload): readonly string[] {
  const pod = spec.template.spec;
  const [container = {}] = pod.containers;
  return [
    ...(kind === 'StatefulSet' ? ['names of pods that outlive them (it runs a Deployment)'] : []),
    ...('livenessProbe' in container ? ['liveness and startup probes; readiness is the agent’s card'] : []),
    ...('lifecycle' in container ? ['the pause before a pod that leaves is stopped'] : []),
    ...('terminationGracePeriodSeconds' in pod ? ['the time a pod gets to end (30 s)'] : []),
    ...('topologySpreadConstraints' in pod ? ['even spread over nodes and zones (pods rather stay apart)'] : []),
    ...('automountServiceAccountToken' in pod
      ? ['pods without a token: the ServiceAccount says it, and kagent mounts one for itself']
      : []),
  ];
}
