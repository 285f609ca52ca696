/**
 * How lists and maps of each model are merged: by the key of their items, as a set, or as one piece. Said by the
 * `x-kubernetes-list-type`, `-list-map-keys` and `-map-type` marks of the Kubernetes OpenAPI document, which the generated
 * models do not carry. Lists that are not named here are one piece.
 */
const keysOf: { readonly [field: string]: readonly string[] } = {
  'V1PodSpec.containers': ['name'],
  'V1PodSpec.initContainers': ['name'],
  'V1PodSpec.ephemeralContainers': ['name'],
  'V1PodSpec.volumes': ['name'],
  'V1PodSpec.imagePullSecrets': ['name'],
  'V1PodSpec.hostAliases': ['ip'],
  'V1PodSpec.resourceClaims': ['name'],
  'V1PodSpec.schedulingGates': ['name'],
  'V1PodSpec.topologySpreadConstraints': ['topologyKey', 'whenUnsatisfiable'],
  'V1Container.ports': ['containerPort', 'protocol'],
  'V1Container.env': ['name'],
  'V1Container.volumeMounts': ['mountPath'],
  'V1Container.volumeDevices': ['devicePath'],
  'V1ResourceRequirements.claims': ['name'],
  'V1ServiceSpec.ports': ['port', 'protocol'],
  'V1ServiceAccount.secrets': ['name'],
  'V1ObjectMeta.ownerReferences': ['uid'],
  'V1PodStatus.podIPs': ['ip'],
};

/** Every list of conditions is one by type. */
const conditions = /^V\d\w*Status\.conditions$/;

const sets = new Set(['V1ObjectMeta.finalizers', 'V1PersistentVolumeClaimStatus.accessModes']);

const wholeModels = new Set([
  'V1LabelSelector',
  'V1LocalObjectReference',
  'V1ObjectReference',
  'V1ObjectFieldSelector',
  'V1ResourceFieldSelector',
  'V1ConfigMapKeySelector',
  'V1SecretKeySelector',
  'V1NodeSelector',
  'V1NodeSelectorTerm',
  'V1TypedLocalObjectReference',
  'V1ScopeSelector',
  'V1SecretReference',
  'V1RoleRef',
]);

const wholeMaps = new Set(['V1ServiceSpec.selector', 'V1PodSpec.nodeSelector']);

/** Defaults a server fills into a key before it compares. */
export const keyDefaults: { readonly [key: string]: string } = { protocol: 'TCP' };

export function listKeys(model: string, field: string): readonly string[] | null {
  const place = `${model}.${field}`;
  if (conditions.test(place)) return ['type'];
  return keysOf[place] ?? null;
}

export const isSet = (model: string, field: string): boolean => sets.has(`${model}.${field}`);
export const isWhole = (model: string): boolean => wholeModels.has(model);
export const isWholeMap = (model: string, field: string): boolean => wholeMaps.has(`${model}.${field}`);

/**
 * Keys of the strategic merge, older than the above and different from it in two places: ports of containers go by
 * container port alone, ports of services by port alone.
 */
const mergeKeys: { readonly [field: string]: string } = {
  'V1PodSpec.containers': 'name',
  'V1PodSpec.initContainers': 'name',
  'V1PodSpec.ephemeralContainers': 'name',
  'V1PodSpec.volumes': 'name',
  'V1PodSpec.imagePullSecrets': 'name',
  'V1PodSpec.hostAliases': 'ip',
  'V1PodSpec.resourceClaims': 'name',
  'V1PodSpec.topologySpreadConstraints': 'topologyKey',
  'V1Container.ports': 'containerPort',
  'V1Container.env': 'name',
  'V1Container.volumeMounts': 'mountPath',
  'V1Container.volumeDevices': 'devicePath',
  'V1ServiceSpec.ports': 'port',
  'V1ServiceAccount.secrets': 'name',
  'V1ServiceAccount.imagePullSecrets': 'name',
  'V1ObjectMeta.ownerReferences': 'uid',
  'V1PodStatus.podIPs': 'ip',
};

export function mergeKey(model: string, field: string): string | null {
  const place = `${model}.${field}`;
  if (conditions.test(place)) return 'type';
  return mergeKeys[place] ?? null;
}
