import type { JsonObject } from '../state/json.ts';
import { apiVersionOf, type Resource } from './resources.ts';
import { allResources, type World } from './world.ts';

/** `/version`. */
export function versionInfo({ version }: World): JsonObject {
  const [major = '1', minor = '0'] = version.split('.');
  return {
    major,
    minor,
    gitVersion: `v${version}.0`,
    gitCommit: '0000000000000000000000000000000000000000',
    gitTreeState: 'clean',
    buildDate: '2025-01-01T00:00:00Z',
    goVersion: 'go1.24.0',
    compiler: 'gc',
    platform: 'linux/amd64',
  };
}

const groupsOf = (world: World) => {
  const groups = new Map<string, Set<string>>();
  for (const { group, version } of allResources(world)) groups.set(group, (groups.get(group) ?? new Set()).add(version));
  return groups;
};

/** `/apis`, the list of groups. */
export function groupList(world: World): JsonObject {
  return {
    kind: 'APIGroupList',
    apiVersion: 'v1',
    groups: [...groupsOf(world).keys()].filter((group) => group !== '').map((group) => groupOf(world, group)),
  };
}

export function groupOf(world: World, group: string): JsonObject {
  const versions = [...(groupsOf(world).get(group) ?? [])].map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions, preferredVersion: versions[0] ?? { groupVersion: '', version: '' } };
}

export const hasGroup = (world: World, group: string, version?: string): boolean => {
  const versions = groupsOf(world).get(group);
  return versions !== undefined && (version === undefined || versions.has(version));
};

/** `/api/v1`, `/apis/apps/v1`. */
export function resourceList(world: World, group: string, version: string): JsonObject {
  const resources = allResources(world).filter((each) => each.group === group && each.version === version);
  const entry = (resource: Resource): JsonObject => ({
    name: resource.plural,
    singularName: resource.singular,
    namespaced: resource.namespaced,
    kind: resource.kind,
    verbs: [...resource.verbs],
    ...(resource.shortNames.length > 0 ? { shortNames: [...resource.shortNames] } : {}),
    ...(resource.categories.length > 0 ? { categories: [...resource.categories] } : {}),
  });
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: apiVersionOf({ group, version }),
    resources: resources.flatMap((resource) => [
      entry(resource),
      ...resource.subresources.map((sub) => {
        const found = subresourceOf(resource, sub);
        return { name: `${resource.plural}/${sub}`, singularName: '', namespaced: resource.namespaced, ...found.said, verbs: found.verbs };
      }),
    ]),
  };
}

interface Sub {
  readonly said: JsonObject;
  readonly verbs: string[];
}

function subresourceOf({ kind, group, version }: Resource, name: string): Sub {
  switch (name) {
    case 'scale':
      return { said: { group: 'autoscaling', version: 'v1', kind: 'Scale' }, verbs: ['get', 'patch', 'update'] };
    case 'eviction':
      return { said: { group: 'policy', version: 'v1', kind: 'Eviction' }, verbs: ['create'] };
    case 'portforward':
      return { said: { kind: 'PodPortForwardOptions' }, verbs: ['create', 'get'] };
    case 'proxy':
      return { said: { kind: `${kind}ProxyOptions` }, verbs: ['create', 'delete', 'get', 'patch', 'update'] };
    case 'log':
      return { said: { kind }, verbs: ['get'] };
    case 'binding':
      return { said: { kind: 'Binding' }, verbs: ['create'] };
    case 'token':
      return { said: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' }, verbs: ['create'] };
    default:
      return { said: { kind, ...(group === '' ? {} : { group, version }) }, verbs: ['get', 'patch', 'update'] };
  }
}

/** `/api` or `/apis` in the one answer kubectl asks for first. */
export function aggregated(world: World, legacy: boolean): JsonObject {
  const groups = [...groupsOf(world).entries()].filter(([group]) => (group === '') === legacy);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items: groups.map(([group, versions]) => ({
      metadata: group === '' ? { creationTimestamp: null } : { name: group, creationTimestamp: null },
      versions: [...versions].map((version) => ({
        version,
        freshness: 'Current',
        resources: allResources(world)
          .filter((each) => each.group === group && each.version === version)
          .map((resource) => ({
            resource: resource.plural,
            responseKind: { group: resource.group, version: resource.version, kind: resource.kind },
            scope: resource.namespaced ? 'Namespaced' : 'Cluster',
            singularResource: resource.singular,
            verbs: [...resource.verbs],
            shortNames: [...resource.shortNames],
            categories: [...resource.categories],
            subresources: resource.subresources.map((sub) => {
              const { said, verbs } = subresourceOf(resource, sub);
              return {
                subresource: sub,
                responseKind: { group: said.group ?? '', version: said.version ?? '', kind: said.kind },
                verbs,
              };
            }),
          })),
      })),
    })),
  };
}

export const aggregatedType = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
export const wantsAggregated = (accept: string): boolean => accept.includes('g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList');
