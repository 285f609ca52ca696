import { canonicalJson, fail, type PeerName, type Plan, type ProcessBinding } from '../../../compiler/contracts/index.ts';
import { componentOf } from '../../../compiler/emit/kubernetes/context.ts';
import type { GpuNodes } from '../../../compiler/emit/kubernetes/input.ts';
import { memberNames, prefixOf } from '../../../compiler/emit/kubernetes/names.ts';
import { objectsOf } from '../../../compiler/emit/kubernetes/objects.ts';
import { controlPort, portsOf } from '../../../compiler/emit/standing.ts';
import { accessOf } from '../../../compiler/plan/access.ts';
import { ingressAddress, type PlannedMember, plannedMembers } from '../../../compiler/plan/members.ts';
import { settingsOf } from '../supervise/members.ts';
import type { DeployRequest } from '../target.ts';
import type { KubernetesObject } from './cluster.ts';
import { filesAsConfigMaps, loader } from './code.ts';
import { digestOf, labels, labelValue } from './labels.ts';
import type { KubernetesOptions } from './options.ts';
import { type DeploymentRecord, ownership } from './record.ts';
import type { StagedMember } from './staged.ts';
import { isGateway, shortVersion, versionsOf } from './versions.ts';
import { waysOf } from './ways.ts';
import { dressWorkload, isWorkload, type Workload } from './workload.ts';

export interface StageInput extends Pick<DeployRequest, 'plan' | 'bundles'> {
  /** First part of every name. */
  readonly name: string;
  readonly options: KubernetesOptions;
  readonly request: DeployRequest;
  readonly otlpEndpoints: readonly string[];
  readonly reference: DeploymentRecord['reference'];
  /** See `UpdateRequest.fresh`. */
  readonly generation?: number;
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
  const gateway = planned.find(isGateway);
  const entryHost = gateway === undefined ? undefined : `${nameOf(gateway.id)}-entry`;
  const objectsWith = (serviceVersions: { readonly [member: string]: string }) =>
    objectsOf({
      ...objectsInput(input),
      serviceVersions,
      secretNames: Object.fromEntries(planned.map((member) => [member.id, secretName(nameOf(member.id), member)])),
      commands: Object.fromEntries(
        (input.options.imageOf === undefined ? planned : [])
          .filter(({ program }) => program === null)
          .map(({ id }) => [id, ['node', '--input-type=module', '-e', loader]]),
      ),
    }).map((object) => told(owned(object, input), input, gateway?.id, entryHost));
  const componentFor = new Map(planned.map(({ id }) => [componentOf(nameOf(id), prefix), id]));
  const idOf = ({ kind, metadata }: KubernetesObject) => {
    const id = componentFor.get(metadata.labels?.['app.kubernetes.io/component'] ?? '');
    // Rules for all pods have a component of their own, which a unit may be named like.
    return kind === 'NetworkPolicy' && id !== undefined && metadata.name !== nameOf(id) ? undefined : id;
  };
  const unversioned = objectsWith({});
  const versions = versionsOf(
    planned,
    (id) => unversioned.filter((object) => idOf(object) === id),
    input.bundles,
    accessOf(plan),
    input.generation,
  );
  const versionOf = (id: string) => versions.get(id) ?? '';
  // Users know a gateway by a name that outlasts everything behind it.
  const versioned = planned.filter((member) => member !== gateway).map(({ id }) => [id, shortVersion(versionOf(id))]);
  const objects = objectsWith(Object.fromEntries(versioned));
  const members = planned
    .map((member) =>
      stageMember(
        member,
        objects.filter((object) => idOf(object) === member.id),
        { name: nameOf(member.id), version: versionOf(member.id) },
        input,
      ),
    )
    .map((member) => (entryHost !== undefined && member.id === plan.ingress.unit ? withEntry(member, entryHost) : member));
  const common = objects.filter((object) => idOf(object) === undefined);
  return {
    members,
    common: [
      ...common,
      ...(input.options.networkPolicies
        ? waysOf({ name, deploymentId: request.deploymentId, members }).map((way) => owned(labelled(way, input), input))
        : []),
    ],
  };
}

/** A gateway is told once where the ingress listens, so that is the same in every layout; below the ports of the next member of a pod. */
const entryPort = controlPort + 99;

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
  ingressPort: entryPort,
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

const labelled = (object: KubernetesObject, { options }: StageInput): KubernetesObject => ({
  ...object,
  metadata: { ...object.metadata, labels: options.labels },
});

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

