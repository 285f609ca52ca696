import type { Router } from './step-time.ts';

/** Spreads requests over the replicas of a pool, as a function of what it was told: no clock, no randomness. */
export interface PoolRouter {
  /**
   * The replica for the next request, of those that are `up`; undefined when none is. `prefix` names the prompt's full
   * blocks, each key everything up to and with its block. The request counts as outstanding until `done`.
   */
  choose(prefix: readonly string[] | undefined, up?: (replica: number) => boolean): number | undefined;
  /** A request has left its replica, however it ended. */
  done(replica: number): void;
  /** The replica has lost what it knew: its process was replaced. */
  forget(replica: number): void;
  /** Requests under way per replica. */
  readonly outstanding: readonly number[];
}

/**
 * When prefix affinity gives way. The numbers are the defaults of the cache-aware policy that the vLLM router and the SGLang
 * model gateway share: `--cache-threshold`, `--balance-abs-threshold`, `--balance-rel-threshold`.
 */
export interface AffinityLimits {
  /** Share of the prompt's blocks a replica must know before it is preferred for that. */
  readonly matchShare: number;
  /** The pool is out of balance when the busiest replica has more than this many requests above the idlest, … */
  readonly imbalance: number;
  /** … and more than this many times as many. */
  readonly imbalanceRatio: number;
}
export const affinityLimits: AffinityLimits = { matchShare: 0.3, imbalance: 64, imbalanceRatio: 1.5 };

export interface RouterOptions {
  readonly limits?: AffinityLimits;
  /** Blocks remembered per replica: what its cache can hold. */
  readonly capacityBlocks?: number;
}

/**
 * - `round-robin`: in turn, skipping replicas that are down.
 * - `least-outstanding`: fewest requests under way; among equals the one chosen longest ago.
 * - `prefix-affinity`: the replica that was sent the longest beginning of this prompt, as long as that is a fair part of it
 *   and the pool is in balance; else the least outstanding, among equals the one that knows least. The idea is that of the
 *   cache-aware policies of the SGLang model gateway and the vLLM router and of Ray Serve's prefix affinity router: the
 *   router remembers what it sent where, and asks no engine.
 */
export function createRouter(kind: Router, replicas: number, options: RouterOptions = {}): PoolRouter {
  if (!Number.isInteger(replicas) || replicas < 1) throw new RangeError(`a pool has at least one replica, not ${replicas}`);
  const limits = options.limits ?? affinityLimits;
  const outstanding = Array.from({ length: replicas }, () => 0);
  const chosenAt = Array.from({ length: replicas }, () => -1);
  const known = outstanding.map(() => createPrefixIndex(options.capacityBlocks ?? Number.POSITIVE_INFINITY));
  let turn = 0;

  const least = (candidates: readonly number[], less: (a: number, b: number) => number) =>
    candidates.reduce((best, one) => (less(one, best) < 0 ? one : best));
  const fewest = (a: number, b: number) => count(outstanding, a) - count(outstanding, b);
  const longestAgo = (a: number, b: number) => count(chosenAt, a) - count(chosenAt, b);

  const balanced = (candidates: readonly number[]) => {
    const loads = candidates.map((replica) => count(outstanding, replica));
    const [low, high] = [Math.min(...loads), Math.max(...loads)];
    return high - low <= limits.imbalance || high <= low * limits.imbalanceRatio;
  };

  function byPrefix(candidates: readonly number[], prefix: readonly string[]): number {
    const matched = new Map(candidates.map((replica) => [replica, (known[replica] as PrefixIndex).match(prefix)]));
    const blocks = (replica: number) => matched.get(replica) ?? 0;
    const longest = Math.max(...matched.values());
    if (longest > 0 && longest >= limits.matchShare * prefix.length && balanced(candidates))
      return least(candidates, (a, b) => blocks(b) - blocks(a) || fewest(a, b) || longestAgo(a, b));
    const size = (replica: number) => (known[replica] as PrefixIndex).size;
    return least(candidates, (a, b) => fewest(a, b) || size(a) - size(b) || longestAgo(a, b));
  }

  function pick(candidates: readonly number[], prefix: readonly string[]): number {
    if (kind === 'round-robin') return candidates.find((replica) => replica >= turn % replicas) ?? (candidates[0] as number);
    if (kind === 'prefix-affinity' && prefix.length > 0) return byPrefix(candidates, prefix);
    return least(candidates, (a, b) => fewest(a, b) || longestAgo(a, b));
  }

  let choices = 0;
  const all = outstanding.map((_, replica) => replica);
  return {
    outstanding,
    choose: (prefix = [], up) => {
      const candidates = up === undefined ? all : all.filter(up);
      if (candidates.length === 0) return undefined;
      const replica = candidates.length === 1 ? (candidates[0] as number) : pick(candidates, prefix);
      turn = replica + 1;
      chosenAt[replica] = choices++;
      outstanding[replica] = count(outstanding, replica) + 1;
      if (kind === 'prefix-affinity') known[replica]?.add(prefix);
      return replica;
    },
    done: (replica) => {
      outstanding[replica] = Math.max(0, count(outstanding, replica) - 1);
    },
    forget: (replica) => {
      known[replica] = createPrefixIndex(options.capacityBlocks ?? Number.POSITIVE_INFINITY);
    },
  };
}

const count = (counts: readonly number[], replica: number) => counts[replica] ?? 0;

interface PrefixIndex {
  /** Leading blocks that are known. */
  match(prefix: readonly string[]): number;
  add(prefix: readonly string[]): void;
  readonly size: number;
}

/**
 * Which blocks a replica was sent. Each key stands for everything before it, and a beginning is always at least as new as
 * what goes on from it, so that a prompt's known blocks are its first ones: found by bisection, and kept so when old ones go.
 */
function createPrefixIndex(capacityBlocks: number): PrefixIndex {
  let lastUse = new Map<string, number>();
  let uses = 0;
  const shrink = () => {
    // Half of it at once, so that a full index does not sort itself at every request.
    const newest = [...lastUse].sort(([, a], [, b]) => b - a);
    const oldestKept = newest[Math.floor(capacityBlocks / 2)]?.[1] ?? 0;
    lastUse = new Map(newest.filter(([, use]) => use > oldestKept));
  };
  return {
    match: (prefix) => {
      let [low, high] = [0, prefix.length];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (lastUse.has(prefix[middle - 1] as string)) low = middle;
        else high = middle - 1;
      }
      return low;
    },
    add: (prefix) => {
      uses++;
      for (const key of prefix) lastUse.set(key, uses);
      if (lastUse.size > capacityBlocks) shrink();
    },
    get size() {
      return lastUse.size;
    },
  };
}
