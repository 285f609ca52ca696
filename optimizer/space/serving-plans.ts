import {
  type Configuration,
  canonicalConfiguration,
  canonicalJson,
  type Problem,
  type ServingConfiguration,
} from '../../compiler/contracts/index.ts';
import type { ServingPlan, ServingShape, Space } from './space.ts';

/** Plans that are listed at most where nothing has thinned them out yet. */
export const mostServingPlans = 20_000;

/** Number of ways to serve the models, all shapes and settings together. */
export const servingPlanCount = ({ serving }: Pick<Space, 'serving'>): number => serving.reduce((sum, shape) => sum + plansOf(shape), 0);

const plansOf = ({ pools }: ServingShape): number => pools.reduce((product, { options }) => product * options.length, 1);

const listed = new WeakMap<readonly ServingShape[], readonly ServingPlan[]>();

/**
 * The ways to serve the models a search goes through: those left by `servingPlans` of the space, else all, up to
 * `mostServingPlans`.
 */
export function servingPlans(space: Space): readonly ServingPlan[] {
  if (space.servingPlans) return space.servingPlans;
  let plans = listed.get(space.serving);
  if (!plans) {
    plans = [...eachPlan(space.serving)];
    listed.set(space.serving, plans);
  }
  return plans;
}

/** All settings of all shapes, the first setting of each pool first. */
export function* eachPlan(shapes: readonly ServingShape[], most = mostServingPlans): Generator<ServingPlan> {
  let left = most;
  for (const shape of shapes) {
    const index = shape.pools.map(() => 0);
    for (;;) {
      if (left-- <= 0) return;
      yield planOf(shape, index);
      let place = index.length - 1;
      while (place >= 0 && (index[place] ?? 0) + 1 >= (shape.pools[place]?.options.length ?? 1)) {
        index[place] = 0;
        place--;
      }
      if (place < 0) break;
      index[place] = (index[place] ?? 0) + 1;
    }
  }
}

export function planOf({ modelChoice, pools }: ServingShape, index: readonly number[]): ServingPlan {
  const serving: Record<string, ServingConfiguration> = {};
  pools.forEach(({ id, options }, place) => {
    const chosen = options[index[place] ?? 0];
    if (chosen) serving[id] = chosen;
  });
  return modelChoice === undefined ? { serving } : { serving, modelChoice };
}

/** Where a configuration serves its models in a way the space has not; what runs today is always allowed. */
export function servingProblems(space: Space, configuration: Configuration): readonly Problem[] {
  const { serving, modelChoice } = canonicalConfiguration(configuration);
  const asToday =
    modelChoice === undefined &&
    canonicalJson(serving) === canonicalJson(canonicalConfiguration({ ...configuration, serving: space.defaults.serving }).serving);
  if (asToday || space.serving.every(({ pools }) => pools.length === 0)) return [];
  const problem = (message: string): Problem => ({ code: 'DMAS_PLAN_UNPLACEABLE', severity: 'error', message });
  const chosen = canonicalJson(modelChoice ?? {});
  const names = Object.keys(serving).join(' ');
  const shape = space.serving.find((candidate) => canonicalJson(candidate.modelChoice ?? {}) === chosen && poolNames(candidate) === names);
  if (!shape) return [problem(`the pools ${Object.keys(serving).join(', ') || 'none'} are not in the search`)];
  return shape.pools.flatMap(({ id, options }) =>
    options.some((option) => canonicalJson(option) === canonicalJson(serving[id] ?? null))
      ? []
      : [problem(`pool ${id} is served with settings that are not in the search`)],
  );
}

const poolNames = ({ pools }: ServingShape): string =>
  pools
    .map(({ id }) => id)
    .sort()
    .join(' ');
