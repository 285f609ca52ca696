import type { KubernetesObject } from './cluster.ts';
import { oneLine } from './failures.ts';
import { type Condition, type ContainerStatus, endOf, endText, type Pod } from './pods.ts';

/** Why a pod will not start, if it is known by now. */
export interface Explanation {
  /** A sentence without its subject and without a full stop: `its image … cannot be pulled: …`. */
  readonly why: string;
  readonly fix: string;
  /** Waiting longer does not help. */
  readonly final: boolean;
}

/** Events of an object, as they come from the API. */
export interface KubernetesEvent extends KubernetesObject {
  readonly reason?: string;
  readonly message?: string;
  readonly type?: string;
  readonly lastTimestamp?: string;
  readonly eventTime?: string;
}

/** How often a program that somebody else built may end before it is given up: it may start before its neighbours. */
const foreignRestarts = 3;

/** One sentence on a pod, from what the kubelet and the scheduler say of it. Pure. */
export function explainPod(pod: Pod, events: readonly KubernetesEvent[] = [], foreign = false): Explanation | null {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])];
  for (const status of statuses) {
    const found = explainWaiting(status);
    if (found !== null) return found;
  }
  const end = endOf(pod);
  if (end !== undefined) {
    const restarts = Math.max(0, ...statuses.map(({ restartCount = 0 }) => restartCount));
    return {
      why: endText(end),
      fix: end.reason === 'OOMKilled' ? 'Give the unit more memory: resources.<unit>.memoryMb.' : 'See the last lines of its log.',
      final: !foreign || restarts >= foreignRestarts,
    };
  }
  if (pod.status?.reason === 'Evicted')
    return { why: `was evicted: ${oneLine(pod.status.message ?? '')}`, fix: 'Free room on the nodes, or lower resources.', final: false };
  if (pod.status?.phase === 'Failed' && pod.status.reason !== undefined) return explainRefusal(pod.status.reason, pod.status.message ?? '');
  return explainScheduling(pod.status?.conditions ?? []) ?? explainEvents(events);
}

/** A node may refuse what the scheduler gave it. What it has no room for may fit elsewhere; what it cannot do, it cannot do later. */
function explainRefusal(reason: string, message: string): Explanation {
  const says = message === '' ? '' : `: ${oneLine(message)}`;
  const able = !/^(AppArmor|SysctlForbidden|PodOSNotSupported|PodOSSelectorNodeLabelDoesNotMatch)$/.test(reason);
  return {
    why: `its node refuses it (${reason})${says}`,
    fix: reason === 'AppArmor' ? 'Set target.appArmor to false.' : 'See the message; other nodes may take it.',
    final: !able,
  };
}

function explainWaiting({ image = 'its image', state }: ContainerStatus): Explanation | null {
  const { reason = '', message = '' } = state?.waiting ?? {};
  const says = message === '' ? '' : `: ${oneLine(message)}`;
  switch (reason) {
    case 'ImagePullBackOff':
    case 'ErrImageNeverPull':
    case 'InvalidImageName':
      return {
        why: `its image ${image} cannot be pulled${says}`,
        fix: 'Check target.image and that the nodes may pull it: target.pullSecrets names the Secrets of the registry.',
        final: true,
      };
    case 'ErrImagePull':
      return { why: `its image ${image} cannot be pulled${says}`, fix: 'Check target.image and target.pullSecrets.', final: false };
    case 'CreateContainerConfigError':
    case 'CreateContainerError':
    case 'RunContainerError':
      return {
        why: `its container cannot be made (${reason})${says}`,
        fix: 'See the message; target options decide how pods are made.',
        final: true,
      };
    default:
      return null;
  }
}

/** The scheduler says why each node would not do; the commonest reason is said in words. */
function explainScheduling(conditions: readonly Condition[]): Explanation | null {
  const unscheduled = conditions.find(
    ({ type, status, reason }) => type === 'PodScheduled' && status === 'False' && reason === 'Unschedulable',
  );
  if (unscheduled === undefined) return null;
  const said = oneLine(unscheduled.message ?? '');
  const gpu = /Insufficient (\S*gpu\S*)/i.exec(said)?.[1];
  const [why, fix] =
    gpu !== undefined
      ? [`no node has a free ${gpu}`, 'Free GPUs, or lower the engine replicas or GPUs per replica.']
      : /Insufficient/i.test(said)
        ? ['no node has room for it', 'Lower resources or replicas, or add nodes.']
        : /taint/i.test(said)
          ? ['every node has a taint it does not tolerate', 'Name tolerations under target.gpus, or use other nodes.']
          : /node affinity|node selector/i.test(said)
            ? ['no node has the labels it asks for', 'Check target.gpus.nodeSelector.']
            : ['no node takes it', 'See the message of the scheduler.'];
  // An autoscaler may still add a node.
  return { why: said === '' ? why : `${why} (${said})`, fix, final: false };
}

const telling: ReadonlySet<string> = new Set([
  'FailedMount',
  'FailedCreatePodSandBox',
  'FailedScheduling',
  'FailedAttachVolume',
  'Failed',
  'Unhealthy',
]);

function explainEvents(events: readonly KubernetesEvent[]): Explanation | null {
  const warnings = events.filter(({ type, reason = '' }) => type === 'Warning' && telling.has(reason));
  const last = warnings.sort((a, b) => timeOf(a).localeCompare(timeOf(b))).at(-1);
  if (last?.message === undefined) return null;
  return { why: `${last.reason}: ${oneLine(last.message)}`, fix: 'See kubectl describe pod.', final: false };
}

const timeOf = ({ lastTimestamp, eventTime, metadata }: KubernetesEvent): string =>
  lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? '';

/** Why a Deployment or Job makes no pod at all: quota, policy or a missing account. */
export function explainNoPod(conditions: readonly Condition[], events: readonly KubernetesEvent[]): Explanation | null {
  const failed = conditions.find(({ type, status }) => type === 'ReplicaFailure' && status === 'True');
  const said = oneLine(failed?.message ?? events.filter(({ reason }) => reason === 'FailedCreate').at(-1)?.message ?? '');
  if (said === '') return null;
  if (/exceeded quota/i.test(said))
    return {
      why: `the quota of the namespace has no room: ${said}`,
      fix: 'Lower replicas or resources, or have the quota raised.',
      final: true,
    };
  if (/PodSecurity/i.test(said))
    return { why: `the pod security policy of the namespace refuses it: ${said}`, fix: 'Use an image and options it allows.', final: true };
  if (/LimitRange|maximum|minimum .* usage/i.test(said))
    return { why: `the limit range of the namespace refuses it: ${said}`, fix: 'Keep resources within the limit range.', final: true };
  if (/admission|denied/i.test(said))
    return { why: `a policy of the cluster refuses it: ${said}`, fix: 'Keep to the policy named.', final: true };
  return { why: `no pod is made: ${said}`, fix: 'See the message.', final: false };
}
