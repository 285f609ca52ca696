import { randomInt } from 'node:crypto';
import type Docker from 'dockerode';
import { fail } from '../../../compiler/contracts/index.ts';
import { ownerLabels } from './labels.ts';
import { freeSubnet, parseRange, prefixFor, printAddress, printRange, type Range, rangesHere } from './subnets.ts';

/** What may be done on a network, each an agreement with the engine's bridge driver. */
export type BridgeKind =
  /** Its members reach each other and nobody else, not even the engine's machine. */
  | 'members'
  /** The engine's machine reaches its members at published ports, and they it at the gateway; nothing else is reachable. */
  | 'control'
  /** As `control`, and its members reach the world. */
  | 'outside';

export interface Bridge {
  readonly name: string;
  readonly gateway: string;
  remove(): Promise<void>;
}

export interface BridgeRequest {
  readonly name: string;
  readonly kind: BridgeKind;
  /** Containers that may be on it at once. */
  readonly members: number;
  readonly deploymentId: string;
  /** The engine runs here: what calls a published port comes from the gateway, so that answers need no other route. */
  readonly local: boolean;
  /** Where subnets are taken from; empty leaves them to the engine, whose own pools end near 31 networks. */
  readonly subnets: string;
}

/** Of networks that this process is creating and the engine does not list yet. */
const wanted = new Set<Range>();
/** A network may still be let go by a container that has just been removed. */
const removals = 20;
const removalPauseMs = 250;

/** @throws DmasError DMAS_ENV_TARGET when no subnet is left */
export async function createBridge(docker: Docker, request: BridgeRequest): Promise<Bridge> {
  const refused: Range[] = [];
  for (;;) {
    const subnet = request.subnets === '' ? null : await chooseSubnet(docker, request, refused);
    if (subnet !== null) wanted.add(subnet);
    try {
      const network = await docker.createNetwork(createOptions(request, subnet));
      const gateway = (await network.inspect()).IPAM?.Config?.[0]?.Gateway ?? '';
      // Some engines print it with its prefix.
      return { name: request.name, gateway: gateway.split('/')[0] ?? '', remove: () => removeNetwork(network) };
    } catch (error) {
      // Somebody else took it between our look and our wish.
      if (subnet === null || !/overlap|already in use|already used/i.test((error as Error).message)) throw error;
      refused.push(subnet);
    } finally {
      if (subnet !== null) wanted.delete(subnet);
    }
  }
}

async function chooseSubnet(docker: Docker, { subnets, members }: BridgeRequest, refused: readonly Range[]): Promise<Range> {
  const networks = await docker.listNetworks();
  const taken = networks.flatMap(({ IPAM }) => (IPAM?.Config ?? []).flatMap(({ Subnet = '' }) => parseRange(Subnet) ?? []));
  const within = parseRange(subnets);
  const used = [...taken, ...rangesHere(), ...wanted, ...refused];
  const found = within && freeSubnet(within, prefixFor(members), used, randomInt(2 ** 16) / 2 ** 16);
  return (
    found ??
    fail('DMAS_ENV_TARGET', `No subnet for ${members} containers is free in ${subnets}.`, {
      fix: 'Set target.subnets to a private IPv4 range with room, such as 10.214.0.0/16, or remove networks nobody uses (dmas-opt doctor --clean, docker network prune).',
    })
  );
}

export function createOptions({ name, kind, deploymentId, local }: BridgeRequest, subnet: Range | null): Docker.NetworkCreateOptions {
  const nowhere = kind === 'control' && local && subnet !== null;
  return {
    Name: name,
    Driver: 'bridge',
    CheckDuplicate: true,
    Internal: kind === 'members',
    Labels: ownerLabels(deploymentId),
    Options:
      kind === 'members'
        ? { 'com.docker.network.bridge.inhibit_ipv4': 'true' }
        : {
            'com.docker.network.bridge.enable_icc': 'false',
            'com.docker.network.bridge.enable_ip_masquerade': String(kind === 'outside'),
          },
    ...(subnet === null
      ? {}
      : {
          IPAM: {
            Config: [
              {
                Subnet: printRange(subnet),
                Gateway: printAddress(subnet.base + 1),
                // The default route of the containers leads to an address that nobody has: there is no way out.
                ...(nowhere ? { AuxiliaryAddresses: { DefaultGatewayIPv4: printAddress(subnet.base + 2) } } : {}),
              },
            ],
          },
        }),
  } as Docker.NetworkCreateOptions;
}

async function removeNetwork(network: Docker.Network): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await network.remove();
    } catch (error) {
      const { statusCode } = error as { statusCode?: number };
      if (statusCode === 404) return;
      if (attempt === removals) throw error;
      await new Promise((resolve) => setTimeout(resolve, removalPauseMs));
    }
  }
}
