import { z } from 'zod';
import { fail } from '../../contracts/index.ts';
import type { EmitInput } from '../emitter.ts';
import type { Autoscaling, KubernetesInput, Placement } from './input.ts';
import { digestOf, slug } from './names.ts';

/** What both formats for Kubernetes may be told; lists are separated by commas, as on a command line. */
export const commonOptions = {
  image: z
    .string()
    .default('')
    .describe(
      'The image built from `image/`, with its registry and tag. Empty: the name of the application and a digest of its code, to be replaced.',
    ),
  nodeImage: z.string().min(1).default('node:20-bookworm-slim').describe('Image with Node.js 20 or newer that the image is built on.'),
  namespace: z.string().default('').describe('Namespace of the overlay. Empty: the name of the application.'),
  labels: z.string().default('').describe('Labels on every object: `team=search,cost-center=42`.'),
  annotations: z.string().default('').describe('Annotations on every object, written like labels.'),
  podAnnotations: z.string().default('').describe('Annotations on every pod, written like labels.'),
  pullSecrets: z.string().default('').describe('Names of Secrets with registry credentials.'),
  serviceAccount: z.string().default('').describe('An account that exists. Empty: one per unit, without any right.'),
  otlp: z.string().default('').describe('Base URLs of OTLP/HTTP receivers as pods reach them. Empty: no spans are sent.'),
  samplingRatio: z.number().min(0).max(1).default(0.1).describe('Share of requests traced.'),
  drainMs: z.int().min(0).default(30_000).describe('How long a replica that ends waits for what is under way, in milliseconds.'),
  networkPolicies: z.boolean().default(true).describe('Deny everything but what the layout needs.'),
};

export const manifestOptions = z.strictObject({
  ...commonOptions,
  autoscaling: z
    .enum(['cpu', 'keda', 'none'])
    .default('cpu')
    .describe('What scales units whose capacity was measured: HorizontalPodAutoscalers on CPU, KEDA on the rate of requests, or nothing.'),
  maxReplicas: z.int().min(0).default(0).describe('Most replicas of a unit. 0: twice those of the layout.'),
  prometheus: z.string().default('http://prometheus-operated.monitoring:9090').describe('Address of Prometheus for KEDA.'),
  query: z
    .string()
    .default('sum(rate(traces_span_metrics_calls_total{dmas_unit="{member}",span_kind="SPAN_KIND_SERVER"}[2m]))')
    .describe(
      'What KEDA asks for the requests per second of a unit, with {member}: by default as the spanmetrics connector of the OpenTelemetry Collector counts.',
    ),
  pods: z.string().default('').describe('Units that share pods as containers: `planner,writer;a,b`.'),
  nodes: z.string().default('').describe('Units whose pods share a node, written like pods.'),
  host: z.string().default('').describe('Host name under which users reach the application. Empty: inside the cluster alone.'),
  ingressClass: z.string().default('').describe('Class of the Ingress.'),
  tlsSecret: z.string().default('').describe('Secret with the certificate of the host.'),
  mesh: z.enum(['none', 'istio', 'linkerd']).default('none').describe('Mesh whose sidecars the pods get.'),
  appArmor: z
    .boolean()
    .default(false)
    .describe(
      'Demand the AppArmor profile RuntimeDefault: nodes without AppArmor then take no pod. Without it runtimes apply it where they can.',
    ),
  asImageUser: z.string().default('').describe('Units built by others whose images choose their own user, even root.'),
  gpuNodes: z.string().default('').describe('Labels of nodes with GPUs, written like labels.'),
  storageClass: z.string().default('').describe('Storage class of volumes. Empty: the default of the cluster.'),
});
export type ManifestSettings = z.infer<typeof manifestOptions>;
type CommonSettings = z.infer<z.ZodObject<typeof commonOptions>>;

const list = (text: string, separator = ','): string[] =>
  text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== '');

