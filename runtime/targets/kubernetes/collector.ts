import type { Cluster, KubernetesObject } from './cluster.ts';
import { tracesPort } from './inside/traces.ts';
import { labels } from './labels.ts';
import { helperOptions, type KubernetesOptions } from './options.ts';
import { isReady, type Pod } from './pods.ts';
import { ownership } from './record.ts';
import { drainTraces, isLocal, oneAfterAnother, tracesObjects, tracesRole } from './traces.ts';
import { openTunnel, type Tunnel } from './tunnel.ts';
import type { ObjectView } from './watch.ts';

/** How often spans are fetched while they come, so that the collector inside does not fill up. */
const fetchEveryMs = 5_000;

/** Spans for receivers of this machine: held in the cluster, since they mean nothing to a pod, until they are fetched. */
export class Collector {
  readonly #receivers: readonly string[];
  #endpoints: readonly string[];
  #tunnel: Tunnel | undefined;
  #timer: NodeJS.Timeout | undefined;
  #drain: () => Promise<void> = async () => {};

  constructor(otlpEndpoints: readonly string[]) {
    this.#receivers = otlpEndpoints.filter(isLocal);
    this.#endpoints = otlpEndpoints;
  }

  /** Whether there is one at all. */
  get needed(): boolean {
    return this.#receivers.length > 0;
  }

  /** Where pods send their spans; known once its objects are. */
  get endpoints(): readonly string[] {
    return this.#endpoints;
  }

  async objects(name: string, deploymentId: string, options: KubernetesOptions): Promise<readonly KubernetesObject[]> {
    if (!this.needed) return [];
    const owned = ownership(deploymentId);
    const { objects, url } = await tracesObjects(name, {
      ...helperOptions(options),
      labels: { ...options.labels, ...owned.labels, [labels.role]: tracesRole },
      annotations: { ...options.annotations, ...owned.annotations },
    });
    this.#endpoints = [url, ...this.#endpoints.filter((endpoint) => !isLocal(endpoint))];
    return objects;
  }

  /** Begins to fetch, once its pod is ready. */
  async open(cluster: Cluster, pods: ObjectView): Promise<void> {
    if (!this.needed) return;
    const holder = () => pods.objects.find((pod) => pod.metadata.labels?.[labels.role] === tracesRole && isReady(pod as Pod));
    this.#tunnel = await openTunnel(cluster, () => holder()?.metadata.name, tracesPort);
    const tunnel = this.#tunnel;
    this.#drain = oneAfterAnother(async () => void (await drainTraces(tunnel, this.#receivers)));
    this.#timer = setInterval(() => void this.fetch().catch(() => {}), fetchEveryMs).unref();
  }

  /** What was held when this was called is with the receivers when it has ended. */
  fetch(): Promise<void> {
    return this.#drain();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#tunnel?.close();
  }
}
