import { controlPort } from '../standing.ts';
import type { Context, PodGroup } from './context.ts';
import type { GpuNodes } from './input.ts';
import { digestOf } from './names.ts';

const hostname = 'kubernetes.io/hostname';
const zone = 'topology.kubernetes.io/zone';
const groupLabel = 'dmas-opt/node-group';
export const gpuResource = ({ input }: Context): string => input.gpus?.resource ?? 'nvidia.com/gpu';

/** Nodes with GPUs are usually tainted with the name of the resource, so that nothing else takes their CPUs. */
const tolerationsOf = (context: Context, gpus: GpuNodes | undefined) =>
  gpus?.tolerations ?? [{ key: gpuResource(context), operator: 'Exists', effect: 'NoSchedule' }];

/** Members that must stay on one node share this label, and each asks for a node with a pod that has it: the first finds itself. */
export function nodeGroupLabels({ input }: Context, { members }: PodGroup): { readonly [label: string]: string } {
  const group = input.placement?.nodes?.find((ids) => members.some(({ id }) => ids.includes(id)));
  return group === undefined ? {} : { [groupLabel]: digestOf([...group].sort().join('\n')) };
}

/** On which nodes a pod may and should run. */
export function schedulingOf(context: Context, pod: PodGroup): object {
  const { input } = context;
  const group = nodeGroupLabels(context, pod);
  const together = Object.keys(group).length > 0;
  const matchLabels = { 'app.kubernetes.io/instance': context.prefix, ...group };
  const affinity = {
    podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: hostname, labelSelector: { matchLabels } }] },
  };
  const needsGpu = pod.members.some(({ program }) => (program?.gpus ?? 0) > 0);
  return {
    ...(together ? { affinity } : {}),
    ...(pod.replicas > 1 && !together ? { topologySpreadConstraints: [spread(pod, hostname), spread(pod, zone)] } : {}),
    ...(needsGpu && input.gpus?.nodeSelector !== undefined ? { nodeSelector: input.gpus.nodeSelector } : {}),
    ...(needsGpu ? { tolerations: tolerationsOf(context, input.gpus) } : {}),
  };
}

/** Even over nodes and zones where there are several, without a pod that waits for one. Old and new pods of a rollout count apart. */
const spread = ({ selector, sticky }: PodGroup, topologyKey: string) => ({
  maxSkew: 1,
  topologyKey,
  whenUnsatisfiable: 'ScheduleAnyway',
  labelSelector: { matchLabels: selector },
  matchLabelKeys: [sticky ? 'controller-revision-hash' : 'pod-template-hash'],
});

/** Istio and Linkerd read these; control ports stay out of the mesh, since the kubelet has no certificate. */
export function meshAnnotations({ input }: Context, { members }: PodGroup): { readonly [annotation: string]: string } {
  const ports = members.map((member) => member.controlPort ?? controlPort).join(',');
  if (input.mesh === 'istio') {
    return {
      'sidecar.istio.io/inject': 'true',
      'traffic.sidecar.istio.io/excludeInboundPorts': ports,
      'proxy.istio.io/config': '{"holdApplicationUntilProxyStarts":true}',
    };
  }
  return input.mesh === 'linkerd' ? { 'linkerd.io/inject': 'enabled', 'config.linkerd.io/skip-inbound-ports': ports } : {};
}
