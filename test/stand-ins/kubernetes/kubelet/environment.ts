import type { World } from '../api/world.ts';
import { type JsonObject, type KubeObject, objectAt, objectsAt, textAt } from '../state/json.ts';
import { quantity } from '../state/quantity.ts';
import { dataOf, fieldOf } from './volumes.ts';

/**
 * A container's variables, with those that come from elsewhere looked up and `$(NAME)` put in.
 * @throws {Error} `CreateContainerConfigError: …` where a source is not there
 */
export function environmentOf(world: World, pod: KubeObject, container: JsonObject, podIp: string): { [name: string]: string } {
  const result: { [name: string]: string } = {};
  const { namespace } = pod.metadata;
  for (const from of objectsAt(container, 'envFrom')) {
    for (const [kind, key] of [
      ['ConfigMap', 'configMapRef'],
      ['Secret', 'secretRef'],
    ] as const) {
      const name = textAt(from, key, 'name');
      if (name === undefined) continue;
      const data = dataOf(world, kind, namespace, name);
      if (!data && objectAt(from, key).optional !== true)
        throw new Error(`CreateContainerConfigError: ${kind.toLowerCase()} "${name}" not found`);
      for (const [each, value] of Object.entries(data ?? {})) result[`${textAt(from, 'prefix') ?? ''}${each}`] = value.toString('utf8');
    }
  }
  for (const entry of objectsAt(container, 'env')) {
    const value = entryValue(world, pod, container, entry, podIp);
    if (value !== null)
      result[String(entry.name)] = value.replace(/\$\(([A-Za-z_][\w.-]*)\)/g, (whole, name: string) => result[name] ?? whole);
  }
  return result;
}

function entryValue(world: World, pod: KubeObject, container: JsonObject, entry: JsonObject, podIp: string): string | null {
  const from = objectAt(entry, 'valueFrom');
  const field = textAt(from, 'fieldRef', 'fieldPath');
  if (field !== undefined) return fieldOf(pod, field, podIp);
  const resource = textAt(from, 'resourceFieldRef', 'resource');
  if (resource !== undefined) {
    const amount = quantity(textAt(container, 'resources', ...(resource.split('.') as [string, string])) ?? '0') ?? 0;
    return String(Math.ceil(amount / (quantity(textAt(from, 'resourceFieldRef', 'divisor') ?? '1') || 1)));
  }
  for (const [kind, key] of [
    ['ConfigMap', 'configMapKeyRef'],
    ['Secret', 'secretKeyRef'],
  ] as const) {
    const reference = objectAt(from, key);
    if (reference.name === undefined) continue;
    const found = dataOf(world, kind, pod.metadata.namespace, String(reference.name));
    const value = found?.[String(reference.key)];
    if (value !== undefined) return value.toString('utf8');
    if (reference.optional === true) return null;
    throw new Error(
      found
        ? `CreateContainerConfigError: couldn't find key ${String(reference.key)} in ${kind} ${pod.metadata.namespace}/${String(reference.name)}`
        : `CreateContainerConfigError: ${kind.toLowerCase()} "${String(reference.name)}" not found`,
    );
  }
  return textAt(entry, 'value') ?? '';
}
