import { isObject, type KubeObject, objectAt, objectsAt, textAt } from '../state/json.ts';
import { now } from '../state/store.ts';
import { customResource } from './resources.ts';
import { builtInKind, type World } from './world.ts';

/** Serves what a definition defines, once it is stored; its schema is not looked at. */
export function defineCustom(world: World, definition: KubeObject): void {
  if (definition.kind !== 'CustomResourceDefinition') return;
  const group = textAt(definition, 'spec', 'group') ?? '';
  const names = objectAt(definition, 'spec', 'names');
  for (const version of objectsAt(definition, 'spec', 'versions').filter(({ served }) => served === true)) {
    const plural = String(names.plural);
    world.custom.set(
      `${plural}.${group}/${String(version.name)}`,
      customResource({
        group,
        version: String(version.name),
        kind: String(names.kind),
        plural,
        namespaced: textAt(definition, 'spec', 'scope') === 'Namespaced',
        subresources: isObject(objectAt(version, 'subresources').status) ? ['status'] : [],
        shortNames: Array.isArray(names.shortNames) ? names.shortNames.map(String) : [],
      }),
    );
  }
  const condition = (type: string, reason: string) => ({
    type,
    status: 'True',
    reason,
    message: '',
    lastTransitionTime: definition.metadata.creationTimestamp,
  });
  const status = {
    acceptedNames: { ...names },
    conditions: [condition('NamesAccepted', 'NoConflicts'), condition('Established', 'InitialNamesAccepted')],
    storedVersions: objectsAt(definition, 'spec', 'versions')
      .filter(({ storage }) => storage === true)
      .map(({ name }) => String(name)),
  };
  if (textAt(definition, 'status', 'conditions', 1, 'type') === 'Established') return;
  void now;
  world.store.replace(builtInKind('CustomResourceDefinition'), { ...definition, status });
}

/** Serves it no longer. */
export function forgetCustom(world: World, definition: KubeObject): void {
  for (const [key, resource] of world.custom)
    if (`${resource.plural}.${resource.group}` === definition.metadata.name) world.custom.delete(key);
}
