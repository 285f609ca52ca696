import { performance } from 'node:perf_hooks';
import type { ReplicaAddress } from '../../compiler/contracts/binding.ts';
import { isInstanceAt } from '../names.ts';
import type { Connection } from '../protocols/protocol.ts';
import { rendezvous } from './hashing.ts';
import { RetryBudget } from './retry-budget.ts';

/** One callee process as seen from here. */
export interface Replica {
  address: ReplicaAddress;
  readonly connection: Connection;
  outstanding: number;
  /** Failures since the last success; each doubles the time it is put aside. */
  failures: number;
  asideUntil: number;
  /** No longer among the peers: closed once nothing is under way. */
  gone: boolean;
}

export interface Choice {
  /** Calls with one key go to one replica. */
  readonly affinity: string | undefined;
  /** Only this instance will do. */
  readonly instance: string | undefined;
  /** Tried already. */
  readonly except: ReadonlySet<Replica>;
}

const firstAsideMs = 100;
const longestAsideMs = 5_000;

/** The replicas behind one logical address, and which of them takes a call. */
export class ReplicaSet {
  readonly budget = new RetryBudget();
  readonly #connect: (to: ReplicaAddress) => Connection;
  #replicas: Replica[] = [];
  /** Those that take what comes. */
  #staying: readonly Replica[] = [];

  constructor(connect: (to: ReplicaAddress) => Connection) {
    this.#connect = connect;
  }

  /** Those that take what comes. */
  get all(): readonly Replica[] {
    return this.#staying;
  }

  /** Takes on new instances, lets go of those that are no more. A replica that stays keeps its connection. */
  update(addresses: readonly ReplicaAddress[]): void {
    const before = new Map(this.#replicas.map((replica) => [replica.address.instanceId, replica]));
    this.#replicas = addresses.map((address) => {
      const known = before.get(address.instanceId);
      if (known !== undefined && JSON.stringify(known.address.at) === JSON.stringify(address.at)) {
        before.delete(address.instanceId);
        known.address = address;
        return known;
      }
      return { address, connection: this.#connect(address), outstanding: 0, failures: 0, asideUntil: 0, gone: false };
    });
    this.#staying = this.#replicas.filter((replica) => replica.address.retiring !== true);
    for (const replica of before.values()) {
      replica.gone = true;
      closeWhenIdle(replica);
    }
  }

  /**
   * Without affinity the less busy of two random ones (Mitzenmacher, "The Power of Two Choices in Randomized Load
   * Balancing", 2001); with it the rendezvous choice over replica numbers, so that a restarted replica keeps its keys.
   * Replicas that failed just now are passed over while there are others; those that retire take only what names them.
   */
  pick(choice: Choice): Replica | undefined {
    if (choice.instance !== undefined) return this.#instance(choice.instance);
    const only = this.#staying[0];
    if (this.#staying.length === 1 && only !== undefined && !choice.except.has(only)) return only;
    const untried = choice.except.size === 0 ? this.#staying : this.#staying.filter((replica) => !choice.except.has(replica));
    const now = performance.now();
    const sound = untried.filter((replica) => replica.asideUntil <= now);
    const candidates = sound.length > 0 ? sound : untried;
    if (choice.affinity !== undefined) return rendezvous(choice.affinity, candidates, (replica) => replica.address.replica);
    return lessBusyOfTwo(candidates);
  }

  #instance(id: string): Replica | undefined {
    const known = this.#replicas.find(({ address }) => address.instanceId === id);
    // Whoever was found by a name is known by its address alone.
    return known ?? this.#replicas.find(({ address }) => isInstanceAt(id, address.at));
  }

  begin(replica: Replica): void {
    replica.outstanding++;
  }

  end(replica: Replica): void {
    replica.outstanding--;
    if (replica.gone) closeWhenIdle(replica);
  }

  failed(replica: Replica): void {
    replica.asideUntil = performance.now() + Math.min(longestAsideMs, firstAsideMs * 2 ** replica.failures);
    replica.failures++;
  }

  succeeded(replica: Replica): void {
    if (replica.failures === 0) return;
    replica.failures = 0;
    replica.asideUntil = 0;
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#replicas.map((replica) => replica.connection.close()));
    this.#replicas = [];
    this.#staying = [];
  }
}

function closeWhenIdle(replica: Replica): void {
  if (replica.outstanding === 0) void replica.connection.close().catch(() => {});
}

/** Picks by the number of calls under way; equal ones at random. */
export function lessBusyOfTwo<T extends { outstanding: number }>(candidates: readonly T[]): T | undefined {
  if (candidates.length < 2) return candidates[0];
  const first = Math.floor(Math.random() * candidates.length);
  const second = (first + 1 + Math.floor(Math.random() * (candidates.length - 1))) % candidates.length;
  const a = candidates[first];
  const b = candidates[second];
  if (a === undefined || b === undefined) return a ?? b;
  return a.outstanding <= b.outstanding ? a : b;
}
