import { Pool, request } from 'undici';
import { httpUrl, type ReplicaAddress } from '../../../compiler/contracts/index.ts';
import { createRouter, type PoolRouter } from '../engine/router.ts';
import type { Router } from '../engine/step-time.ts';

/** One model server behind the router. */
export interface Replica {
  /** Its place in the router. */
  readonly index: number;
  readonly address: ReplicaAddress;
  readonly url: string;
  readonly pool: Pool;
  up: boolean;
}

/** How often a replica that is out is asked whether it is back, and how long it may take to say so. */
const probeMs = 500;
const probeTimeoutMs = 2_000;

/** The replicas of one model and which of them answer. One that fails is out until `GET /health` says that it is well. */
export class Replicas {
  readonly #kind: Router;
  #replicas: readonly Replica[] = [];
  #router: PoolRouter | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(kind: Router) {
    this.#kind = kind;
  }

  get all(): readonly Replica[] {
    return this.#replicas;
  }

  /** Where they are now. Those that stayed keep what is known of them; what a new process replaced has forgotten all. */
  update(addresses: readonly ReplicaAddress[]): void {
    const before = this.#replicas;
    const sorted = [...addresses].sort((a, b) => a.replica - b.replica);
    if (this.#router === undefined || sorted.length !== before.length)
      this.#router = sorted.length > 0 ? createRouter(this.#kind, sorted.length) : undefined;
    this.#replicas = sorted.map((address, index) => {
      const known = before[index];
      if (known !== undefined && same(known.address, address)) return known;
      this.#router?.forget(index);
      const url = httpUrl(address.at);
      return { index, address, url, pool: new Pool(url, { connections: null, headersTimeout: 0, bodyTimeout: 0 }), up: true };
    });
    // Closing waits for what is under way.
    for (const gone of before) if (!this.#replicas.includes(gone)) void gone.pool.close().catch(() => {});
  }

  /** The replica for a request, and how to say that it is done with it; undefined when none of those allowed is up. */
  choose(prefix: readonly string[], not: ReadonlySet<Replica>): { readonly replica: Replica; done(): void } | undefined {
    const router = this.#router;
    const index = router?.choose(prefix, (one) => {
      const candidate = this.#replicas[one];
      return candidate?.up === true && !not.has(candidate);
    });
    const replica = index === undefined ? undefined : this.#replicas[index];
    return router === undefined || replica === undefined ? undefined : { replica, done: () => router.done(replica.index) };
  }

  outstanding(replica: Replica): number {
    return this.#router?.outstanding[replica.index] ?? 0;
  }

  /** Out until it answers again. What it knew may be gone with it. */
  failed(replica: Replica): void {
    if (!replica.up) return;
    replica.up = false;
    this.#router?.forget(replica.index);
    this.#probeSoon();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await Promise.all(this.#replicas.map(({ pool }) => pool.destroy().catch(() => {})));
  }

  #probeSoon(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      void Promise.all(this.#replicas.filter(({ up }) => !up).map(probe)).then(() => {
        this.#timer = undefined;
        if (this.#replicas.some(({ up }) => !up)) this.#probeSoon();
      });
    }, probeMs);
    this.#timer.unref();
  }
}

const same = (a: ReplicaAddress, b: ReplicaAddress) => a.instanceId === b.instanceId && JSON.stringify(a.at) === JSON.stringify(b.at);

/** vLLM and llama.cpp answer `/health`; a server that does not know the path is there all the same. */
async function probe(replica: Replica): Promise<void> {
  try {
    const { statusCode, body } = await request(`${replica.url}/health`, { signal: AbortSignal.timeout(probeTimeoutMs) });
    await body.dump();
    if (statusCode < 500) replica.up = true;
  } catch {
    // Still out.
  }
}
