import { loopbackAddress } from '../api/addresses.ts';
import { builtInKind, type World } from '../api/world.ts';
import { type KubeObject, textAt } from '../state/json.ts';
import type { ContainerLog } from './container-log.ts';
import type { Engine } from './engine.ts';
import { PodWorker, type WorkerOptions } from './worker.ts';

/** Runs the pods of all nodes. */
export class Kubelet {
  private readonly world: World;
  private readonly engine: Engine;
  private readonly options: WorkerOptions;
  private readonly workers = new Map<string, PodWorker>();
  private readonly ending = new Map<string, Promise<void>>();
  private readonly addresses = new Set<string>();
  private closed = false;

  constructor(world: World, engine: Engine, options: WorkerOptions) {
    this.world = world;
    this.engine = engine;
    this.options = options;
  }

  /** A controller: starts workers for pods that have a node, ends those of pods that go. */
  readonly look = (world: World): void => {
    if (this.closed) return;
    const pods = world.store.list(builtInKind('Pod'));
    for (const pod of pods) {
      const { uid, deletionTimestamp } = pod.metadata;
      const over = ['Succeeded', 'Failed'].includes(textAt(pod, 'status', 'phase') ?? '');
      if (textAt(pod, 'spec', 'nodeName') === undefined) continue;
      if (deletionTimestamp !== undefined) this.end(pod);
      else if (!over && !this.workers.has(uid) && !this.ending.has(uid)) {
        this.workers.set(uid, new PodWorker(world, this.engine, pod, this.address(), this.options));
      }
    }
    const present = new Set(pods.map(({ metadata }) => metadata.uid));
    for (const [uid, worker] of this.workers) if (!present.has(uid) && !this.ending.has(uid)) this.finish(uid, worker, 0);
  };

  /** What a container printed; null where it did not start. */
  logOf(pod: KubeObject, container: string, previous: boolean): ContainerLog | null {
    const found = this.workers.get(pod.metadata.uid)?.logs.get(container);
    return (previous ? found?.previous : found?.present) ?? null;
  }

  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.workers.values()].map((worker) => worker.end(0)));
    await Promise.all(this.ending.values());
    await this.engine.close();
  }

  private end(pod: KubeObject): void {
    const { uid, deletionGracePeriodSeconds = 30 } = pod.metadata;
    const worker = this.workers.get(uid);
    if (!worker) {
      if (this.ending.has(uid)) return;
      const gone = new PodWorkerless(this.world, pod);
      gone.forget();
      return;
    }
    if (!this.ending.has(uid)) this.finish(uid, worker, deletionGracePeriodSeconds * 1000);
  }

  private finish(uid: string, worker: PodWorker, graceMs: number): void {
    const done = worker.end(graceMs).then(() => {
      worker.forget();
      this.addresses.delete(worker.view.podIp);
      this.workers.delete(uid);
      this.ending.delete(uid);
    });
    this.ending.set(uid, done);
  }

  /** A loopback address of its own for each pod. */
  private address(): string {
    for (let index = 2; ; index += 1) {
      const address = loopbackAddress(this.world, 'pod', index);
      if (this.addresses.has(address)) continue;
      this.addresses.add(address);
      return address;
    }
  }
}

/** A pod on a node that nobody runs. */
class PodWorkerless {
  private readonly world: World;
  private readonly pod: KubeObject;

  constructor(world: World, pod: KubeObject) {
    this.world = world;
    this.pod = pod;
  }

  forget(): void {
    if ((this.pod.metadata.finalizers ?? []).length === 0) this.world.store.remove(builtInKind('Pod'), this.pod);
  }
}
