import type { Access } from '../../../compiler/contracts/index.ts';

/** Two members that may speak; the same name twice for one whose replicas call each other. */
export type Pair = readonly [string, string];

/** Everybody that may speak, whoever calls whom: members of one bridge network reach each other both ways. */
export function pairsOf({ members }: Access): Pair[] {
  const pairs = new Map<string, Pair>();
  for (const { id, reaches } of members) {
    for (const { to } of reaches) {
      const pair: Pair = id < to ? [id, to] : [to, id];
      pairs.set(JSON.stringify(pair), pair);
    }
  }
  return [...pairs.values()].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/**
 * Groups such that two members share a group exactly when they may speak. A network per pair would do; each group is a
 * clique of `pairs`, so one network replaces many. The fewest cliques that cover all edges of a graph are NP-hard to find
 * (Orlin 1977), so each is grown from an edge that is left by whoever covers most of what is left.
 *
 * @param covered pairs that need no group
 */
export function cliqueCover(pairs: readonly Pair[], covered: (pair: Pair) => boolean = () => false): string[][] {
  const friends = new Map<string, Set<string>>();
  const add = (a: string, b: string) => friends.set(a, (friends.get(a) ?? new Set()).add(b));
  for (const [a, b] of pairs) {
    add(a, b);
    add(b, a);
  }
  const speak = (a: string, b: string) => friends.get(a)?.has(b) === true;
  const left = new Map(pairs.filter((pair) => pair[0] !== pair[1] && !covered(pair)).map((pair) => [JSON.stringify(pair), pair]));
  const isLeft = (a: string, b: string) => left.has(JSON.stringify(a < b ? [a, b] : [b, a]));
  const groups: string[][] = [];
  while (left.size > 0) {
    const [pair] = left.values();
    const group = [...(pair ?? [])];
    for (;;) {
      const candidates = [...friends.keys()].filter((id) => !group.includes(id) && group.every((member) => speak(id, member)));
      const gains = candidates.map((id) => ({ id, gain: group.filter((member) => isLeft(id, member)).length }));
      const [best] = gains.sort((a, b) => b.gain - a.gain || (a.id < b.id ? -1 : 1));
      if (best === undefined || best.gain === 0) break;
      group.push(best.id);
    }
    for (const a of group) for (const b of group) if (a < b) left.delete(JSON.stringify([a, b]));
    groups.push(group.sort());
  }
  // Replicas of one member find each other on any network it has; one that has none needs its own.
  const placed = new Set(groups.flat());
  for (const pair of pairs) {
    const [id, other] = pair;
    if (id !== other || placed.has(id) || covered(pair)) continue;
    groups.push([id]);
    placed.add(id);
  }
  return groups;
}
