import type { Edge } from '../../compiler/contracts/index.ts';

export type Groups = readonly (readonly string[])[];

export interface CoverInput {
  readonly components: readonly string[];
  readonly edges: readonly Edge[];
  /** Every allowed partition of the components. */
  readonly partitions: readonly Groups[];
  /** Names of what may be spoken on a channel that crosses units. */
  readonly protocols: readonly string[];
}

/** One layout: who shares a unit, and what each channel that crosses units speaks. */
export interface CoverCase {
  readonly groups: Groups;
  readonly channels: { readonly [channel: string]: string };
}

/**
 * Few layouts in which every two values of every two parameters meet that can meet at all. Parameters are each pair of
 * components (`together` or `apart`) and each channel (a protocol, or `inproc` where it crosses no unit). With three
 * protocols it has 16 layouts at least as soon as two channels are free of each other: four values times four.
 *
 * Greedy, after AETG (Cohen et al., IEEE TSE 23(7), 1997): each next layout is built around the first pair still
 * missing, in the partition and with the protocols that add most of the others; the best of a few orders in which
 * protocols are decided. No randomness: same input, same cover.
 */
export function pairwiseCover(input: CoverInput): readonly CoverCase[] {
  const channels = channelsOf(input.edges);
  const orders = channels.length === 0 ? [[]] : channels.map((_, start) => [...channels.slice(start), ...channels.slice(0, start)]);
  const covers = orders.map((order) => greedyCover(input, order));
  return covers.reduce((best, cover) => (cover.length < best.length ? cover : best));
}

function greedyCover(input: CoverInput, order: readonly string[]): readonly CoverCase[] {
  const numbers = createNumbering();
  const missing = coverable(input, numbers);
  const open = input.partitions.map((groups) => new Set(crossing(input.edges, groups)));
  const cases: CoverCase[] = [];
  for (let target = missing.values().next().value; target !== undefined; target = missing.values().next().value) {
    const wanted = numbers.valuesOfPair(target);
    let best: { readonly chosen: CoverCase; readonly adds: readonly number[] } | undefined;
    for (const [index, groups] of input.partitions.entries()) {
      const crosses = order.filter((id) => open[index]?.has(id));
      const chosen = around(input, groups, crosses, wanted, missing, numbers);
      const values = numbers.of(valuesOf(input, chosen));
      if (!wanted.every((value) => values.includes(value))) continue;
      const adds = numbers.pairs(values).filter((pair) => missing.has(pair));
      if (best === undefined || adds.length > best.adds.length) best = { chosen, adds };
    }
    if (best === undefined) throw new RangeError('a pair was called coverable that no layout has');
    cases.push(best.chosen);
    for (const pair of best.adds) missing.delete(pair);
  }
  return cases;
}

/** A layout of one partition with the wanted protocols, and with those that add most on its other channels. */
function around(
  input: CoverInput,
  groups: Groups,
  crosses: readonly string[],
  wanted: readonly number[],
  missing: ReadonlySet<number>,
  numbers: Numbering,
): CoverCase {
  const channels: Record<string, string> = {};
  for (const id of crosses) {
    const forced = input.protocols.find((protocol) => wanted.includes(numbers.of([`${id}=${protocol}`])[0] ?? -1));
    if (forced !== undefined) channels[id] = forced;
  }
  const settled = numbers.of([
    ...placementOf(input.components, groups),
    ...channelsOf(input.edges).flatMap((id) => (crosses.includes(id) ? [] : [`${id}=inproc`])),
    ...Object.entries(channels).map(([id, protocol]) => `${id}=${protocol}`),
  ]);
  for (const id of crosses) {
    if (channels[id] !== undefined) continue;
    let most = -1;
    for (const protocol of input.protocols) {
      const [value = -1] = numbers.of([`${id}=${protocol}`]);
      let adds = 0;
      for (const other of settled) if (missing.has(numbers.pair(value, other))) adds += 1;
      if (adds <= most) continue;
      most = adds;
      channels[id] = protocol;
    }
    settled.push(...numbers.of([`${id}=${channels[id]}`]));
  }
  return { groups, channels };
}

/** The values a layout gives the parameters, as words such as `a|b=together` or `a->b=grpc`. */
export function valuesOf({ components, edges }: Pick<CoverInput, 'components' | 'edges'>, { groups, channels }: CoverCase): string[] {
  return [...channelsOf(edges).map((id) => `${id}=${channels[id] ?? 'inproc'}`), ...placementOf(components, groups)];
}

const channelsOf = (edges: readonly Edge[]): readonly string[] => [...new Set(edges.map((edge) => edge.channel))];
const unitsOf = (groups: Groups) => new Map(groups.flatMap((group, index) => group.map((name) => [name, index] as const)));

function placementOf(components: readonly string[], groups: Groups): readonly string[] {
  const unit = unitsOf(groups);
  return components.flatMap((a, index) =>
    components.slice(index + 1).map((b) => `${a}|${b}=${unit.get(a) === unit.get(b) ? 'together' : 'apart'}`),
  );
}

/** Channels with an edge between two units of a partition. */
export function crossing(edges: readonly Edge[], groups: Groups): readonly string[] {
  const unit = unitsOf(groups);
  return channelsOf(edges.filter(({ from, to }) => unit.get(from) !== unit.get(to)));
}

/** Pairs some layout has. Once the partition is fixed, protocols of two channels are free of each other. */
function coverable(input: CoverInput, numbers: Numbering): Set<number> {
  const found = new Set<number>();
  for (const groups of input.partitions) {
    const open = crossing(input.edges, groups);
    const fixed = valuesOf(input, { groups, channels: {} }).filter((value) => !open.some((id) => value === `${id}=inproc`));
    const free = open.map((id) => numbers.of(input.protocols.map((protocol) => `${id}=${protocol}`)));
    const settled = numbers.of(fixed);
    for (const pair of numbers.pairs(settled)) found.add(pair);
    for (const [index, values] of free.entries()) {
      for (const value of values) {
        for (const other of [...settled, ...free.slice(index + 1).flat()]) found.add(numbers.pair(value, other));
      }
    }
  }
  return found;
}

interface Numbering {
  of(values: readonly string[]): number[];
  pair(a: number, b: number): number;
  pairs(values: readonly number[]): readonly number[];
  valuesOfPair(pair: number): readonly [number, number];
}

/** Values as small numbers and pairs of values as one number, since pairs are looked up by the million. */
function createNumbering(): Numbering {
  const most = 4096;
  const numbers = new Map<string, number>();
  const pair = (a: number, b: number) => (a < b ? a * most + b : b * most + a);
  return {
    of: (values) =>
      values.map((value) => {
        const present = numbers.get(value) ?? numbers.size;
        numbers.set(value, present);
        return present;
      }),
    pair,
    pairs: (values) => values.flatMap((a, index) => values.slice(index + 1).map((b) => pair(a, b))),
    valuesOfPair: (number) => [Math.floor(number / most), number % most],
  };
}
