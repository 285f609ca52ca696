import type { ModelServerAddress } from '../target.ts';
import type { Cluster } from './cluster.ts';
import type { Fleet } from './fleet.ts';
import type { StagedMember } from './staged.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';

/** Where this machine reaches what users call, and the load that model servers tell: a tunnel for each place. */
export class Doors {
  readonly #cluster: Cluster;
  readonly #fleet: Fleet;
  /** 0: any. */
  readonly #firstPort: number;
  readonly #public = new Map<string, Tunnel>();
  readonly #metrics = new Map<string, Tunnel>();

  constructor(cluster: Cluster, fleet: Fleet, firstPort: number) {
    this.#cluster = cluster;
    this.#fleet = fleet;
    this.#firstPort = firstPort;
  }

  get urls(): readonly string[] {
    const keys = this.#fleet.staged.filter(({ publicPort }) => publicPort !== null).flatMap((member) => placesOf(member));
    return keys.flatMap((key) => urlOf(this.#public.get(key)));
  }

  modelServers(): readonly ModelServerAddress[] {
    return this.#fleet.held().flatMap(({ member, place: { id, replica, pod, instance } }) => {
      const [url] = member.metricsPort === null ? [] : urlOf(this.#metrics.get(`${id}/${replica}`));
      return pod === null || url === undefined ? [] : [{ service: id, replica, instanceId: instance, url, gpus: [] }];
    });
  }

  /** For places that have none yet. */
  async open(): Promise<void> {
    for (const member of this.#fleet.staged) {
      if (member.publicPort !== null) await this.#open(this.#public, member, member.publicPort, this.#firstPort);
      if (member.metricsPort !== null) await this.#open(this.#metrics, member, member.metricsPort, 0);
    }
  }

  /** Of places that are no more. */
  async prune(): Promise<void> {
    const wanted = (port: 'publicPort' | 'metricsPort') =>
      new Set(this.#fleet.staged.filter((member) => member[port] !== null).flatMap((member) => placesOf(member)));
    for (const [tunnels, keys] of [
      [this.#public, wanted('publicPort')],
      [this.#metrics, wanted('metricsPort')],
    ] as const) {
      for (const [key, tunnel] of [...tunnels]) {
        if (keys.has(key)) continue;
        tunnels.delete(key);
        await tunnel.close();
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#public.values(), ...this.#metrics.values()].map((tunnel) => tunnel.close()));
  }

  async #open(tunnels: Map<string, Tunnel>, member: StagedMember, port: number, wished: number): Promise<void> {
    for (const key of placesOf(member)) {
      if (tunnels.has(key)) continue;
      const replica = Number(key.slice(key.lastIndexOf('/') + 1));
      const pick = () => this.#fleet.placeOf(member.id, replica)?.pod?.metadata.name;
      tunnels.set(key, await openTunnel(this.#cluster, pick, port, wished > 0 ? wished + replica : 0));
    }
  }
}

const placesOf = ({ id, replicas }: StagedMember): string[] => Array.from({ length: replicas }, (_, replica) => `${id}/${replica}`);
const urlOf = (tunnel: Tunnel | undefined): string[] => (tunnel === undefined ? [] : [`http://${tunnel.host}:${tunnel.port}`]);