function pairs(option: string, text: string): { readonly [name: string]: string } {
  return Object.fromEntries(
    list(text).map((part) => {
      const at = part.indexOf('=');
      if (at < 1) fail('DMAS_EXPORT', `${option}: "${part}" is no name=value.`, { fix: `Write ${option}=team=search,stage=test.` });
      return [part.slice(0, at), part.slice(at + 1)];
    }),
  );
}

const groups = (text: string): string[][] => list(text, ';').map((group) => list(group));

/** What every format here says of a layout. */
export function commonInput({ plan, bundles, access, facts }: EmitInput, settings: CommonSettings): KubernetesInput {
  return {
    plan,
    bundles,
    access,
    facts,
    name: plan.application,
    images: { '*': imageName(plan.application, bundles, settings) },
    labels: pairs('labels', settings.labels),
    annotations: pairs('annotations', settings.annotations),
    podAnnotations: pairs('podAnnotations', settings.podAnnotations),
    pullSecrets: list(settings.pullSecrets),
    ...(settings.serviceAccount === '' ? {} : { serviceAccount: settings.serviceAccount }),
    otlpEndpoints: list(settings.otlp),
    samplingRatio: settings.samplingRatio,
    drainMs: settings.drainMs,
    networkPolicies: settings.networkPolicies,
  };
}

/** Another code, another name: an old image stays what it was. */
function imageName(application: string, bundles: EmitInput['bundles'], { image, nodeImage }: CommonSettings): string {
  if (image !== '') return image;
  return `${slug(application)}:${digestOf([nodeImage, ...bundles.map(({ sha256 }) => sha256).sort()].join('\n'), 12)}`;
}

export const namespaceOf = ({ plan }: Pick<EmitInput, 'plan'>, { namespace }: CommonSettings): string =>
  namespace === '' ? slug(plan.application) : namespace;

export function manifestInput(input: EmitInput, settings: ManifestSettings): KubernetesInput {
  const placement: Placement = { pods: groups(settings.pods), nodes: groups(settings.nodes) };
  const volume = settings.storageClass === '' ? {} : { storageClass: settings.storageClass };
  return {
    ...commonInput(input, settings),
    autoscaling: autoscalingOf(settings),
    placement,
    ...(settings.host === '' ? {} : { publish: publishOf(settings) }),
    ...(settings.mesh === 'none' ? {} : { mesh: settings.mesh }),
    appArmor: settings.appArmor,
    asImageUser: list(settings.asImageUser),
    gpus: { ...(settings.gpuNodes === '' ? {} : { nodeSelector: pairs('gpuNodes', settings.gpuNodes) }) },
    stateVolume: { sizeGi: 1, ...volume },
    cacheVolume: { sizeGi: 100, ...volume },
  };
}

function autoscalingOf({ autoscaling, maxReplicas, prometheus, query }: ManifestSettings): Autoscaling {
  const most = maxReplicas === 0 ? {} : { maxReplicas };
  if (autoscaling === 'keda') return { by: 'keda', prometheus, query, ...most };
  return autoscaling === 'none' ? { by: 'none' } : { by: 'cpu', ...most };
}

const publishOf = ({ host, ingressClass, tlsSecret }: ManifestSettings) => ({
  host,
  ...(ingressClass === '' ? {} : { className: ingressClass }),
  ...(tlsSecret === '' ? {} : { tlsSecret }),
});

export const serverlessOptions = z.strictObject({
  ...commonOptions,
  minScale: z.int().min(0).default(0).describe('Replicas of the entry that always run. 0: none while nobody asks.'),
  maxScale: z.int().min(0).default(0).describe('Most replicas of the entry. 0: twice those of the layout.'),
  idleSeconds: z
    .int()
    .min(6)
    .max(3600)
    .default(60)
    .describe('How long nobody must have asked before replicas are taken away (stable window).'),
});
export type ServerlessSettings = z.infer<typeof serverlessOptions>;
