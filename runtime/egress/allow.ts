import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { clusterNamespaceOf, hostWord, parseOutsideHost } from '../../compiler/contracts/outside-host.ts';
import { isIn, isPublic, networksOf } from './addresses.ts';

/** Why a call outside is not made. */
export type Refusal = 'undeclared' | 'private' | 'unknown-name' | 'unreadable' | 'stranger' | 'busy';

export interface ResolvedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

export type Decision = { readonly addresses: readonly ResolvedAddress[] } | { readonly refused: Refusal };

export type Lookup = (host: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;

const systemLookup: Lookup = (host) => lookup(host, { all: true });

/**
 * Decides on one caller's calls. A place is allowed when host and port are on the list, letter by letter. A name is looked
 * up here and the call goes to what was found, so that no second answer of a name server can lead elsewhere (DNS
 * rebinding); private addresses behind a name are left out unless they are in `networks` or the name is one of the cluster's
 * own. An address that stands on the list itself is taken as it is.
 */
export function createAllowList(allowed: readonly string[], networks: readonly string[], find: Lookup = systemLookup) {
  const places = new Set(allowed);
  const inside = networksOf(networks);
  return async (host: string, port: number): Promise<Decision> => {
    const place = parseOutsideHost(hostWord({ host, port }));
    if (place === undefined) return { refused: 'unreadable' };
    if (!places.has(hostWord(place))) return { refused: 'undeclared' };
    const family = isIP(place.host);
    if (family !== 0) return { addresses: [{ address: place.host, family: family === 6 ? 6 : 4 }] };
    const found = await find(place.host).catch(() => []);
    if (found.length === 0) return { refused: 'unknown-name' };
    const ofCluster = clusterNamespaceOf(place.host) !== undefined;
    const usable = found.filter(({ address }) => ofCluster || isPublic(address) || isIn(inside, address));
    if (usable.length === 0) return { refused: 'private' };
    return { addresses: usable.map(({ address, family: known }) => ({ address, family: known === 6 ? 6 : 4 })) };
  };
}

export type AllowList = ReturnType<typeof createAllowList>;

/** For whoever reads a refusal. */
export const refusalWords: { readonly [refusal in Refusal]: string } = {
  undeclared: 'no component of it declares that place',
  private: 'the name stands for a private address that no network under rights.networks holds',
  'unknown-name': 'nobody knows the name',
  unreadable: 'it is no host and port',
  stranger: 'the caller is not the unit this port is for',
  busy: 'it has too many connections open',
};
