import type { Asked } from './faults.ts';
import type { Resource } from './resources.ts';
import type { User } from './rights.ts';
import { findResource, type World } from './world.ts';

/** A request for objects, taken apart. */
export interface ApiRequest {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  /** What comes after the subresource: the path of a proxy. */
  readonly rest: string;
  readonly method: string;
  readonly query: URLSearchParams;
  readonly contentType: string;
  readonly accept: string;
  readonly userAgent: string;
  readonly body: Buffer;
  readonly user: User;
}

export interface Target {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  readonly rest: string;
}

/** What a path names, or null where it names nothing. */
export function readPath(world: World, path: string): Target | null {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decodeURIComponent);
  const [root, ...after] = parts;
  if (root !== 'api' && root !== 'apis') return null;
  const [group, version, ...rest] = root === 'api' ? ['', ...after] : after;
  if (group === undefined || version === undefined) return null;
  const [first, second, third, ...more] = rest;
  if (first === 'namespaces' && second !== undefined && third !== undefined) {
    const namespaced = findResource(world, group, version, third);
    if (namespaced?.namespaced) return target(namespaced, second, more);
  }
  const resource = findResource(world, group, version, first ?? '');
  if (!resource) return null;
  return target(resource, resource.plural === 'namespaces' ? (second ?? '') : '', rest.slice(1));
}

const target = (resource: Resource, namespace: string, [name = '', subresource = '', ...rest]: readonly string[]): Target => ({
  resource,
  namespace,
  name,
  subresource,
  rest: rest.join('/'),
});

/** The verb rights are given for. */
export function verbOf({ method, name, query, subresource }: Pick<ApiRequest, 'method' | 'name' | 'query' | 'subresource'>): string {
  if (subresource === 'proxy' || subresource === 'portforward') return method === 'GET' && subresource === 'proxy' ? 'get' : 'create';
  switch (method) {
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name === '' ? 'deletecollection' : 'delete';
    default:
      if (name !== '') return 'get';
      return isTrue(query.get('watch')) ? 'watch' : 'list';
  }
}

export const isTrue = (value: string | null): boolean => value === 'true' || value === '1';

export const askedBy = (request: ApiRequest): Asked => ({
  verb: verbOf(request),
  group: request.resource.group,
  resource: request.subresource === '' ? request.resource.plural : `${request.resource.plural}/${request.subresource}`,
  namespace: request.resource.namespaced || request.resource.plural === 'namespaces' ? request.namespace : '',
  name: request.name,
  user: request.user.name,
});

export const subjectOf = ({ resource, name }: { resource: Resource; name: string }) => ({
  group: resource.group,
  kind: resource.kind,
  plural: resource.plural,
  name,
});
