import { type KubeObject, objectAt } from '../state/json.ts';
import { builtInKind, type World } from './world.ts';

/** Addresses of one stand-in for each kind of thing. */
const most = 2_048;

/**
 * An address inside loopback, so that it can be listened on, that no other stand-in of this machine gives away: others have other blocks.
 *
 * @param index from 0 to 2047
 */
export function loopbackAddress({ block }: World, kind: 'pod' | 'service', index: number): string {
  const number = (block * 2 + (kind === 'pod' ? 0 : 1)) * most + index;
  return `127.${number >> 16}.${(number >> 8) & 255}.${number & 255}`;
}

/** Gives a service the first free cluster address. */
export function claimAddress(world: World, object: KubeObject): void {
  if (object.kind !== 'Service') return;
  const spec = objectAt(object, 'spec');
  if (spec.type === 'ExternalName' || spec.clusterIP !== undefined) return;
  const taken = new Set(world.store.list(builtInKind('Service')).map((service) => objectAt(service, 'spec').clusterIP));
  for (let index = 1; index < most; index += 1) {
    const address = loopbackAddress(world, 'service', index);
    if (taken.has(address)) continue;
    spec.clusterIP = address;
    spec.clusterIPs = [address];
    return;
  }
}
