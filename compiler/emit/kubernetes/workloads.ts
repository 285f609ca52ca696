import { fail } from '../../contracts/index.ts';
import { commandLine } from '../../plan/program-environment.ts';
import type { StandingMember } from '../standing.ts';
import { scalingOf } from './autoscaling.ts';
import { type Context, componentOf, defaults, type PodGroup } from './context.ts';
import { environmentOf } from './environment.ts';
import type { KubernetesObject } from './input.ts';
import { namedPorts } from './ports.ts';
import { controlPortName, probesOf, startBudgetSeconds } from './probes.ts';
import { gpuResource, meshAnnotations, nodeGroupLabels, schedulingOf } from './scheduling.ts';
import { containerSecurity, podSecurity } from './security.ts';
import { mountsOf, volumesOf } from './volumes.ts';

/** Callers look names up each second (`runtime/names.ts`), and cluster DNS keeps an answer for up to five (CoreDNS `kubernetes` ttl). */
const forgetSeconds = 6;
/** From the end of draining until the process is gone (`runtime/process-life.ts` gives it two seconds). */
const endSeconds = 4;
/** What Kubernetes waits for a rollout before it calls it stuck, when nobody says otherwise. */
const usualProgressSeconds = 600;

/**
 * One workload for each pod. A Deployment, or a StatefulSet where callers keep a session with one replica: its pods keep
 * their names over restarts, so the choice stays. One that keeps state in memory for all others is a StatefulSet too: there
 * are never two of it at once.
 */
export function workload(context: Context, pod: PodGroup): KubernetesObject {
  const component = componentOf(pod.name, context.prefix);
  const metadata = context.metadata(pod.name, component);
  const scaled = scalingOf(context, pod) !== null;
  const common = {
    // Whoever scales says how many; a number here would undo it at every apply.
    ...(scaled ? {} : { replicas: pod.replicas }),
    selector: { matchLabels: pod.selector },
    template: podTemplate(context, pod, component),
  };
  if (isStateful(pod)) {
    const spec = { serviceName: context.peersOf(pod.members[0]?.id ?? ''), podManagementPolicy: 'Parallel', ...common };
    return { apiVersion: 'apps/v1', kind: 'StatefulSet', metadata, spec };
  }
  const progressDeadlineSeconds = Math.max(
    usualProgressSeconds,
    2 * Math.max(...pod.members.map((member) => startBudgetSeconds(context, member))),
  );
  const spec = { strategy: strategyOf(pod), progressDeadlineSeconds, ...common };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata, spec };
}

export const isStateful = (pod: PodGroup): boolean =>
  pod.sticky || pod.members.some(({ planned }) => 'kind' in planned && planned.kind === 'state');

function strategyOf({ members }: PodGroup): object {
  // Two limiters at once would let twice as much through.
  if (members.some(({ planned }) => 'kind' in planned && planned.kind === 'limiter')) return { type: 'Recreate' };
  // There is seldom a GPU to spare for one more.
  const scarce = members.some(({ program }) => (program?.gpus ?? 0) > 0);
  return { type: 'RollingUpdate', rollingUpdate: scarce ? { maxSurge: 0, maxUnavailable: 1 } : { maxSurge: 1, maxUnavailable: 0 } };
}

function podTemplate(context: Context, pod: PodGroup, component: string): object {
  const { input, metadata, nameOf } = context;
  const { labels, annotations } = metadata('', component, { labels: { ...pod.selector, ...nodeGroupLabels(context, pod) } });
  const notes = { ...annotations, ...input.podAnnotations, ...meshAnnotations(context, pod) };
  const drainSeconds = Math.ceil((input.drainMs ?? defaults.drainMs) / 1_000);
  return {
    metadata: { labels, ...(Object.keys(notes).length === 0 ? {} : { annotations: notes }) },
    spec: {
      serviceAccountName: input.serviceAccount ?? nameOf(pod.members[0]?.id ?? ''),
      automountServiceAccountToken: false,
      // Every Service of the namespace as variables: nobody reads them, and they tell what else is there.
      enableServiceLinks: false,
      terminationGracePeriodSeconds: forgetSeconds + drainSeconds + endSeconds,
      ...(input.pullSecrets === undefined || input.pullSecrets.length === 0
        ? {}
        : { imagePullSecrets: input.pullSecrets.map((name) => ({ name })) }),
      securityContext: podSecurity(context, pod),
      ...schedulingOf(context, pod),
      containers: pod.members.map((member) => container(context, member)),
      volumes: volumesOf(context, pod),
    },
  };
}

function container(context: Context, member: StandingMember): object {
  const { program } = member;
  const ports = [
    ...(program === null ? [{ name: controlPortName(member), containerPort: member.controlPort }] : []),
    ...namedPorts(member).map(({ name, port }) => ({ name, containerPort: port })),
  ];
  return {
    name: componentOf(context.nameOf(member.id), context.prefix),
    image: imageOf(context, member),
    ...(context.input.imagePullPolicy === undefined ? {} : { imagePullPolicy: context.input.imagePullPolicy }),
    ...commandOf(context, member),
    env: environmentOf(context, member),
    ports,
    resources: resourcesOf(context, member),
    ...probesOf(context, member),
    // A pod is asked to end at the moment it leaves the Services; callers learn that a little later.
    lifecycle: { preStop: { sleep: { seconds: forgetSeconds } } },
    securityContext: containerSecurity(member),
    volumeMounts: mountsOf(context, member).map(({ volume, at, readOnly }) => ({
      name: volume.name,
      mountPath: at,
      ...(readOnly === true ? { readOnly } : {}),
    })),
  };
}

export function imageOf({ input }: Context, { id, program, component }: StandingMember): string {
  const image = input.images[id] ?? program?.image ?? (program === null ? input.images['*'] : undefined);
  if (image !== undefined && image !== '') return image;
  return fail('DMAS_EXPORT', `"${component}" is started by a command, and a pod starts images.`, {
    fix: `Name an image of it: agents.${component}.image, or --image ${id}=<image>.`,
  });
}

/** Where the program of a member lies in an image of ours: named after its content, so equal bundles are one file. */
export const programPath = ({ sha256 }: { readonly sha256: string }): string => `/app/${sha256.slice(0, 16)}.mjs`;

export function commandOf({ input }: Context, { id, program, bundle, ports }: StandingMember): object {
  const given = input.commands?.[id];
  if (given !== undefined) return { command: given };
  if (program === null) return { command: ['node', bundle === null ? '' : programPath(bundle)] };
  return program.command === undefined ? {} : { command: commandLine(program.command, ports[0]?.port ?? 0) };
}

/**
 * Limits are what the layout was measured with. Requests are the same, so pods are of the class Guaranteed and none is measured
 * on CPU time that another one will claim.
 */
export function resourcesOf(context: Context, { resources, program }: StandingMember): object {
  const amounts = {
    ...(resources.vcpu > 0 ? { cpu: cpuQuantity(resources.vcpu) } : {}),
    ...(resources.memoryMb > 0 ? { memory: `${Math.ceil(resources.memoryMb)}Mi` } : {}),
    ...((program?.gpus ?? 0) > 0 ? { [gpuResource(context)]: String(program?.gpus) } : {}),
  };
  return { requests: amounts, limits: amounts };
}

export const cpuQuantity = (vcpu: number): string => (Number.isInteger(vcpu) ? String(vcpu) : `${Math.ceil(vcpu * 1_000)}m`);
