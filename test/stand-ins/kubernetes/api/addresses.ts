import { type KubeObject, objectAt } from '../state/json.ts';
import { builtInKind, type World } from './world.ts';

/** Gives a service the first free cluster address, inside loopback so that it can be listened on. */
export function claimAddress(world: World, object: KubeObject): void {
  if (object.kind !== 'Service') return;
  const spec = objectAt(object, 'spec');
  if (spec.type === 'ExternalName' || spec.clusterIP !== undefined) return;
  const taken = new Set(world.store.list(builtInKind('Service')).map((service) => objectAt(service, 'spec').clusterIP));
  for (let index = 1; index < 65_000; index += 1) {
    const address = `127.96.${index >> 8}.${index & 255}`;
    if (taken.has(address)) continue;
    spec.clusterIP = address;
    spec.clusterIPs = [address];
    return;
  }
}
