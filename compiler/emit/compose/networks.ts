import type { Access } from '../../contracts/index.ts';
import { cliqueCover, pairsOf } from '../../plan/cliques.ts';
import { hostNameOf } from '../host-name.ts';

export interface ComposeNetworks {
  readonly networks: { readonly [network: string]: object };
  /** Of a member, sorted. */
  readonly of: (id: string) => readonly string[];
}

/**
 * An engine has about 31 networks to give by itself (15 of 172.17.0.0/12 and 16 of 192.168.0.0/16), for everything on the
 * machine; a project that asks for more than a third of them brings its own subnets.
 */
const mostByDefault = 10;
/** A subnet takes the third byte of an address. */
const mostSubnets = 256;

/**
 * Two members share a network exactly when one may call the other. These have no way out; the member that users call gets
 * one in which it can be called but from which nothing is passed on, and the egress service, or members that call places
 * outside by themselves, one each.
 */
export function composeNetworks(access: Access): ComposeNetworks {
  const networks = new Map<string, { readonly definition: object; readonly ids: readonly string[] }>();
  for (const group of cliqueCover(pairsOf(access)))
    networks.set(group.map(hostNameOf).join('_'), { definition: { internal: true }, ids: group });
  for (const { id, hosts, through, public: isPublic } of access.members) {
    // Two lines keep these apart from the others: host names have none.
    if (hosts.length > 0 && through === undefined) networks.set(`outside__${hostNameOf(id)}`, { definition: {}, ids: [id] });
    else if (isPublic) networks.set(`users__${hostNameOf(id)}`, { definition: calledOnly, ids: [id] });
  }
  const own = networks.size > mostByDefault && networks.size <= mostSubnets;
  const sorted = [...networks].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    networks: Object.fromEntries(
      sorted.map(([name, { definition }], index) => [name, own ? { ...definition, ...subnet(index) } : definition]),
    ),
    of: (id) => sorted.filter(([, { ids }]) => ids.includes(id)).map(([name]) => name),
  };
}

/** Without masquerading, answers to what a container sends out by itself find no way back. */
const calledOnly = { driver_opts: { 'com.docker.network.bridge.enable_ip_masquerade': 'false' } };

const subnet = (index: number) => ({ ipam: { config: [{ subnet: `\${SUBNETS:-10.198}.${index}.0/24` }] } });
