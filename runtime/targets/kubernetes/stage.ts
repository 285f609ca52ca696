import { canonicalJson, fail, type Plan, type ProcessBinding } from '../../../compiler/contracts/index.ts';
import { componentOf } from '../../../compiler/emit/kubernetes/context.ts';
import type { GpuNodes } from '../../../compiler/emit/kubernetes/input.ts';
import { memberNames, prefixOf } from '../../../compiler/emit/kubernetes/names.ts';
import { objectsOf } from '../../../compiler/emit/kubernetes/objects.ts';
import { controlPort, portsOf } from '../../../compiler/emit/standing.ts';
import { accessOf } from '../../../compiler/plan/access.ts';
import { type PlannedMember, plannedMembers } from '../../../compiler/plan/members.ts';
import type { DeployRequest } from '../target.ts';
import type { KubernetesObject } from './cluster.ts';
import { filesAsConfigMaps, loader } from './code.ts';
import { jobRole } from './job.ts';
import { digestOf, labels, labelValue } from './labels.ts';
import type { KubernetesOptions } from './options.ts';
import { type DeploymentRecord, ownership } from './record.ts';
import type { StagedMember } from './staged.ts';
import { tracesRole } from './traces.ts';
import { dressWorkload, isWorkload, type Workload } from './workload.ts';

export interface StageInput extends Pick<DeployRequest, 'plan' | 'bundles'> {
  /** First part of every name. */
  readonly name: string;
  readonly options: KubernetesOptions;
  readonly request: DeployRequest;
  readonly otlpEndpoints: readonly string[];
  readonly reference: DeploymentRecord['reference'];
}

/** What a plan becomes on the cluster. */
export interface Staged {
  readonly members: readonly StagedMember[];
  /** Of no member: rules for all pods, volumes they share. Applied first. */
  readonly common: readonly KubernetesObject[];
}

/**
 * The objects of a plan as the exported files have them, made ready for a deployment that is measured and replaced in place: each
 * version of a unit or service has names of its own, its code comes in ConfigMaps, and everything says whose it is.
 *
 * @throws DmasError DMAS_EXPORT for a plan Kubernetes has no words for; DMAS_DEPLOY_FAILED for more GPUs than allowed
 */
export function stagePlan(input: StageInput): Staged {
  const { plan, name, request } = input;
  limitGpus(plan, input.options);
  const planned = plannedMembers(plan);
  const prefix = prefixOf(name);
  const names = memberNames(
    prefix,
    planned.map(({ id }) => id),
  );
  const nameOf = (id: string) => names.get(id) ?? id;
  const objects = objectsOf({
    ...objectsInput(input),
    secretNames: Object.fromEntries(planned.map((member) => [member.id, secretName(nameOf(member.id), member)])),
    commands: Object.fromEntries(
      (input.options.imageOf === undefined ? planned : [])
        .filter(({ program }) => program === null)
        .map(({ id }) => [id, ['node', '--input-type=module', '-e', loader]]),
    ),
  }).map((object) => owned(object, input));
  const componentFor = new Map(planned.map(({ id }) => [componentOf(nameOf(id), prefix), id]));
  const idOf = ({ kind, metadata }: KubernetesObject) => {
    const id = componentFor.get(metadata.labels?.['app.kubernetes.io/component'] ?? '');
    // Rules for all pods have a component of their own, which a unit may be named like.
    return kind === 'NetworkPolicy' && id !== undefined && metadata.name !== nameOf(id) ? undefined : id;
  };
  const members = planned.map((member) =>
    stageMember(
      member,
      objects.filter((object) => idOf(object) === member.id),
      nameOf(member.id),
      input,
    ),
  );
  const common = objects.filter((object) => idOf(object) === undefined);
  return { members, common: [...common, ...waysOf(name, request.deploymentId, members, input)] };
}

const objectsInput = ({ plan, bundles, name, options, otlpEndpoints, request }: StageInput) => ({
  plan,
  bundles,
  access: accessOf(plan),
  name,
  images: { '*': options.imageOf?.(bundles) ?? options.image, ...options.images },
  imagePullPolicy: options.imagePullPolicy,
  pullSecrets: options.pullSecrets,
  labels: options.labels,
  annotations: options.annotations,
  podAnnotations: options.podAnnotations,
  ...(options.serviceAccount === '' ? {} : { serviceAccount: options.serviceAccount }),
  otlpEndpoints,
  samplingRatio: request.samplingRatio,
  queueLimit: options.queueLimit,
  drainMs: options.drainMs,
  // Layouts are compared as they are: nothing may change their size meanwhile.
  autoscaling: { by: 'none' } as const,
  gpus: options.gpus as GpuNodes,
  ...(options.mesh === 'none' ? {} : { mesh: options.mesh }),
  networkPolicies: options.networkPolicies,
  appArmor: options.appArmor,
});

