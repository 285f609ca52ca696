import type { EmitInput } from '../../emitter.ts';
import { claimLines, noteLines, rightsTable } from '../../readme-parts.ts';
import { autoscaler, fixedReplicas } from '../autoscaling.ts';
import type { Context } from '../context.ts';
import type { KubernetesObject } from '../input.ts';
import { publicPort } from '../services.ts';
import { type ManifestSettings, namespaceOf } from '../settings.ts';
import { isStateful, programPath } from '../workloads.ts';
import { secretSteps, shell } from './parts.ts';

/** How to apply, verify and roll back the manifests, and what they leave open. */
export function manifestsReadme(
  input: EmitInput,
  settings: ManifestSettings,
  context: Context,
  objects: readonly KubernetesObject[],
): string {
  const { plan, facts, access } = input;
  const namespace = namespaceOf(input, settings);
  const kubectl = `kubectl -n ${namespace}`;
  const image = context.input.images['*'] ?? '';
  const lines = [
    `# ${plan.application} on Kubernetes`,
    '',
    `${facts.origin}. Configuration ${plan.configurationId}. Written for Kubernetes 1.30 or newer; nothing here needs dmas-opt.`,
    ...noteLines(facts),
    '',
    '| Path | What |',
    '|---|---|',
    '| `base/` | manifests, one file for each unit and service |',
    '| `overlays/production/` | namespace and image; your patches |',
    '| `chart/` | the same as a Helm chart: replicas, images, resources and host are values |',
    '| `image/` | build context of the one image all units of ours run from |',
    ...(hasSecrets(context) ? ['| `secrets.example.yaml` | names of the Secrets to create; not applied with the rest |'] : []),
    '',
    '## Apply',
    '',
    'Build the image and push it to a registry the cluster reads; then name it in `overlays/production/kustomization.yaml`.',
    '',
    ...shell([`docker build -t ${image} image/`, `docker push ${image}`]),
    '',
    `Create the namespace where there is none. The label makes Kubernetes refuse pods with more rights than these have.`,
    '',
    ...shell([
      `kubectl create namespace ${namespace}`,
      `kubectl label namespace ${namespace} pod-security.kubernetes.io/enforce=${context.input.asImageUser?.length ? 'baseline' : 'restricted'}`,
    ]),
    ...secretSteps(context, kubectl),
    '',
    ...shell(['kubectl apply --server-side --field-manager=dmas-opt -k overlays/production']),
    '',
    'Or with Helm, one release for each namespace:',
    '',
    ...shell([
      `helm upgrade --install ${context.prefix} chart/ -n ${namespace} --create-namespace --set image.repository=${repositoryOf(image)}`,
    ]),
    '',
    '## Verify',
    '',
    ...shell(verifySteps(context, kubectl)),
    '',
    ...claimLines(facts),
    '',
    '## Roll back',
    '',
    'Bindings are ConfigMaps that never change, so pods of an older rollout find theirs:',
    '',
    ...shell(context.pods.map((pod) => `${kubectl} rollout undo ${isStateful(pod) ? 'statefulset' : 'deployment'}/${pod.name}`)),
    '',
    `With Helm: \`helm rollback ${context.prefix} -n ${namespace}\`. To take everything away: \`kubectl delete -k overlays/production\`; volumes and Secrets you created stay.`,
    'ConfigMaps of older rollouts stay too; delete those no pod names any more.',
    '',
    '## Who may do what',
    '',
    ...(settings.networkPolicies
      ? ['NetworkPolicies allow this and deny the rest. They work only where the network plug-in enforces them.', '']
      : ['No NetworkPolicies were asked for: nothing enforces this table.', '']),
    ...rightsTable(access),
    ...remarks(
      objects,
      plan.services.some(({ kind }) => kind === 'egress'),
    ),
    '',
    '## Replicas',
    '',
    ...context.pods.map((pod) => `- ${pod.name}: ${scalingLine(context, pod)}`),
    '',
    '## Programs in the image',
    '',
    ...input.bundles.map((bundle) => `- ${bundle.id}: \`${programPath(bundle)}\``),
    '',
  ];
  return lines.join('\n');
}

const hasSecrets = ({ members }: Context) => members.some(({ secrets }) => secrets.length > 0);

function repositoryOf(image: string): string {
  const at = image.lastIndexOf(':');
  return at > image.lastIndexOf('/') ? image.slice(0, at) : image;
}

function verifySteps(context: Context, kubectl: string): string[] {
  const kinds = new Set(context.pods.map((pod) => (isStateful(pod) ? 'statefulset' : 'deployment')));
  const door = context.members.find(({ publicAddress }) => publicAddress !== null);
  return [
    ...[...kinds].sort().map((kind) => `${kubectl} rollout status ${kind} -l app.kubernetes.io/instance=${context.prefix} --timeout=5m`),
    `${kubectl} get pods -l app.kubernetes.io/instance=${context.prefix}`,
    ...(door === undefined ? [] : [`${kubectl} port-forward service/${context.nameOf(door.id)} 8080:${publicPort}`]),
    "curl -i localhost:8080/ -d '{}'   # in another shell, with an input of yours",
  ];
}

function remarks(objects: readonly KubernetesObject[], proxied: boolean): string[] {
  const named = objects.filter(
    ({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.annotations?.['dmas-opt/outside-hosts'] !== undefined,
  );
  if (named.length === 0) return [];
  if (proxied)
    return [
      '',
      'NetworkPolicies know addresses, not host names. So one pod alone reaches public addresses, on the ports of the hosts below: `egress`, a proxy with a port per caller that holds each to the names it declares. Its log has every refusal once.',
      '',
      ...named.map(({ metadata }) => `- ${metadata.name}: ${metadata.annotations?.['dmas-opt/outside-hosts']}`),
    ];
  return [
    '',
    'NetworkPolicies know addresses, not host names. These units reach every public address on the ports of the hosts they need:',
    '',
    ...named.map(({ metadata }) => `- ${metadata.name}: ${metadata.annotations?.['dmas-opt/outside-hosts']}`),
  ];
}

function scalingLine(context: Context, pod: Context['pods'][number]): string {
  const object = autoscaler(context, pod);
  if (object === null) {
    const why = context.input.autoscaling?.by === 'none' ? 'no autoscaling was asked for' : fixedReplicas(context, pod);
    return `${pod.replicas}, fixed: ${why ?? 'it waits for others, so its CPU says little of its load; KEDA can scale it on requests (`--set autoscaling=keda`)'}.`;
  }
  const spec = object.spec as { readonly [field: string]: unknown };
  const [least, most] = [spec.minReplicas ?? spec.minReplicaCount, spec.maxReplicas ?? spec.maxReplicaCount];
  const capacity = context.input.facts?.capacityPerReplica[pod.members[0]?.id ?? ''];
  const basis = `one replica took ${capacity?.requestsPerSecond.toPrecision(3)} requests per second (${capacity?.provenance})`;
  return `${least} to ${most}, by ${object.kind}: ${basis}.`;
}
