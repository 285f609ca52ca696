import { type Context, componentOf } from './context.ts';
import { secretNameOf } from './environment.ts';
import type { KubernetesObject } from './input.ts';

/**
 * Secrets to be filled in, one for each member that needs any: names only. They are no part of `objectsOf`: applied with the
 * rest they would empty the real ones.
 */
export function secretTemplatesOf(context: Context): readonly KubernetesObject[] {
  return context.members
    .filter(({ secrets }) => secrets.length > 0)
    .map(({ id, secrets }) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: context.metadata(secretNameOf(context, id), componentOf(context.nameOf(id), context.prefix)),
      type: 'Opaque',
      stringData: Object.fromEntries([...secrets].sort().map((name) => [name, ''])),
    }));
}
