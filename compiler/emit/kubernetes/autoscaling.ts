import { type Context, componentOf, type PodGroup } from './context.ts';
import type { KubernetesObject } from './input.ts';

/**
 * A HorizontalPodAutoscaler does nothing until it is this much above its target (`--horizontal-pod-autoscaler-tolerance`, 0.1), so
 * the target stays as far below what was measured.
 */
const tolerance = 0.1;
/** Below this a share of CPU says more of garbage collection than of load: the unit waits for others, e.g. for a model. */
const leastUtilization = 15;
/** How far a pod may grow over what was measured, where nobody says. */
export const growth = 2;

/** Why replicas of a pod stay as many as they are, or null. */
export function fixedReplicas(context: Context, pod: PodGroup): string | null {
  const { input } = context;
  const [member, ...mates] = pod.members;
  if (member === undefined || mates.length > 0) return 'its containers scale together or not at all';
  const { planned } = member;
  if (pod.sticky) return 'a session belongs to one replica, and another number of replicas would move sessions';
  if ('kind' in planned && ['limiter', 'state', 'tape', 'egress'].includes(planned.kind)) return `there is one ${planned.kind} for all`;
  if ('kind' in planned && ['model', 'router'].includes(planned.kind)) return 'the size of a pool is part of the layout';
  if ('routes' in planned && planned.routes.some(({ limits }) => limits !== undefined))
    return 'each replica holds its share of what an external agent allows, which more replicas would exceed';
  if (member.program !== null && (member.program.gpus ?? 0) > 0) return 'its load is not in its share of CPU';
  if (input.facts?.capacityPerReplica[member.id] === undefined) return 'what one replica can take was not measured';
  return null;
}

interface Scaling {
  readonly requestsPerSecond: number;
  readonly cpuUtilization: number;
  readonly minReplicas: number;
  readonly maxReplicas: number;
}

/** The bounds and targets by which a pod scales, or null when it does not. */
export function scalingOf(context: Context, pod: PodGroup): Scaling | null {
  const { autoscaling = { by: 'cpu' }, facts } = context.input;
  const [member] = pod.members;
  const capacity = member === undefined ? undefined : facts?.capacityPerReplica[member.id];
  if (autoscaling.by === 'none' || member === undefined || capacity === undefined || fixedReplicas(context, pod) !== null) return null;
  const share = 1 / (1 + tolerance);
  const cpuUtilization = Math.floor((100 * share * capacity.requestsPerSecond * capacity.cpuSecondsPerRequest) / member.resources.vcpu);
  if (autoscaling.by === 'cpu' && (!Number.isFinite(cpuUtilization) || cpuUtilization < leastUtilization)) return null;
  return {
    requestsPerSecond: capacity.requestsPerSecond * share,
    // A replica that may use one core at most is full there.
    cpuUtilization: Math.min(100, cpuUtilization),
    minReplicas: pod.replicas,
    maxReplicas: Math.max(pod.replicas, autoscaling.maxReplicas ?? growth * pod.replicas),
  };
}

/** A HorizontalPodAutoscaler on CPU, or KEDA's ScaledObject on the rate of requests; null for what keeps its replicas. */
export function autoscaler(context: Context, pod: PodGroup): KubernetesObject | null {
  const scaling = scalingOf(context, pod);
  if (scaling === null) return null;
  const { autoscaling } = context.input;
  const metadata = context.metadata(pod.name, componentOf(pod.name, context.prefix));
  const { minReplicas, maxReplicas } = scaling;
  if (autoscaling?.by === 'keda') {
    const query = autoscaling.query.replaceAll('{member}', pod.members[0]?.id ?? '');
    const threshold = scaling.requestsPerSecond.toPrecision(3);
    return {
      apiVersion: 'keda.sh/v1alpha1',
      kind: 'ScaledObject',
      metadata,
      spec: {
        scaleTargetRef: { name: pod.name },
        minReplicaCount: minReplicas,
        maxReplicaCount: maxReplicas,
        triggers: [{ type: 'prometheus', metadata: { serverAddress: autoscaling.prometheus, query, threshold } }],
      },
    };
  }
  const target = { type: 'Utilization', averageUtilization: scaling.cpuUtilization };
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata,
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: pod.name },
      minReplicas,
      maxReplicas,
      metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }],
    },
  };
}

/**
 * One replica at a time may be moved away. None for a single replica: a budget that never lets it go would block every
 * drain of its node.
 */
export function disruptionBudget(context: Context, pod: PodGroup): KubernetesObject | null {
  if (pod.replicas < 2) return null;
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: context.metadata(pod.name, componentOf(pod.name, context.prefix)),
    spec: { maxUnavailable: 1, selector: { matchLabels: pod.selector }, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
  };
}
