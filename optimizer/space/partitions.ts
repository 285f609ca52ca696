import { edgesOf, entryComponent } from '../../compiler/contracts/index.ts';
import type { Space } from './space.ts';

/**
 * What the partition search places: components that must stay together are one item, so that the search tree has one
 * level per free decision. Items come in breadth-first order from the entry: neighbours are decided close to each
 * other, which makes bounds on partial partitions tight early.
 */
export interface Item {
  readonly components: readonly string[];
  /** Replica range every component of it allows; empty when `min > max`. */
  readonly replicas: { readonly min: number; readonly max: number };
}

export interface Items {
  readonly items: readonly Item[];
  /** Row-major matrix: 1 where two items may not share a unit. */
  readonly conflicts: Uint8Array;
}

/** Joins the components that must share a unit and says which of the results exclude each other. */
export function itemsOf(space: Space): Items {
  const order = breadthFirst(space);
  const group = new Map(order.map((name) => [name, [name]]));
  for (const set of space.together) {
    const known = set.filter((name) => group.has(name));
    const merged = [...new Set(known.flatMap((name) => group.get(name) ?? []))];
    for (const name of merged) group.set(name, merged);
  }
  const seen = new Set<string[]>();
  const items: Item[] = [];
  const itemOf = new Map<string, number>();
  for (const name of order) {
    const members = group.get(name) ?? [name];
    if (seen.has(members)) continue;
    seen.add(members);
    for (const member of members) itemOf.set(member, items.length);
    items.push({ components: [...members].sort(), replicas: replicaRange(space, members) });
  }
  const n = items.length;
  const conflicts = new Uint8Array(n * n);
  const forbid = (a: number, b: number) => {
    if (a === b) return;
    conflicts[a * n + b] = 1;
    conflicts[b * n + a] = 1;
  };
  for (const set of space.apart) {
    const indexes = set.map((name) => itemOf.get(name)).filter((index) => index !== undefined);
    for (const a of indexes) for (const b of indexes) forbid(a, b);
  }
  // A component that only may be replicated keeps its own unit.
  for (const component of [...space.workflow.agents, ...space.workflow.toolServers]) {
    const own = itemOf.get(component.name);
    if (own === undefined || component.mobility !== 'replicasOnly') continue;
    for (let other = 0; other < n; other++) forbid(own, other);
  }
  for (let a = 0; a < n; a++) {
    for (let b = a + 1; b < n; b++) {
      const [left, right] = [items[a] as Item, items[b] as Item];
      const both = replicaRange(space, [...left.components, ...right.components]);
      if (both.min > both.max) forbid(a, b);
    }
  }
  return { items, conflicts };
}

/** Replicas a unit of these components may have: what all of them allow. */
export function replicaRange(space: Space, components: readonly string[]): { readonly min: number; readonly max: number } {
  let min = 1;
  let max = Number.POSITIVE_INFINITY;
  for (const name of components) {
    const range = space.replicas[name] ?? { min: 1, max: 1 };
    min = Math.max(min, range.min);
    max = Math.min(max, range.max);
  }
  return { min, max };
}

export interface PartitionVisitor {
  /** Called after each placed item but the last; false cuts everything below. The arrays are reused: copy to keep. */
  readonly partial?: (groups: readonly (readonly string[])[], placed: number) => boolean;
  /** Called for each complete partition; false ends the whole enumeration. */
  readonly leaf: (groups: readonly (readonly string[])[]) => boolean | undefined;
}

/**
 * Walks all set partitions the space allows, depth first, as restricted-growth strings: item `i` joins one of the
 * groups opened before it or opens the next one, so every partition comes exactly once (Knuth, TAOCP 4A, 7.2.1.5).
 * Returns false when the visitor ended it early.
 */
export function eachPartition(space: Space, visitor: PartitionVisitor, prepared: Items = itemsOf(space)): boolean {
  const { items, conflicts } = prepared;
  const n = items.length;
  const groups: string[][] = [];
  const members: number[][] = [];
  const descend = (index: number): boolean => {
    if (index === n) return visitor.leaf(groups) !== false;
    const item = items[index] as Item;
    if (item.replicas.min > item.replicas.max) return true;
    for (let g = 0; g <= groups.length; g++) {
      const opens = g === groups.length;
      if (opens && g >= space.maxUnits) break;
      if (opens) {
        groups.push([]);
        members.push([]);
      }
      const group = groups[g] as string[];
      const inside = members[g] as number[];
      if (!inside.some((other) => conflicts[index * n + other] === 1)) {
        for (const name of item.components) group.push(name);
        inside.push(index);
        const below = index + 1 === n || !visitor.partial || visitor.partial(groups, index + 1);
        const goOn = !below || descend(index + 1);
        inside.pop();
        group.length -= item.components.length;
        if (!goOn) return false;
      }
      if (opens) {
        groups.pop();
        members.pop();
        break;
      }
    }
    return true;
  };
  return n === 0 ? visitor.leaf(groups) !== false : descend(0);
}

/** Fewest units any allowed partition has; infinity when there is none. */
export function minimumUnits(space: Space): number {
  const prepared = itemsOf(space);
  for (let units = 1; units <= Math.min(space.maxUnits, Math.max(1, prepared.items.length)); units++) {
    let found = false;
    eachPartition(
      { ...space, maxUnits: units },
      {
        leaf: () => {
          found = true;
          return false;
        },
      },
      prepared,
    );
    if (found) return units;
  }
  return Number.POSITIVE_INFINITY;
}

function breadthFirst(space: Space): string[] {
  const known = new Set(space.components);
  const neighbours = new Map<string, string[]>(space.components.map((name) => [name, []]));
  for (const edge of edgesOf(space.workflow)) {
    neighbours.get(edge.from)?.push(edge.to);
    neighbours.get(edge.to)?.push(edge.from);
  }
  const order: string[] = [];
  const visited = new Set<string>();
  const starts = [safeEntry(space), ...space.components].filter((name): name is string => name !== undefined && known.has(name));
  for (const start of starts) {
    if (visited.has(start)) continue;
    visited.add(start);
    const queue = [start];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      order.push(next);
      for (const neighbour of [...(neighbours.get(next) ?? [])].sort()) {
        if (visited.has(neighbour) || !known.has(neighbour)) continue;
        visited.add(neighbour);
        queue.push(neighbour);
      }
    }
  }
  return order;
}

function safeEntry(space: Space): string | undefined {
  try {
    return entryComponent(space.workflow);
  } catch {
    return undefined;
  }
}
