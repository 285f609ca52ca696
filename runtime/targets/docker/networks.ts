import type Docker from 'dockerode';
import type { Plan } from '../../../compiler/contracts/index.ts';
import { accessOf } from '../../../compiler/plan/access.ts';
import { cliqueCover, type Pair, pairsOf } from '../../../compiler/plan/cliques.ts';
import { type Bridge, type BridgeKind, createBridge } from './bridge.ts';
import { forwardTo, receiverPath } from './forward.ts';
import { dockerName } from './labels.ts';
import { openRelay, type Relay } from './relay.ts';
import { openTunnel } from './tunnel.ts';

export interface NetworksRequest {
  readonly deploymentId: string;
  readonly otlpEndpoints: readonly string[];
  readonly subnets: string;
  readonly local: boolean;
  /** An image with Node.js, for the way of traces out of an engine on another machine. */
  readonly image: () => string;
}

/** One network a container is put on. */
export interface Attachment {
  readonly network: string;
  /** Whether others find it by name there. */
  readonly named: boolean;
  /** Whether its default route goes there. */
  readonly gateway: boolean;
}

/** The network over which this machine reaches containers, and they the receivers of traces. */
interface Control {
  readonly bridge: Bridge;
  readonly room: number;
  readonly relay: Relay | null;
  readonly otlpEndpoints: readonly string[];
}

/** A network of members that may all speak with each other. */
interface Group {
  readonly bridge: Bridge;
  readonly room: number;
  members: ReadonlySet<string>;
  /** Nobody joins any more: the plan it was made for is being replaced. */
  closed: boolean;
}

/** While a plan is replaced, the replicas of both run side by side. */
const plansAtOnce = 2;

/**
 * The networks of one deployment: an internal bridge per group of members that may speak (see `cliqueCover`), one without
 * any way out by which this machine reaches them, and one with a way out for those that call the world.
 */
export class DeploymentNetworks {
  readonly #docker: Docker;
  readonly #request: NetworksRequest;
  readonly #groups: Group[] = [];
  readonly #controls: Control[] = [];
  #outside: Bridge | null = null;
  #outgoing: ReadonlySet<string> = new Set();
  /** Members whose replicas call each other. */
  #selves: ReadonlySet<string> = new Set();
  /** Containers by name, and the member each is a replica of. */
  readonly #containers = new Map<string, { readonly id: string; readonly aliases: readonly string[]; readonly networks: Set<string> }>();
  #made = 0;

  constructor(docker: Docker, request: NetworksRequest) {
    this.#docker = docker;
    this.#request = request;
  }

  /** Receivers of traces as containers that start now reach them. */
  get otlpEndpoints(): readonly string[] {
    return this.#controls.at(-1)?.otlpEndpoints ?? [];
  }