/** A quota of the namespace is the cluster's to keep; this one is for who shares a queue of GPUs with others. */
function limitGpus(plan: Plan, { gpus: { limit } }: KubernetesOptions): void {
  const asked = [...plan.units, ...plan.services].reduce((sum, { program, replicas }) => sum + (program?.gpus ?? 0) * replicas, 0);
  if (limit > 0 && asked > limit)
    fail('DMAS_DEPLOY_FAILED', `The layout asks for ${asked} GPUs, and target.gpus.limit allows ${limit}.`, {
      fix: 'Raise the limit, or search fewer engine replicas or GPUs per replica.',
    });
}

/** On every object: whose it is; and with its record it goes. */
function owned(object: KubernetesObject, { request, reference }: StageInput): KubernetesObject {
  const { metadata } = object;
  const mine = ownership(request.deploymentId);
  return {
    ...object,
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, ...mine.labels },
      annotations: { ...metadata.annotations, ...mine.annotations },
      ...(reference === null ? {} : { ownerReferences: [reference] }),
    },
  };
}

const secretName = (name: string, { secrets }: PlannedMember): string => `${name}-secrets-${digestOf([...secrets].sort().join('\n'), 6)}`;

function secretOf(member: PlannedMember, name: string, input: StageInput): KubernetesObject[] {
  if (member.secrets.length === 0) return [];
  const { environment } = input.request;
  const secret: KubernetesObject = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: secretName(name, member),
      labels: { ...input.options.labels, [labels.member]: labelValue(member.id) },
      annotations: input.options.annotations,
    },
    type: 'Opaque',
    // A secret that is not set is none: programs may do without.
    data: Object.fromEntries(member.secrets.map((key) => [key, Buffer.from(environment[key] ?? '').toString('base64')])),
  };
  return [owned(secret, input)];
}

function stageMember(member: PlannedMember, objects: readonly KubernetesObject[], name: string, input: StageInput): StagedMember {
  const workload = objects.find(isWorkload) as Workload | undefined;
  if (workload === undefined) fail('DMAS_DEPLOY_FAILED', `Nothing starts ${member.id}: it shares a pod, which this target does not do.`);
  const bundle = member.program === null ? input.bundles.find(({ id }) => id === member.id) : undefined;
  if (member.program === null && bundle === undefined)
    fail('DMAS_DEPLOY_FAILED', `There is no bundle for ${member.id}, which the plan needs.`);
  const rest = objects.filter((object) => !isWorkload(object)).map((object) => told(object, input));
  const doors = rest.filter(({ kind }) => kind === 'Service');
  const others = rest.filter(({ kind }) => kind !== 'Service');
  const version = versionOf(member, workload.kind, bundle?.sha256 ?? '', others);
  const mark = {
    [labels.member]: labelValue(member.id),
    [labels.version]: version,
    [labels.deployment]: labelValue(input.request.deploymentId),
  };
  const code = bundle === undefined || input.options.imageOf !== undefined ? undefined : codeOf(name, bundle, input);
  const ports = portsOf(member);
  const portAt = (address: string | null) => ports.find((port) => port.address === address)?.port ?? null;
  const secrets = secretOf(member, name, input);
  return {
    id: member.id,
    kind: member.kind,
    replicas: member.replicas,
    foreign: member.program !== null,
    version,
    maker: `${name}-${version}`,
    controlPort: member.program === null ? controlPort : null,
    publicPort: portAt(member.publicAddress),
    metricsPort: portAt(member.metricsAddress),
    host: doors.find(({ spec: door }) => (door as { readonly clusterIP?: string }).clusterIP === 'None')?.metadata.name ?? name,
    own: [
      ...secrets,
      ...(code?.maps ?? []),
      ...others.map((object) => versioned(object, version, mark)),
      dressWorkload(workload, {
        name: `${name}-${version}`,
        mark,
        annotations: ownership(input.request.deploymentId).annotations,
        code: code?.volume,
        drainMs: input.options.drainMs,
      }),
    ],
    doors: doors.map((door) => selecting(door, mark)),
  };
}

