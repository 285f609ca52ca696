import type { SearchCertificate, ServingConfiguration } from '../../compiler/contracts/index.ts';
import { poolUsdPerHour } from '../../runtime/llm/engine/pool-size.ts';
import { eachPlan, mostServingPlans, servingPlanCount } from '../space/serving-plans.ts';
import type { PoolChoice, ServingShape, Space } from '../space/space.ts';
import { analyticParts } from './analytic.ts';
import type { PoolTimes } from './call-times.ts';
import type { PredictorInput } from './input.ts';

export interface ThinnedServing {
  /** The space with the plans that are left. */
  readonly space: Space;
  readonly facts: Pick<NonNullable<SearchCertificate['serving']>, 'plans' | 'unfit' | 'saturated' | 'dominated'>;
  /** True when nothing that was left out could be the best under the analytic predictor, whatever the layout. */
  readonly exact: boolean;
}

/** What one setting of one pool makes of the pool's calls. */
interface Judged {
  readonly setting: ServingConfiguration;
  readonly usdPerHour: number;
  /** Null: it keeps the measured times, or nothing is known of its engine. */
  readonly times: PoolTimes | null;
}

/**
 * Leaves out ways to serve the models that cannot be the best in any layout: settings whose pool cannot carry its calls,
 * and settings that cost no less than another one of the same pool and make no call faster. The second is exact because
 * pools do not know of each other and the analytic predictor never falls when a call takes longer or a pool costs more.
 *
 * Each pool is judged by itself, so the work grows with the sum of the settings and not with their product. Where more
 * combinations are left than can be gone through, settings are compared by the means of their calls instead, and the
 * search vouches for nothing.
 */
export function thinServing(input: PredictorInput, space: Space): ThinnedServing {
  const plans = servingPlanCount(space);
  const unfit = (space.unfit ?? []).reduce((sum, each) => sum + each.count, 0);
  if (plans <= 1 || !input.engines) return { space, facts: { plans, unfit, saturated: 0, dominated: 0 }, exact: plans <= mostServingPlans };
  const { serving } = analyticParts(input);
  const count = (shapes: readonly ServingShape[]) => servingPlanCount({ serving: shapes });
  const judge = (shape: ServingShape, pool: PoolChoice): readonly Judged[] => {
    const others = Object.fromEntries(shape.pools.flatMap(({ id, options }) => (options[0] ? [[id, options[0]] as const] : [])));
    return pool.options.map((setting) => ({
      setting,
      usdPerHour: poolUsdPerHour(setting.options, setting.replicas, input.pricing.gpuHourUsd),
      times: serving.timesOf(pool.id, setting, shape.modelChoice, others),
    }));
  };
  const thin = (shapes: readonly ServingShape[], keep: (judged: readonly Judged[]) => readonly Judged[]): readonly ServingShape[] =>
    shapes
      .map((shape) => ({
        ...shape,
        pools: shape.pools.map((pool) => ({ ...pool, options: keep(judge(shape, pool)).map(({ setting }) => setting) })),
      }))
      .filter((shape) => shape.pools.every(({ options }) => options.length > 0));

  const carried = thin(space.serving, (judged) => judged.filter(({ times }) => times?.saturated !== true));
  let left = thin(carried, (judged) => judged.filter((each, i) => !judged.some((other, j) => j !== i && beats(other, each, j < i))));
  const exact = count(left) <= mostServingPlans;
  if (!exact) left = thin(left, (judged) => judged.filter((each) => !judged.some((other) => beatsOnAverage(other, each))));
  return {
    space: { ...space, servingPlans: [...eachPlan(left)] },
    facts: { plans, unfit, saturated: plans - count(carried), dominated: count(carried) - count(left) },
    exact,
  };
}

/** No dearer and in no call slower. Of two that are equal in all of it the earlier stays. */
function beats(a: Judged, b: Judged, earlier: boolean): boolean {
  if (a.usdPerHour > b.usdPerHour) return false;
  // Measured times stand against an engine's only where both are known for the same calls.
  if (a.times === null || b.times === null) return a.times === b.times && (a.usdPerHour < b.usdPerHour || earlier);
  let strictly = a.usdPerHour < b.usdPerHour;
  for (const key of ['callMs', 'firstMs'] as const) {
    const [mine, theirs] = [a.times[key], b.times[key]];
    for (let i = 0; i < mine.length; i++) {
      if ((mine[i] as number) > (theirs[i] as number)) return false;
      if ((mine[i] as number) < (theirs[i] as number)) strictly = true;
    }
  }
  return strictly || earlier;
}

function beatsOnAverage(a: Judged, b: Judged): boolean {
  if (a.times === null || b.times === null) return false;
  const [call, first] = (['callMs', 'firstMs'] as const).map((key) => mean(a.times?.[key]) - mean(b.times?.[key])) as [number, number];
  const usd = a.usdPerHour - b.usdPerHour;
  return usd <= 0 && call <= 0 && first <= 0 && (usd < 0 || call < 0 || first < 0);
}

const mean = (values: Float64Array | undefined): number =>
  values && values.length > 0 ? values.reduce((sum, value) => sum + value, 0) / values.length : 0;
