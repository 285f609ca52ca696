import { type JsonObject, objectsAt, textAt } from '../state/json.ts';
import type { Asked } from './faults.ts';
import { builtIn } from './resources.ts';
import type { World } from './world.ts';

/** What a token may do; `*` stands for everything. Without namespaces: in all of them and at the cluster scope. */
export interface Right {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly namespaces?: readonly string[];
}

export interface User {
  readonly name: string;
  readonly groups: readonly string[];
  readonly rights: readonly Right[];
}

export const everything: Right = { apiGroups: ['*'], resources: ['*'], verbs: ['*'] };

/** Everybody may ask what they may do. */
const basic: Right = { apiGroups: ['authorization.k8s.io', 'authentication.k8s.io'], resources: ['*'], verbs: ['create'] };

/** A user's rights: those its token came with and those bound to it by objects. */
export function rightsOf(world: World, user: User): readonly Right[] {
  return [...user.rights, ...boundRights(world, user), basic];
}

export function may(rights: readonly Right[], asked: Asked): boolean {
  return rights.some(
    (right) =>
      has(right.apiGroups, asked.group) &&
      has(right.verbs, asked.verb) &&
      hasResource(right.resources, asked.resource) &&
      (right.namespaces === undefined || right.namespaces.includes(asked.namespace)) &&
      (right.resourceNames === undefined || right.resourceNames.length === 0 || right.resourceNames.includes(asked.name)),
  );
}

const has = (list: readonly string[], value: string) => list.includes('*') || list.includes(value);
const hasResource = (list: readonly string[], resource: string) =>
  has(list, resource) || list.includes(`*/${resource.split('/')[1] ?? ''}`);

/** In a server's words. */
export const refusal = (user: User, asked: Asked): string =>
  `User "${user.name}" cannot ${asked.verb} resource "${asked.resource}" in API group "${asked.group}" ${
    asked.namespace === '' ? 'at the cluster scope' : `in the namespace "${asked.namespace}"`
  }`;

const rbac = (kind: string) => builtIn.find((each) => each.kind === kind && each.group === 'rbac.authorization.k8s.io');

function boundRights(world: World, user: User): Right[] {
  return ['RoleBinding', 'ClusterRoleBinding'].flatMap((kind) => {
    const resource = rbac(kind);
    if (!resource) return [];
    return world.store.list(resource).flatMap((binding) => {
      const bound = objectsAt(binding, 'subjects').some((subject) => isUser(user, subject, binding.metadata.namespace));
      if (!bound) return [];
      const role = rbac(textAt(binding, 'roleRef', 'kind') ?? '');
      const found =
        role && world.store.get(role, role.namespaced ? binding.metadata.namespace : undefined, textAt(binding, 'roleRef', 'name') ?? '');
      return objectsAt(found, 'rules').map((rule) => ({
        apiGroups: texts(rule, 'apiGroups'),
        resources: texts(rule, 'resources'),
        verbs: texts(rule, 'verbs'),
        resourceNames: texts(rule, 'resourceNames'),
        ...(binding.metadata.namespace === undefined ? {} : { namespaces: [binding.metadata.namespace] }),
      }));
    });
  });
}

const texts = (rule: JsonObject, key: string): string[] => {
  const found = rule[key];
  return Array.isArray(found) ? found.map(String) : [];
};

function isUser(user: User, subject: JsonObject, namespace: string | undefined): boolean {
  const name = String(subject.name);
  if (subject.kind === 'User') return user.name === name;
  if (subject.kind === 'Group') return user.groups.includes(name);
  return user.name === `system:serviceaccount:${String(subject.namespace ?? namespace)}:${name}`;
}
