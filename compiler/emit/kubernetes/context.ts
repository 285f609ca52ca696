import { fail, type MemberAccess } from '../../contracts/index.ts';
import { controlPort, type StandingMember, standingMembers } from '../standing.ts';
import type { KubernetesInput, KubernetesMetadata } from './input.ts';
import { cut, labelValue, memberNames, prefixOf } from './names.ts';

/** One pod template: nearly always one member; several where they are containers of one pod. */
export interface PodGroup {
  readonly name: string;
  readonly members: readonly StandingMember[];
  readonly replicas: number;
  /** Callers keep to one replica for a session, so its replicas need names of their own. */
  readonly sticky: boolean;
  readonly selector: { readonly [label: string]: string };
}

/** What every function here needs of a deployment, worked out once. */
export interface Context {
  readonly input: KubernetesInput;
  readonly prefix: string;
  readonly members: readonly StandingMember[];
  readonly pods: readonly PodGroup[];
  /** Name of a member's Services, Secret and ServiceAccount. */
  nameOf(id: string): string;
  /** Headless Service: one address for each replica. */
  peersOf(id: string): string;
  /** Service with one address before all replicas. */
  balancedOf(id: string): string;
  accessOf(id: string): MemberAccess;
  podOf(id: string): PodGroup;
  metadata(name: string, component: string, extra?: Partial<KubernetesMetadata>): KubernetesMetadata;
}

export const defaults = { samplingRatio: 1, queueLimit: 256, drainMs: 30_000 } as const;
/** Between the control ports of two members of one pod. */
const portsPerMember = 100;
/** Where state lies inside a container. */
export const stateDir = '/state';

/** @throws DmasError `DMAS_EXPORT` */
export function contextOf(input: KubernetesInput): Context {
  const { plan } = input;
  const prefix = prefixOf(input.name ?? plan.application);
  const ids = input.access.members.map(({ id }) => id);
  const names = memberNames(prefix, ids);
  const nameOf = (id: string) => names.get(id) ?? fail('DMAS_EXPORT', `There is no unit or service "${id}" in this layout.`);
  const balancedOf = (id: string) => [nameOf(id), ...[input.serviceVersions?.[id] ?? []].flat()].join('-');
  const peersOf = (id: string) => `${balancedOf(id)}-peers`;
  const shared = groupsOf(input, ids);
  const members = standingMembers(plan, input.bundles, {
    deploymentId: input.name ?? plan.application,
    hostOf: peersOf,
    controlPortOf: (id) => controlPort + portsPerMember * Math.max(0, shared.find((group) => group.includes(id))?.indexOf(id) ?? 0),
    ...(input.ingressPort === undefined ? {} : { ingressPort: input.ingressPort }),
    otlpEndpoints: input.otlpEndpoints,
    samplingRatio: input.samplingRatio ?? defaults.samplingRatio,
    queueLimit: input.queueLimit ?? defaults.queueLimit,
    drainMs: input.drainMs ?? defaults.drainMs,
    stateDir,
  });
  const sticky = new Set(
    plan.units.flatMap(({ routes }) => routes.filter(({ balancing }) => balancing === 'session').map(({ address }) => address)),
  );
  const pods = shared.map((group) => podGroup(input, prefix, nameOf, sticky, members, group));
  const lookUp = <T>(found: T | undefined, id: string): T =>
    found ?? fail('DMAS_EXPORT', `There is no unit or service "${id}" in this layout.`);
  return {
    input,
    prefix,
    members,
    pods,
    nameOf,
    peersOf,
    balancedOf,
    accessOf: (id) =>
      lookUp(
        input.access.members.find((member) => member.id === id),
        id,
      ),
    podOf: (id) =>
      lookUp(
        pods.find((pod) => pod.members.some((member) => member.id === id)),
        id,
      ),
    metadata: (name, component, extra = {}) => ({
      name,
      ...(input.namespace === undefined ? {} : { namespace: input.namespace }),
      labels: { ...input.labels, ...standardLabels(input, prefix, component), ...extra.labels },
      ...annotationsOf({ ...input.annotations, ...extra.annotations }),
    }),
  };
}

const annotationsOf = (annotations: { readonly [name: string]: string }) => (Object.keys(annotations).length === 0 ? {} : { annotations });

/** Which members share a pod: those the input says, every other one has its own. In the order of `ids`. */
function groupsOf({ placement, plan }: KubernetesInput, ids: readonly string[]): readonly (readonly string[])[] {
  const said = placement?.pods ?? [];
  for (const id of [...said, ...(placement?.nodes ?? [])].flat()) {
    if (!ids.includes(id))
      fail('DMAS_EXPORT', `"${id}" is to be placed, but this layout has no such unit or service.`, { fix: `It has: ${ids.join(', ')}.` });
  }
  const replicas = new Map([...plan.units, ...plan.services].map((each) => [each.id, each.replicas]));
  for (const group of said) {
    if (new Set(group.map((id) => replicas.get(id))).size > 1)
      fail('DMAS_EXPORT', `${group.join(', ')} cannot share pods: they have different numbers of replicas.`, {
        fix: 'Give them the same number of replicas, or pods of their own on one node (placement.nodes).',
      });
  }
  const single = ids.filter((id) => !said.some((group) => group.includes(id))).map((id) => [id]);
  return [...said, ...single].sort((a, b) => ids.indexOf(a[0] ?? '') - ids.indexOf(b[0] ?? ''));
}

function podGroup(
  input: KubernetesInput,
  prefix: string,
  nameOf: (id: string) => string,
  sticky: ReadonlySet<string>,
  all: readonly StandingMember[],
  group: readonly string[],
): PodGroup {
  const members = group.flatMap((id) => all.filter((member) => member.id === id));
  const name = nameOf(group[0] ?? '');
  return {
    name,
    members,
    replicas: members[0]?.replicas ?? 1,
    sticky: members.some((member) => isSticky(member, sticky, input)),
    selector: {
      'app.kubernetes.io/instance': prefix,
      'app.kubernetes.io/component': componentOf(name, prefix),
      ...input.selectorLabels,
    },
  };
}

/** A gateway keeps sessions with one replica of the unit behind it, as routes do. */
function isSticky(member: StandingMember, sticky: ReadonlySet<string>, { plan }: KubernetesInput): boolean {
  if (member.replicas < 2) return false;
  const gateway = plan.services.find(({ kind, options }) => kind === 'gateway' && options.unit === member.id);
  return member.ports.some(({ address }) => sticky.has(address)) || gateway?.options.balancing === 'session';
}

/** The part of a name that says which member it is. */
export const componentOf = (name: string, prefix: string): string => name.slice(prefix.length + 1);

/** Names everybody's tools know: kubernetes.io/docs/concepts/overview/working-with-objects/common-labels. */
function standardLabels({ plan, managedBy, selectorLabels }: KubernetesInput, prefix: string, component: string) {
  return {
    'app.kubernetes.io/name': cut(labelValue(plan.application), 63),
    'app.kubernetes.io/instance': prefix,
    'app.kubernetes.io/component': component,
    'app.kubernetes.io/part-of': cut(labelValue(plan.application), 63),
    'app.kubernetes.io/managed-by': managedBy ?? 'dmas-opt',
    ...selectorLabels,
  };
}