/**
 * What makes one unit another: its code, its plan but for the number of replicas, what it is told, and how it is started. More replicas
 * alone change how pods are spread and which rules are needed, and are no reason to replace those that run.
 */
function versionOf(
  { planned: { replicas: _, ...planned } }: PlannedMember,
  kind: string,
  code: string,
  others: readonly KubernetesObject[],
): string {
  return digestOf(canonicalJson({ kind, code, planned, data: others.flatMap(({ data }) => data ?? []) }), 10);
}

/** Its code under a name that says what is inside, so that versions share it. */
function codeOf(name: string, bundle: { readonly code: string; readonly sha256: string }, input: StageInput) {
  const { labels: given, annotations } = owned(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: input.options.labels } },
    input,
  ).metadata;
  const { maps, volume } = filesAsConfigMaps(
    `${name}-code-${bundle.sha256.slice(0, 10)}`,
    { ...(given ? { labels: given } : {}), ...(annotations ? { annotations } : {}) },
    { 'main.mjs': bundle.code },
  );
  return { maps: maps.map((map) => owned({ ...map, immutable: true }, input)), volume };
}

/** What the study decides, beside where everything is. */
function told(object: KubernetesObject, { request }: StageInput): KubernetesObject {
  const data = object.data as { readonly [file: string]: string } | undefined;
  const text = object.kind === 'ConfigMap' ? data?.['binding.json'] : undefined;
  if (text === undefined) return object;
  const binding: ProcessBinding = {
    ...(JSON.parse(text) as ProcessBinding),
    deploymentId: request.deploymentId,
    ...(request.stubbedTools === undefined ? {} : { stubbedTools: request.stubbedTools }),
    ...(request.effects === undefined ? {} : { effects: request.effects }),
  };
  return { ...object, data: { ...data, 'binding.json': JSON.stringify(binding) } };
}

/** Rules that select pods select those of one version, so that those of an old one keep theirs while they drain. */
function versioned(object: KubernetesObject, version: string, mark: { readonly [label: string]: string }): KubernetesObject {
  const spec = object.spec as { readonly [field: string]: Selector | undefined } | undefined;
  const field = object.kind === 'NetworkPolicy' ? 'podSelector' : object.kind === 'PodDisruptionBudget' ? 'selector' : undefined;
  if (field === undefined || spec === undefined) return object;
  const selector = { ...spec[field], matchLabels: { ...spec[field]?.matchLabels, ...mark } };
  return { ...object, metadata: { ...object.metadata, name: `${object.metadata.name}-${version}` }, spec: { ...spec, [field]: selector } };
}
interface Selector {
  readonly matchLabels?: { readonly [label: string]: string };
}

function selecting(service: KubernetesObject, mark: { readonly [label: string]: string }): KubernetesObject {
  const spec = service.spec as { readonly selector?: { readonly [label: string]: string } };
  return { ...service, spec: { ...spec, selector: { ...spec.selector, ...mark } } };
}

/** Beside what agents need: everybody may hand in spans, and jobs may call whom users call. Rules add up. */
function waysOf(name: string, deploymentId: string, members: readonly StagedMember[], input: StageInput): KubernetesObject[] {
  if (!input.options.networkPolicies) return [];
  const ofDeployment = { [labels.deployment]: labelValue(deploymentId) };
  const policy = (suffix: string, spec: object): KubernetesObject =>
    owned(
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        metadata: { name: `${name}-${suffix}`, labels: input.options.labels },
        spec,
      },
      input,
    );
  const traces = { matchLabels: { ...ofDeployment, [labels.role]: tracesRole } };
  const entries = members.filter(({ publicPort }) => publicPort !== null);
  return [
    policy('may-send-spans', {
      podSelector: { matchLabels: ofDeployment },
      policyTypes: ['Egress'],
      egress: [{ to: [{ podSelector: traces }] }],
    }),
    ...entries.map(({ id, publicPort }) =>
      policy('takes-jobs', {
        podSelector: { matchLabels: { ...ofDeployment, [labels.member]: labelValue(id) } },
        policyTypes: ['Ingress'],
        ingress: [{ from: [{ podSelector: { matchLabels: { [labels.role]: jobRole } } }], ports: [{ port: publicPort }] }],
      }),
    ),
  ];
}
