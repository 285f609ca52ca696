import { edgesOf } from '../../compiler/contracts/index.ts';
import { crossingChannels, resourceChoices } from './choices.ts';
import { type Items, itemsOf, replicaRange } from './partitions.ts';
import { servingPlanCount } from './serving-plans.ts';
import type { Space } from './space.ts';

/** Up to here the subset recursion (3^n steps) stays under a second. */
const exactItems = 14;

/**
 * Number of configurations in the space; exact up to 14 freely placed items and 2^53, else an upper bound that ignores
 * `apart` and `maxUnits`.
 *
 * Counts by recursion over subsets: the group that holds the lowest item of a set, times the count of the rest, times
 * the protocol choices of the channels this split cuts.
 */
export function spaceSize(space: Space): number {
  const prepared = itemsOf(space);
  const serving = servingPlanCount(space);
  if (prepared.items.length === 0) return serving;
  const { free, fixed } = splitFixed(space, prepared);
  const size = free.length <= exactItems ? exactSize(space, prepared, free, fixed) : upperBound(space, prepared);
  return size * serving;
}

/** Items that exclude everything else always form their own unit; leaving them out keeps the recursion small. */
function splitFixed(_space: Space, { items, conflicts }: Items): { readonly free: readonly number[]; readonly fixed: readonly number[] } {
  const n = items.length;
  const alone = (i: number) => items.every((_, j) => i === j || conflicts[i * n + j] === 1);
  const indexes = items.map((_, i) => i);
  return { free: indexes.filter((i) => !alone(i)), fixed: indexes.filter(alone) };
}

function unitChoices(space: Space, components: readonly string[]): number {
  const range = replicaRange(space, components);
  return Math.max(0, range.max - range.min + 1) * resourceChoices(space, components).length;
}

function exactSize(space: Space, { items, conflicts }: Items, free: readonly number[], fixed: readonly number[]): number {
  const n = free.length;
  const full = 2 ** n - 1;
  const bitOf = new Map(free.flatMap((item, bit) => (items[item]?.components ?? []).map((name) => [name, bit] as const)));
  // A channel is inside a set when all its ends are; channels with an end that never moves in always cross.
  let alwaysCross = 1;
  const channels: { readonly mask: number; readonly options: number }[] = [];
  for (const id of new Set(edgesOf(space.workflow).map((edge) => edge.channel))) {
    const ends = edgesOf(space.workflow).filter((edge) => edge.channel === id);
    const names = ends.flatMap((edge) => [edge.from, edge.to]);
    const options = space.protocols[id]?.length ?? 1;
    const sameItem = items.some((item) => names.every((name) => item.components.includes(name)));
    if (sameItem) continue;
    const bits = names.map((name) => bitOf.get(name));
    if (bits.some((bit) => bit === undefined)) alwaysCross *= options;
    else channels.push({ mask: bits.reduce<number>((mask, bit) => mask | (1 << (bit ?? 0)), 0), options });
  }
  const inside = new Float64Array(full + 1);
  const units = new Float64Array(full + 1);
  for (let set = 0; set <= full; set++) {
    let product = 1;
    for (const channel of channels) if ((channel.mask & set) === channel.mask) product *= channel.options;
    inside[set] = product;
    units[set] = groupChoices(space, items, conflicts, free, set);
  }
  const fixedChoices = fixed.reduce((product, item) => product * unitChoices(space, items[item]?.components ?? []), 1);
  const maxGroups = Math.min(n, space.maxUnits - fixed.length);
  if (n === 0) return space.maxUnits >= fixed.length ? fixedChoices * alwaysCross : 0;
  if (maxGroups < 1) return 0;
  // count[k][set]: configurations of the set in exactly k groups; one row is enough when the number is not limited.
  const limited = maxGroups < n;
  let previous = new Float64Array(full + 1);
  previous[0] = 1;
  let total = 0;
  if (!limited) {
    const count = new Float64Array(full + 1);
    count[0] = 1;
    for (let set = 1; set <= full; set++) count[set] = splits(set, count, units, inside);
    total = count[full] ?? 0;
  } else {
    for (let k = 1; k <= maxGroups; k++) {
      const row = new Float64Array(full + 1);
      for (let set = 1; set <= full; set++) row[set] = splits(set, previous, units, inside);
      total += row[full] ?? 0;
      previous = row;
    }
  }
  return total * fixedChoices * alwaysCross;
}

function splits(set: number, rest: Float64Array, units: Float64Array, inside: Float64Array): number {
  const lowest = set & -set;
  const others = set ^ lowest;
  let sum = 0;
  for (let sub = others; ; sub = (sub - 1) & others) {
    const group = sub | lowest;
    const left = set ^ group;
    const ways = (units[group] ?? 0) * (rest[left] ?? 0);
    if (ways > 0) sum += (ways * (inside[set] ?? 1)) / ((inside[group] ?? 1) * (inside[left] ?? 1));
    if (sub === 0) return sum;
  }
}

function groupChoices(space: Space, items: Items['items'], conflicts: Uint8Array, free: readonly number[], set: number): number {
  const chosen = free.filter((_, bit) => (set >> bit) & 1);
  for (const a of chosen) for (const b of chosen) if (conflicts[a * items.length + b] === 1) return 0;
  return unitChoices(
    space,
    chosen.flatMap((index) => items[index]?.components ?? []),
  );
}

function upperBound(space: Space, { items }: Items): number {
  const perItem = items.reduce((product, item) => product * Math.max(1, unitChoices(space, item.components)), 1);
  const groups = items.map((item) => item.components);
  const protocols = crossingChannels(space, groups).reduce((product, id) => product * (space.protocols[id]?.length ?? 1), 1);
  return bell(items.length) * perItem * protocols;
}

/** Bell number: set partitions of n things, by the Bell triangle. */
export function bell(n: number): number {
  let row = [1];
  for (let i = 1; i <= n; i++) {
    const next = [row[row.length - 1] ?? 1];
    for (const value of row) next.push((next[next.length - 1] ?? 0) + value);
    row = next;
  }
  return row[0] ?? 1;
}
