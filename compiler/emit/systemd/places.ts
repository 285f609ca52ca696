import { z } from 'zod';
import { fail, httpUrl, type LogicalAddress, type Peers, type Plan, type ReplicaAddress } from '../../contracts/index.ts';
import { type PlannedMember, plannedMembers } from '../../plan/members.ts';
import { hostNameOf } from '../host-name.ts';
import { portsOf } from '../standing.ts';

export interface SystemdSettings {
  readonly node: string;
  readonly folder: string;
  readonly host: string;
  readonly port: number;
  readonly network: string;
  readonly sourceFolder: string;
}

export const settingsOf = (options: { readonly [option: string]: unknown }): SystemdSettings =>
  z
    .object({ node: z.string(), folder: z.string(), host: z.string(), port: z.number(), network: z.string(), sourceFolder: z.string() })
    .parse(options);

/** One replica and where it is. All replicas of the machine have other addresses, so their ports are the same. */
export interface Place {
  readonly member: PlannedMember;
  readonly replica: number;
  /** `<host name of the member>-<replica>`. */
  readonly name: string;
  /** Its loopback address; for what somebody else built the one it listens on is its own choice. */
  readonly ip: string;
  readonly ports: readonly { readonly address: LogicalAddress; readonly host: string; readonly port: number }[];
}

/** Programs of others listen where they are told a port, on loopback or everywhere: they need ports of their own. */
const firstForeignPort = 17_001;
/** Addresses of a network, without the first and the last of each byte. */
const perByte = 254;

export function placesOf(plan: Plan, { network, host, port }: SystemdSettings): readonly Place[] {
  const places: Place[] = [];
  let foreign = firstForeignPort;
  for (const member of plannedMembers(plan)) {
    for (let replica = 0; replica < member.replicas; replica++) {
      const ip = addressOf(network, places.length);
      const taken = member.program === null ? undefined : foreign++;
      const ports = portsOf(member).map(({ address, port: own }) => {
        if (taken !== undefined) return { address, host: '127.0.0.1', port: taken };
        return address === member.publicAddress ? { address, host, port } : { address, host: ip, port: own };
      });
      places.push({ member, replica, name: `${hostNameOf(member.id)}-${replica}`, ip, ports });
    }
  }
  return places;
}

export function addressOf(network: string, index: number): string {
  const third = Math.floor(index / perByte);
  if (third > 255) fail('DMAS_EXPORT', 'there are more replicas than loopback addresses of one network', { fix: 'use kubernetes' });
  return `${network}.${third}.${(index % perByte) + 1}`;
}

/** Where every replica of every address is. */
export function peersOf(places: readonly Place[]): Peers {
  const peers: Record<LogicalAddress, ReplicaAddress[]> = {};
  for (const { member, replica, name, ports } of places) {
    for (const { address, host, port } of ports) {
      const at = { host: host === '0.0.0.0' ? '127.0.0.1' : host, port };
      const path = member.program?.path;
      const foreign = path === undefined ? {} : { foreign: true, ...(path === '/' ? {} : { url: `${httpUrl(at)}${path}` }) };
      peers[address] = [...(peers[address] ?? []), { replica, instanceId: name, at, ...foreign }];
    }
  }
  return peers;
}
