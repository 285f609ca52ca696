import { type JsonObject, type KubeObject, objectAt, objectsAt, textAt } from '../state/json.ts';
import { quantity } from '../state/quantity.ts';
import { qualifiedName, type Resource } from './resources.ts';
import { forbidden } from './status.ts';
import { allResources, builtInKind, type World } from './world.ts';

type Amounts = { readonly [name: string]: number };

/** What one object takes of a quota. */
export function costOf(resource: Resource, object: KubeObject): Amounts {
  const count = { [`count/${qualifiedName(resource)}`]: 1, ...(resource.group === '' ? { [resource.plural]: 1 } : {}) };
  if (resource.kind === 'PersistentVolumeClaim') {
    return { ...count, 'requests.storage': quantity(textAt(object, 'spec', 'resources', 'requests', 'storage') ?? '0') ?? 0 };
  }
  if (resource.kind !== 'Pod') return count;
  if (['Succeeded', 'Failed'].includes(textAt(object, 'status', 'phase') ?? '')) return { 'count/pods': 1 };
  const sums: { [name: string]: number } = { ...count };
  const add = (name: string, value: unknown) => {
    sums[name] = (sums[name] ?? 0) + (quantity(String(value)) ?? 0);
  };
  for (const container of objectsAt(object, 'spec', 'containers')) {
    for (const [name, value] of Object.entries(objectAt(container, 'resources', 'requests'))) {
      add(`requests.${name}`, value);
      if (name === 'cpu' || name === 'memory') add(name, value);
    }
    for (const [name, value] of Object.entries(objectAt(container, 'resources', 'limits'))) add(`limits.${name}`, value);
  }
  return sums;
}

/** What a namespace's objects take together, of what a quota limits. */
export function usedOf(world: World, quota: KubeObject): Amounts {
  const used: { [name: string]: number } = Object.fromEntries(Object.keys(objectAt(quota, 'spec', 'hard')).map((name) => [name, 0]));
  for (const resource of allResources(world).filter(({ namespaced }) => namespaced)) {
    for (const object of world.store.list(resource, quota.metadata.namespace)) {
      for (const [name, amount] of Object.entries(costOf(resource, object))) if (name in used) used[name] = (used[name] ?? 0) + amount;
    }
  }
  return used;
}

/** @throws {Refusal} 403 where an object would take more than is left */
export function chargeQuota(world: World, resource: Resource, object: KubeObject): void {
  if (object.metadata.namespace === undefined) return;
  const subject = { ...resource, name: object.metadata.name };
  for (const quota of world.store.list(builtInKind('ResourceQuota'), object.metadata.namespace)) {
    const hard = objectAt(quota, 'spec', 'hard');
    const cost = costOf(resource, object);
    if (resource.kind === 'Pod') {
      const unsaid = Object.keys(hard).filter((name) => /^(requests\.|limits\.)?(cpu|memory)$/.test(name) && cost[name] === undefined);
      const containers = objectsAt(object, 'spec', 'containers').map(({ name }) => String(name));
      if (unsaid.length > 0) {
        throw forbidden(
          subject,
          `failed quota: ${quota.metadata.name}: must specify ${unsaid
            .sort()
            .map((name) => `${name} for: ${containers.join(',')}`)
            .join('; ')}`,
        );
      }
    }
    const used = usedOf(world, quota);
    const over = Object.keys(cost).filter(
      (name) => hard[name] !== undefined && (used[name] ?? 0) + (cost[name] ?? 0) > (quantity(String(hard[name])) ?? 0) + 1e-9,
    );
    if (over.length === 0) continue;
    const told = (amounts: Amounts | JsonObject) =>
      over
        .sort()
        .map((name) => `${name}=${amountText(name, amounts[name])}`)
        .join(',');
    throw forbidden(
      subject,
      `exceeded quota: ${quota.metadata.name}, requested: ${told(cost)}, used: ${told(used)}, limited: ${told(hard)}`,
    );
  }
}

/** An amount as quotas print it. */
export function amountText(name: string, value: unknown): string {
  if (typeof value !== 'number') return String(value);
  if (/cpu$/.test(name)) return Number.isInteger(value) ? String(value) : `${Math.round(value * 1000)}m`;
  if (/(memory|storage)$/.test(name) && value > 0) {
    for (const [suffix, power] of [
      ['Gi', 3],
      ['Mi', 2],
      ['Ki', 1],
    ] as const)
      if (value % 1024 ** power === 0) return `${value / 1024 ** power}${suffix}`;
  }
  return String(value);
}
