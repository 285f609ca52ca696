import { readStats, tellControl } from '../supervise/control.ts';
import type { Cluster } from './cluster.ts';
import type { Pod } from './pods.ts';
import type { Counted } from './replicas.ts';
import { send } from './traces.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';

const attempts = 3;

/** The control servers of pods, each behind a tunnel that is opened when it is first needed and lasts as long as the pod. */
export class Controls {
  readonly #cluster: Cluster;
  readonly #tunnels = new Map<string, Promise<Tunnel>>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  #to({ metadata: { name } }: Pod, port: number): Promise<Tunnel> {
    const key = `${name}:${port}`;
    const opening = this.#tunnels.get(key) ?? openTunnel(this.#cluster, () => name, port);
    this.#tunnels.set(key, opening);
    return opening;
  }

  /** Rejects when it is not told. */
  async tell(pod: Pod, port: number, method: 'PUT' | 'POST', path: string, body?: unknown): Promise<void> {
    const at = await this.#to(pod, port);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await tellControl(at, method, path, body);
      } catch (error) {
        if (attempt === attempts) throw error;
      }
    }
  }

  async stats(pod: Pod, port: number): Promise<unknown> {
    return readStats(await this.#to(pod, port));
  }

  /** Null when it does not answer. */
  async usage(pod: Pod, port: number): Promise<Counted | null> {
    const { host, port: at } = await this.#to(pod, port);
    try {
      return JSON.parse((await send(`http://${host}:${at}/usage`, 'GET', {}, '')).toString('utf8')) as Counted;
    } catch {
      return null;
    }
  }

  /** Closes the tunnels of all other pods. */
  keep(pods: readonly Pod[]): void {
    const names = new Set(pods.map(({ metadata }) => metadata.name));
    for (const [key, opening] of [...this.#tunnels]) {
      if (names.has(key.slice(0, key.lastIndexOf(':')))) continue;
      this.#tunnels.delete(key);
      void opening.then((tunnel) => tunnel.close());
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#tunnels.values()].map(async (opening) => (await opening).close()));
    this.#tunnels.clear();
  }
}