function stageMember(
  member: PlannedMember,
  objects: readonly KubernetesObject[],
  { name, version }: { readonly name: string; readonly version: string },
  input: StageInput,
): StagedMember {
  const workload = objects.find(isWorkload) as Workload | undefined;
  if (workload === undefined) fail('DMAS_DEPLOY_FAILED', `Nothing starts ${member.id}: it shares a pod, which this target does not do.`);
  const bundle = member.program === null ? input.bundles.find(({ id }) => id === member.id) : undefined;
  if (member.program === null && bundle === undefined)
    fail('DMAS_DEPLOY_FAILED', `There is no bundle for ${member.id}, which the plan needs.`);
  const rest = objects.filter((object) => !isWorkload(object));
  const doors = rest.filter(({ kind }) => kind === 'Service');
  const others = rest.filter(({ kind }) => kind !== 'Service');
  const mark = {
    [labels.member]: labelValue(member.id),
    [labels.version]: version,
    [labels.deployment]: labelValue(input.request.deploymentId),
  };
  const code = bundle === undefined || input.options.imageOf !== undefined ? undefined : codeOf(name, bundle, input);
  const ports = portsOf(member, controlPort, entryPort);
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
    settings: settingsOf(member, input.plan),
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
 * A gateway stays while layouts come and go behind it. It looks the ingress up under one name, which leads to the version that serves: the
 * switch. Its ingress is ready to be called, so of one that is on a circle of callers only those that are ready are found here.
 */
function withEntry(member: StagedMember, name: string): StagedMember {
  const peers = member.doors.find(({ metadata }) => metadata.name === member.host);
  if (peers === undefined) return member;
  const { publishNotReadyAddresses: _, ...spec } = peers.spec as { readonly publishNotReadyAddresses?: boolean };
  return { ...member, doors: [...member.doors, { ...peers, metadata: { ...peers.metadata, name }, spec }] };
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
function told(
  object: KubernetesObject,
  { request }: StageInput,
  gateway: string | undefined,
  entryHost: string | undefined,
): KubernetesObject {
  const data = object.data as { readonly [file: string]: string } | undefined;
  const text = object.kind === 'ConfigMap' ? data?.['binding.json'] : undefined;
  if (text === undefined) return object;
  const exported = JSON.parse(text) as ProcessBinding;
  const atEntry = exported.id === gateway && entryHost !== undefined ? { names: entryNames(exported.names, entryHost) } : {};
  const binding: ProcessBinding = {
    ...exported,
    ...atEntry,
    deploymentId: request.deploymentId,
    ...(request.stubbedTools === undefined ? {} : { stubbedTools: request.stubbedTools }),
    ...(request.effects === undefined ? {} : { effects: request.effects }),
  };
  return { ...object, data: { ...data, 'binding.json': JSON.stringify(binding) } };
}

const entryNames = (names: ProcessBinding['names'] = {}, host: string): { readonly [address: string]: PeerName } =>
  Object.fromEntries(Object.entries(names).map(([address, name]) => [address, address === ingressAddress ? { ...name, host } : name]));

/**
 * Rules that select pods select those of one version, so that those of an old one keep theirs while they drain. What a version that stays
 * needs may change with the plan around it: rules add up, so each set has a name of its own.
 */
function versioned(object: KubernetesObject, version: string, mark: { readonly [label: string]: string }): KubernetesObject {
  const spec = object.spec as { readonly [field: string]: Selector | undefined } | undefined;
  const field = object.kind === 'NetworkPolicy' ? 'podSelector' : object.kind === 'PodDisruptionBudget' ? 'selector' : undefined;
  if (field === undefined || spec === undefined) return object;
  const selector = { ...spec[field], matchLabels: { ...spec[field]?.matchLabels, ...mark } };
  const content = field === 'podSelector' ? `-${digestOf(canonicalJson(spec), 6)}` : '';
  const name = `${object.metadata.name}-${version}${content}`;
  return { ...object, metadata: { ...object.metadata, name }, spec: { ...spec, [field]: selector } };
}
interface Selector {
  readonly matchLabels?: { readonly [label: string]: string };
}

function selecting(service: KubernetesObject, mark: { readonly [label: string]: string }): KubernetesObject {
  const spec = service.spec as { readonly selector?: { readonly [label: string]: string } };
  return { ...service, spec: { ...spec, selector: { ...spec.selector, ...mark } } };
}
