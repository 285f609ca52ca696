import { z } from 'zod';
import {
  type Configuration,
  configurationId,
  createRandom,
  deriveSeed,
  type Prediction,
  type Random,
  type ScoredConfiguration,
} from '../../compiler/contracts/index.ts';
import { type Choices, choicesOf, configurationOf, firstPick, type Pick } from '../space/choices.ts';
import { type Items, itemsOf } from '../space/partitions.ts';
import { spaceSize } from '../space/size.ts';
import type { Space } from '../space/space.ts';
import { createBestList } from './best-list.ts';
import { defineSearchStrategy, type SearchInput, type SearchStrategy } from './strategy.ts';

const defaultEvaluations = 2_000;
/** Moves without improvement before a new start. */
const patience = 25;

export default defineSearchStrategy({
  id: 'random',
  title: 'Random starts with local moves; for spaces too large to search whole',
  options: z.strictObject({}),
  traits: { exact: false, maxComponents: 200 },
  load: async () => random,
});

export const random: SearchStrategy = {
  search(input) {
    const { best, evaluated } = sampleLayouts(input);
    const first = best[0]?.objective;
    const lower = input.bound?.lower([]) ?? Number.NEGATIVE_INFINITY;
    const gap = first === undefined || !Number.isFinite(lower) || first <= 0 ? 1 : Math.min(1, Math.max(0, (first - lower) / first));
    return {
      best,
      certificate: { strategy: 'random', evaluated, pruned: 0, spaceSize: spaceSize(input.space), optimalUnder: 'none', gap },
    };
  },
};

/** A point of the space as the moves change it: group number per item, and a pick with the choices it indexes. */
interface Point {
  readonly groupOf: readonly number[];
  readonly choices: Choices;
  readonly pick: Pick;
  readonly groups: readonly (readonly string[])[];
}

/** Seeded sampling: the layout with the fewest units first, then random ones, each improved by moves until none helps for a while. */
export function sampleLayouts(input: SearchInput): { readonly best: readonly ScoredConfiguration[]; readonly evaluated: number } {
  const { space, objective, evaluate } = input;
  const prepared = itemsOf(space);
  const rng = createRandom(deriveSeed(input.seed, 'random-search'));
  const best = createBestList(input.count);
  const seen = new Map<string, number>();
  const budget = input.maxEvaluations ?? defaultEvaluations;
  let attempts = 0;

  const score = (point: Point): number => {
    attempts++;
    const configuration: Configuration = configurationOf(space, point.groups, point.choices, point.pick);
    const id = configurationId(configuration);
    const known = seen.get(id);
    if (known !== undefined) return known;
    const prediction: Prediction = evaluate(configuration);
    const value = objective(prediction);
    seen.set(id, value);
    best.add(configuration, prediction, value, input.tieBreak?.(prediction) ?? 0);
    return value;
  };

  let first = true;
  // Attempts bound the loop where the space is smaller than the budget.
  while (seen.size < budget && attempts < 3 * budget && !input.signal.aborted) {
    let point = startPoint(space, prepared, rng, first ? 1 : 0.3 + 0.6 * rng.next());
    first = false;
    if (!point) {
      attempts += patience;
      continue;
    }
    let value = score(point);
    for (let failed = 0; failed < patience && seen.size < budget && attempts < 3 * budget; ) {
      const next = move(space, prepared, point, rng);
      const nextValue = next ? score(next) : Number.POSITIVE_INFINITY;
      if (next && nextValue < value) {
        point = next;
        value = nextValue;
        failed = 0;
      } else failed++;
    }
  }
  return { best: best.items(), evaluated: seen.size };
}

/** Places the items in random order; each joins an allowed group with the given chance, else opens a new one. */
function startPoint(space: Space, prepared: Items, rng: Random, joining: number): Point | null {
  const n = prepared.items.length;
  const groupOf = new Array<number>(n).fill(-1);
  let groups = 0;
  for (const item of rng.shuffle(prepared.items.map((_, i) => i))) {
    const open = [...Array(groups).keys()].filter((g) => fits(prepared, groupOf, item, g));
    const join = open.length > 0 && (rng.next() < joining || groups >= space.maxUnits);
    if (!join && groups >= space.maxUnits) return null;
    groupOf[item] = join ? (open[rng.integer(open.length)] as number) : groups++;
  }
  return pointOf(space, prepared, groupOf, null, rng);
}

const fits = ({ items, conflicts }: Items, groupOf: readonly number[], item: number, group: number): boolean =>
  groupOf.every((g, other) => g !== group || other === item || conflicts[item * items.length + other] !== 1);

/** Rebuilds groups from group numbers; keeps the pick where the partition is the same, else draws a new one. */
function pointOf(space: Space, prepared: Items, groupOf: readonly number[], pick: Pick | null, rng: Random): Point {
  const numbers = [...new Set(groupOf)];
  const groups = numbers.map((g) => prepared.items.flatMap((item, i) => (groupOf[i] === g ? item.components : [])));
  const choices = choicesOf(space, groups);
  return { groupOf, groups, choices, pick: pick ?? (rng.next() < 0.5 ? firstPick(choices) : randomPick(choices, rng)) };
}

function randomPick(choices: Choices, rng: Random): Pick {
  return {
    replicas: choices.replicas.map((range) => range.min + rng.integer(range.max - range.min + 1)),
    resources: choices.resources.map((list) => rng.integer(list.length)),
    channels: choices.channels.map((channel) => rng.integer(channel.options.length)),
    serving: rng.integer(choices.serving.length),
  };
}

/** One random neighbour: an item to another or a new group, or one setting changed; null when the draw is not allowed. */
function move(space: Space, prepared: Items, point: Point, rng: Random): Point | null {
  const n = prepared.items.length;
  if (n > 1 && rng.next() < 0.6) {
    const groups = new Set(point.groupOf);
    const targets = [...groups, Math.max(...groups) + 1];
    const item = rng.integer(n);
    const target = targets[rng.integer(targets.length)] as number;
    if (target === point.groupOf[item] || !fits(prepared, point.groupOf, item, target)) return null;
    const groupOf = point.groupOf.map((g, i) => (i === item ? target : g));
    if (new Set(groupOf).size > space.maxUnits) return null;
    return pointOf(space, prepared, groupOf, null, rng);
  }
  const { choices, pick } = point;
  const settings: (() => Pick)[] = [];
  const changed = (list: readonly number[], index: number, size: number, from = 0) =>
    list.map((value, i) => (i === index ? from + ((value - from + 1 + rng.integer(size - 1)) % size) : value));
  choices.replicas.forEach((range, i) => {
    const size = range.max - range.min + 1;
    if (size > 1) settings.push(() => ({ ...pick, replicas: changed(pick.replicas, i, size, range.min) }));
  });
  choices.resources.forEach((list, i) => {
    if (list.length > 1) settings.push(() => ({ ...pick, resources: changed(pick.resources, i, list.length) }));
  });
  choices.channels.forEach((channel, i) => {
    if (channel.options.length > 1) settings.push(() => ({ ...pick, channels: changed(pick.channels, i, channel.options.length) }));
  });
  const plans = choices.serving.length;
  if (plans > 1) settings.push(() => ({ ...pick, serving: changed([pick.serving], 0, plans)[0] ?? 0 }));
  const setting = settings[rng.integer(settings.length)];
  return setting ? { ...point, pick: setting() } : null;
}
