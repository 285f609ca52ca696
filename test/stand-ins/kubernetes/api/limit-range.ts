import { type KubeObject, objectAt, objectsAt } from '../state/json.ts';
import { quantity } from '../state/quantity.ts';
import { forbidden } from './status.ts';
import { builtInKind, type World } from './world.ts';

/**
 * Gives containers what the namespace's limit ranges say they have when they say nothing, and refuses what is out of range.
 * @throws {Refusal} 403
 */
export function admitPod(world: World, pod: KubeObject): void {
  for (const range of world.store.list(builtInKind('LimitRange'), pod.metadata.namespace)) {
    for (const limit of objectsAt(range, 'spec', 'limits').filter(({ type }) => type === 'Container')) {
      for (const container of objectsAt(pod, 'spec', 'containers')) {
        const limits = { ...objectAt(limit, 'default'), ...objectAt(container, 'resources', 'limits') };
        const requests = {
          ...objectAt(limit, 'default'),
          ...objectAt(limit, 'defaultRequest'),
          ...objectAt(container, 'resources', 'limits'),
          ...objectAt(container, 'resources', 'requests'),
        };
        container.resources = { ...objectAt(container, 'resources'), limits, requests };
        for (const [name, most] of Object.entries(objectAt(limit, 'max'))) {
          const asked = limits[name];
          if ((quantity(String(asked ?? 0)) ?? 0) <= (quantity(String(most)) ?? 0)) continue;
          const words = `maximum ${name} usage per Container is ${String(most)}, but limit is ${String(asked)}`;
          throw forbidden({ group: '', kind: 'Pod', plural: 'pods', name: pod.metadata.name }, words);
        }
        for (const [name, least] of Object.entries(objectAt(limit, 'min'))) {
          const asked = requests[name];
          if ((quantity(String(asked ?? 0)) ?? 0) >= (quantity(String(least)) ?? 0)) continue;
          const words = `minimum ${name} usage per Container is ${String(least)}, but request is ${String(asked ?? 0)}`;
          throw forbidden({ group: '', kind: 'Pod', plural: 'pods', name: pod.metadata.name }, words);
        }
      }
    }
  }
}
