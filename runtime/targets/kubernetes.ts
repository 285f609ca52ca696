import { z } from 'zod';
import { defineTarget } from './target.ts';

const words = z.record(z.string(), z.string()).default({});

const options = z.object({
  drainMs: z.int().min(0).default(5_000).describe('How long a replica that is asked to end waits for what is in flight, in milliseconds.'),
  queueLimit: z
    .int()
    .min(1)
    .default(256)
    .describe('Requests that may wait per agent of a replica; beyond it callers are told that it is overloaded.'),
  namespace: z.string().default('').describe('An existing namespace. Empty: the one of the context, else default.'),
  context: z.string().default('').describe('A context of the kubeconfig. Empty: the current one.'),
  kubeconfig: z
    .string()
    .default('')
    .describe('Path of a kubeconfig. Empty: KUBECONFIG, ~/.kube/config, or the service account of this pod.'),
  image: z
    .string()
    .min(1)
    .default('node:22-slim')
    .describe('An image with Node.js that the nodes can pull. Code reaches it through ConfigMaps, so nothing is built or pushed.'),
  images: words.describe('Image of a unit or service by id, in place of image or of the one its program names.'),
  registry: z
    .string()
    .regex(/^$|^(?!.*:\/\/)[a-z0-9][a-z0-9._:/-]*$/, 'Expected a registry and a path such as registry.example/team.')
    .default('')
    .describe(
      'Push the code of each layout as an image on `image` to this registry and path (registry.example/team), built by a Docker engine. Empty: code comes in ConfigMaps.',
    ),
  load: z
    .enum(['none', 'kind', 'k3d', 'minikube'])
    .default('none')
    .describe('Build images as for `registry`, and put them into the nodes of a local cluster with this tool instead.'),
  localCluster: z.string().default('').describe('Name of the local cluster. Empty: the one the context is named after.'),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent').describe('When nodes pull images.'),
  pullSecrets: z.array(z.string()).default([]).describe('Names of Secrets of the namespace with credentials of registries.'),
  serviceAccount: z.string().default('').describe('An account to run all pods as. Empty: one without rights for each unit and service.'),
  namePrefix: z.string().default('dmas').describe('First part of the names of all objects.'),
  labels: words.describe('On every object and pod, where the namespace requires some.'),
  annotations: words.describe('On every object and pod.'),
  podAnnotations: words.describe('On pods alone, e.g. for a mesh.'),
  mesh: z.enum(['none', 'istio', 'linkerd']).default('none').describe('A mesh whose sidecars are in the pods of the namespace.'),
  networkPolicies: z.boolean().default(true).describe('Let pods reach only what their agents need.'),
  appArmor: z
    .boolean()
    .default(false)
    .describe(
      'Demand the AppArmor profile RuntimeDefault: nodes without AppArmor then take no pod. Without it runtimes apply it where they can.',
    ),
  gpus: z
    .object({
      resource: z.string().default('nvidia.com/gpu').describe('Name of the resource that is a GPU.'),
      nodeSelector: words.describe('Labels of nodes with GPUs.'),
      tolerations: z.array(z.record(z.string(), z.unknown())).default([]).describe('Of taints of nodes with GPUs, as in a pod.'),
      limit: z.int().min(0).default(0).describe('Most GPUs that one deployment may ask for. 0: no limit but the quota of the namespace.'),
    })
    .prefault({})
    .describe('Where pods with GPUs run.'),
  cpus: z
    .number()
    .min(0)
    .default(0)
    .describe('Most CPUs that the units and services of one deployment may ask for. 0: no limit but the quota of the namespace.'),
  region: z.string().optional().describe('Where the nodes stand, to be held against `rights.regions`; nothing is moved by it.'),
  startTimeoutMs: z
    .int()
    .min(1)
    .default(300_000)
    .describe('How long finding nodes and pulling images may take before a pod runs, in milliseconds.'),
  // CoreDNS, plug-in kubernetes: ttl is 5 seconds where nothing else is said.
  dnsTtlMs: z
    .int()
    .min(0)
    .default(5_000)
    .describe(
      'How long name servers of the cluster keep an answer, in milliseconds: replaced pods stay so long. Caches on nodes keep it longer.',
    ),
});

export const kubernetesTarget = defineTarget({
  id: 'kubernetes',
  title: 'Pods in a namespace of a Kubernetes cluster',
  options,
  // Limits of a container are control groups; a socket file of one pod is not seen by another.
  traits: { enforces: { vcpu: true, memory: true }, unixSockets: false, programs: 'image', egress: 'proxy' },
  load: async () => {
    const { createKubernetesTarget } = await import('./kubernetes/create.ts');
    return { create: (given) => createKubernetesTarget(options.parse(given)) };
  },
});
