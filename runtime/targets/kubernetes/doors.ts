import type { ModelServerAddress } from '../target.ts';
import type { Cluster } from './cluster.ts';
import type { Crew, Fleet } from './fleet.ts';
import type { StagedMember } from './staged.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';

/** A tunnel, and whom it leads to. */
interface Door {
  readonly key: string;
  readonly port: number | (() => number);
  readonly wishedPort: number;
  readonly pick: () => string | undefined;
}

/** Where this machine reaches what users call, and the load that model servers tell: a tunnel for each place. */
export class Doors {
  readonly #cluster: Cluster;
  readonly #fleet: Fleet;
  /** 0: any. */
  readonly #firstPort: number;
  readonly #tunnels = new Map<string, Tunnel>();

  constructor(cluster: Cluster, fleet: Fleet, firstPort: number) {
    this.#cluster = cluster;
    this.#fleet = fleet;
    this.#firstPort = firstPort;
  }

  get urls(): readonly string[] {
    return this.#wanted('publicPort').flatMap(({ key }) => urlOf(this.#tunnels.get(key)));
  }

  modelServers(): readonly ModelServerAddress[] {
    return this.#fleet.present.flatMap(({ member, replicas }) =>
      replicas.places.flatMap(({ id, replica, pod, instance }) => {
        const [url] = member.metricsPort === null ? [] : urlOf(this.#tunnels.get(metricsKey(id, replica)));
        return pod === null || url === undefined ? [] : [{ service: id, replica, instanceId: instance, url, gpus: [] }];
      }),
    );
  }

  /** For places that have none yet. */
  async open(): Promise<void> {
    for (const { key, port, wishedPort, pick } of [...this.#wanted('publicPort'), ...this.#wanted('metricsPort')]) {
      if (!this.#tunnels.has(key)) this.#tunnels.set(key, await openTunnel(this.#cluster, pick, port, wishedPort));
    }
  }

  /** Of places that are no more. */
  async prune(): Promise<void> {
    const wanted = new Set([...this.#wanted('publicPort'), ...this.#wanted('metricsPort')].map(({ key }) => key));
    const left = [...this.#tunnels].filter(([key]) => !wanted.has(key));
    for (const [key] of left) this.#tunnels.delete(key);
    await Promise.all(left.map(([, tunnel]) => tunnel.close()));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#tunnels.values()].map((tunnel) => tunnel.close()));
  }

  #wanted(kind: 'publicPort' | 'metricsPort'): readonly Door[] {
    return this.#fleet.present.flatMap(({ member }) =>
      Array.from({ length: member.replicas }, (_, replica) => this.#door(kind, member, replica)).flatMap((door) => door ?? []),
    );
  }

  #door(kind: 'publicPort' | 'metricsPort', member: StagedMember, replica: number): Door | null {
    const { id, [kind]: port } = member;
    if (port === null) return null;
    const pick = () => this.#fleet.placeOf(id, replica)?.pod?.metadata.name;
    if (kind === 'metricsPort') return { key: metricsKey(id, replica), port, wishedPort: 0, pick };
    if (this.#firstPort === 0) return { key: `users of ${id}/${replica}`, port, wishedPort: 0, pick };
    // A port that users know leads to whoever takes their requests now.
    const entry = () => this.#fleet.present.find(({ member: { publicPort } }: Crew) => publicPort !== null);
    return {
      key: `users of ${replica}`,
      port: () => entry()?.member.publicPort ?? port,
      wishedPort: this.#firstPort + replica,
      pick: () => entry()?.replicas.places[replica]?.pod?.metadata.name,
    };
  }
}

const metricsKey = (id: string, replica: number): string => `metrics of ${id}/${replica}`;
const urlOf = (tunnel: Tunnel | undefined): string[] => (tunnel === undefined ? [] : [`http://${tunnel.host}:${tunnel.port}`]);
