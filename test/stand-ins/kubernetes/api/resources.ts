/** One kind of object the stand-in serves. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  /** Name of its generated model; null for a custom resource, which takes any fields. */
  readonly model: string | null;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly verbs: readonly string[];
  /** Subresources other than those that only read or change the object itself. */
  readonly subresources: readonly string[];
  /** Counts its spec's changes in metadata.generation. */
  readonly generations: boolean;
}

const every = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

interface Extra {
  readonly short?: readonly string[];
  readonly sub?: readonly string[];
  readonly cluster?: true;
  readonly verbs?: readonly string[];
  readonly all?: true;
  readonly generations?: true;
  readonly plural?: string;
}

function resource(group: string, version: string, kind: string, model: string, extra: Extra = {}): Resource {
  const singular = kind.toLowerCase();
  const plural =
    extra.plural ?? (singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : singular.endsWith('s') ? `${singular}es` : `${singular}s`);
  return {
    group,
    version,
    plural,
    singular,
    kind,
    model,
    namespaced: extra.cluster !== true,
    shortNames: extra.short ?? [],
    categories: extra.all ? ['all'] : [],
    verbs: extra.verbs ?? every,
    subresources: extra.sub ?? [],
    generations: extra.generations === true,
  };
}

const core = (kind: string, extra: Extra = {}) => resource('', 'v1', kind, kind === 'Event' ? 'CoreV1Event' : `V1${kind}`, extra);
const reviews = { verbs: ['create'] };

/** Built-in resources, in the order a server lists them. */
export const builtIn: readonly Resource[] = [
  core('ConfigMap', { short: ['cm'] }),
  core('Endpoints', { short: ['ep'], plural: 'endpoints' }),
  core('Event', { short: ['ev'] }),
  core('LimitRange', { short: ['limits'] }),
  core('Namespace', { short: ['ns'], sub: ['status', 'finalize'], cluster: true }),
  core('Node', { short: ['no'], sub: ['status'], cluster: true }),
  core('PersistentVolumeClaim', { short: ['pvc'], sub: ['status'] }),
  core('Pod', { short: ['po'], sub: ['status', 'log', 'eviction', 'proxy', 'portforward', 'binding'], all: true, generations: true }),
  core('ResourceQuota', { short: ['quota'], sub: ['status'] }),
  core('Secret'),
  core('Service', { short: ['svc'], sub: ['status', 'proxy'], all: true }),
  core('ServiceAccount', { short: ['sa'], sub: ['token'] }),
  resource('apps', 'v1', 'ControllerRevision', 'V1ControllerRevision'),
  resource('apps', 'v1', 'DaemonSet', 'V1DaemonSet', { short: ['ds'], sub: ['status'], all: true, generations: true }),
  resource('apps', 'v1', 'Deployment', 'V1Deployment', { short: ['deploy'], sub: ['status', 'scale'], all: true, generations: true }),
  resource('apps', 'v1', 'ReplicaSet', 'V1ReplicaSet', { short: ['rs'], sub: ['status', 'scale'], all: true, generations: true }),
  resource('apps', 'v1', 'StatefulSet', 'V1StatefulSet', { short: ['sts'], sub: ['status', 'scale'], all: true, generations: true }),
  resource('authentication.k8s.io', 'v1', 'SelfSubjectReview', 'V1SelfSubjectReview', { ...reviews, cluster: true }),
  resource('authorization.k8s.io', 'v1', 'SelfSubjectAccessReview', 'V1SelfSubjectAccessReview', { ...reviews, cluster: true }),
  resource('authorization.k8s.io', 'v1', 'SelfSubjectRulesReview', 'V1SelfSubjectRulesReview', { ...reviews, cluster: true }),
  resource('autoscaling', 'v2', 'HorizontalPodAutoscaler', 'V2HorizontalPodAutoscaler', { short: ['hpa'], sub: ['status'], all: true }),
  resource('batch', 'v1', 'CronJob', 'V1CronJob', { short: ['cj'], sub: ['status'], all: true, generations: true }),
  resource('batch', 'v1', 'Job', 'V1Job', { sub: ['status'], all: true, generations: true }),
  resource('coordination.k8s.io', 'v1', 'Lease', 'V1Lease'),
  resource('discovery.k8s.io', 'v1', 'EndpointSlice', 'V1EndpointSlice'),
  resource('networking.k8s.io', 'v1', 'Ingress', 'V1Ingress', { short: ['ing'], sub: ['status'], generations: true }),
  resource('networking.k8s.io', 'v1', 'NetworkPolicy', 'V1NetworkPolicy', { short: ['netpol'], generations: true }),
  resource('policy', 'v1', 'PodDisruptionBudget', 'V1PodDisruptionBudget', { short: ['pdb'], sub: ['status'], generations: true }),
  resource('rbac.authorization.k8s.io', 'v1', 'ClusterRole', 'V1ClusterRole', { cluster: true }),
  resource('rbac.authorization.k8s.io', 'v1', 'ClusterRoleBinding', 'V1ClusterRoleBinding', { cluster: true }),
  resource('rbac.authorization.k8s.io', 'v1', 'Role', 'V1Role'),
  resource('rbac.authorization.k8s.io', 'v1', 'RoleBinding', 'V1RoleBinding'),
  resource('scheduling.k8s.io', 'v1', 'PriorityClass', 'V1PriorityClass', { short: ['pc'], cluster: true, plural: 'priorityclasses' }),
  resource('storage.k8s.io', 'v1', 'StorageClass', 'V1StorageClass', { short: ['sc'], cluster: true, plural: 'storageclasses' }),
  resource('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition', 'V1CustomResourceDefinition', {
    short: ['crd'],
    sub: ['status'],
    cluster: true,
  }),
];

export const apiVersionOf = ({ group, version }: { group: string; version: string }): string =>
  group === '' ? version : `${group}/${version}`;

/** `deployments.apps`, as quotas, rights and messages name a resource. */
export const qualifiedName = ({ group, plural }: { group: string; plural: string }): string =>
  group === '' ? plural : `${plural}.${group}`;

/** A custom resource, as its definition describes it. */
export function customResource(definition: {
  group: string;
  version: string;
  kind: string;
  plural: string;
  namespaced: boolean;
  subresources: readonly string[];
  shortNames: readonly string[];
}): Resource {
  return { ...definition, singular: definition.kind.toLowerCase(), model: null, categories: [], verbs: every, generations: true };
}