  /** Makes what the members of a plan need, and lets those that run already reach them. */
  async prepare(plan: Plan): Promise<void> {
    const access = accessOf(plan);
    const pairs = pairsOf(access);
    const replicas = new Map([...plan.services, ...plan.units].map((member) => [member.id, member.replicas]));
    const roomFor = (ids: Iterable<string>) => plansAtOnce * [...ids].reduce((sum, id) => sum + (replicas.get(id) ?? 1), 0);
    const may = new Set(pairs.map(pairKey));
    for (const group of this.#groups) {
      const stay = [...group.members].filter((id) => replicas.has(id));
      const allowed = stay.every((a) => stay.every((b) => a >= b || may.has(pairKey([a, b]))));
      group.closed = !allowed || stay.length === 0 || roomFor(stay) > group.room;
      if (!group.closed) group.members = new Set(stay);
    }
    const open = this.#groups.filter(({ closed }) => !closed);
    const wanted = cliqueCover(pairs, ([a, b]) => open.some(({ members }) => members.has(a) && members.has(b)));
    this.#selves = new Set(pairs.flatMap(([a, b]) => (a === b ? [a] : [])));
    this.#outgoing = new Set(outgoingOf(plan, access.members));
    const room = roomFor(replicas.keys());
    const made = await Promise.allSettled([
      (this.#controls.at(-1)?.room ?? 0) < room ? this.#openControl(room) : undefined,
      this.#outgoing.size > 0 && this.#outside === null ? this.#openOutside(room) : undefined,
      ...wanted.map((members) => this.#openGroup(members, roomFor(members))),
    ]);
    for (const result of made) if (result.status === 'rejected') throw result.reason;
    await Promise.all([...this.#containers].map(([container, { id }]) => this.#join(container, id)));
  }

  /** Removes networks over which nobody speaks any more, once a plan has been replaced. */
  async settle(): Promise<void> {
    const removing = this.#groups.filter((group) => !this.#isUseful(group));
    await Promise.all(
      removing.map(async (group) => {
        const { name } = group.bridge;
        for (const [container, { networks }] of this.#containers) {
          if (!networks.delete(name)) continue;
          await this.#docker
            .getNetwork(name)
            .disconnect({ Container: container, Force: true })
            .catch(() => {});
        }
        await group.bridge.remove();
        this.#groups.splice(this.#groups.indexOf(group), 1);
      }),
    );
  }

  #isUseful({ bridge, members, closed }: Group): boolean {
    if (!closed && members.size > 1) return true;
    const here = [...this.#containers.values()].filter(({ networks }) => networks.has(bridge.name)).map(({ id }) => id);
    if (new Set(here).size > 1) return true;
    const [only = ''] = members;
    // Replicas that call each other need one network, whoever else was on it.
    return !closed && this.#selves.has(only) && this.#groupsOf(only)[0] === bridge.name;
  }

  /** The networks of a new container of a member; the first is the one it is created on. */
  enter(container: string, id: string, aliases: readonly string[]): readonly Attachment[] {
    const control = this.#controls.at(-1)?.bridge.name ?? '';
    const outside = this.#outside !== null && this.#outgoing.has(id) ? this.#outside.name : null;
    const groups = this.#groupsOf(id);
    this.#containers.set(container, { id, aliases, networks: new Set(groups) });
    return [
      ...(outside === null ? [] : [{ network: outside, named: false, gateway: true }]),
      { network: control, named: false, gateway: outside === null },
      ...groups.map((network) => ({ network, named: true, gateway: false })),
    ];
  }

  /** A container is gone. */
  leave(container: string): void {
    this.#containers.delete(container);
  }

  hasWayOut(id: string): boolean {
    return this.#outgoing.has(id);
  }

  async close(): Promise<void> {
    await Promise.all(this.#controls.map(({ relay }) => relay?.close()));
    const bridges = [...this.#groups.map(({ bridge }) => bridge), ...this.#controls.map(({ bridge }) => bridge), this.#outside];
    const removed = await Promise.allSettled(bridges.map((bridge) => bridge?.remove()));
    for (const result of removed) if (result.status === 'rejected') throw result.reason;
  }

  #groupsOf(id: string): string[] {
    return this.#groups.filter(({ members, closed }) => !closed && members.has(id)).map(({ bridge }) => bridge.name);
  }

  async #join(container: string, id: string): Promise<void> {
    const known = this.#containers.get(container);
    if (known === undefined) return;
    for (const network of this.#groupsOf(id)) {
      if (known.networks.has(network)) continue;
      known.networks.add(network);
      await this.#docker
        .getNetwork(network)
        .connect({ Container: container, EndpointConfig: { Aliases: [...known.aliases] } })
        .catch((error: unknown) => {
          // It has ended meanwhile: its successor is put on the network when it is created.
          if (this.#containers.has(container)) throw error;
        });
    }
  }

  /** Names sort so that the way out comes first: before engine 28 that decides where the default route goes. */
  #name(kind: BridgeKind): string {
    this.#made += 1;
    const place = { outside: '1-out', control: `2-control-${this.#made}`, members: `3-members-${this.#made}` }[kind];
    return `dmas-${dockerName(this.#request.deploymentId)}-${place}`;
  }

  #create(kind: BridgeKind, members: number): Promise<Bridge> {
    const { deploymentId, subnets, local } = this.#request;
    return createBridge(this.#docker, { name: this.#name(kind), kind, members, deploymentId, subnets, local });
  }

  async #openGroup(members: readonly string[], room: number): Promise<void> {
    this.#groups.push({ bridge: await this.#create('members', room), room, members: new Set(members), closed: false });
  }

  async #openOutside(room: number): Promise<void> {
    this.#outside = await this.#create('outside', room);
  }

  async #openControl(room: number): Promise<void> {
    const bridge = await this.#create('control', room + 1);
    const { otlpEndpoints, deploymentId, image } = this.#request;
    if (otlpEndpoints.length === 0) {
      this.#controls.push({ bridge, room, relay: null, otlpEndpoints });
      return;
    }
    const forward = forwardTo(otlpEndpoints);
    const { gateway } = bridge;
    try {
      const relay = await openRelay(gateway, forward).catch(() =>
        openTunnel(this.#docker, { image: image(), network: bridge.name, gateway, deploymentId }, forward),
      );
      const inside = otlpEndpoints.map((_, index) => `http://${gateway}:${relay.port}${receiverPath(index)}`);
      this.#controls.push({ bridge, room, relay, otlpEndpoints: inside });
    } catch (error) {
      await bridge.remove();
      throw error;
    }
  }
}

const pairKey = ([a, b]: Pair): string => JSON.stringify(a < b ? [a, b] : [b, a]);

/** The egress service where the plan has one: all others go through it. Else whoever calls a place outside. */
function outgoingOf({ services }: Plan, members: readonly { readonly id: string; readonly hosts: readonly unknown[] }[]): string[] {
  const egress = services.filter(({ kind }) => kind === 'egress').map(({ id }) => id);
  return egress.length > 0 ? egress : members.filter(({ hosts }) => hosts.length > 0).map(({ id }) => id);
}
