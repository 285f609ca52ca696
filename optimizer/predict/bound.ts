import type { ChannelConfiguration, Prediction } from '../../compiler/contracts/index.ts';
import type { Bound } from '../search/strategy.ts';
import { resourceChoices } from '../space/choices.ts';
import { minimumUnits, replicaRange } from '../space/partitions.ts';
import { servingPlans } from '../space/serving-plans.ts';
import type { ServingPlan, Space } from '../space/space.ts';
import { addedServersUsd, analyticParts, estimates } from './analytic.ts';
import type { CallTimes } from './analytic-model.ts';
import { createGrantsBound } from './grants-bound.ts';
import type { PredictorInput } from './input.ts';
import { hopOf, type NumericLayout, outside, undecided } from './layout.ts';
import { allocatedUsdPerHour, freeHop, type HopPrice, hopPrice, replicaUsdPerHour } from './pricing.ts';
import { serversFor } from './queueing.ts';

/** The input of the analytic predictor it bounds, calibration included: a bound made without it may cut the best. */
export interface BoundInput extends PredictorInput {
  readonly space: Space;
  /** Must not fall when latency, cost or CPU rise. */
  readonly objective: (prediction: Prediction) => number;
}

/**
 * Admissible bound of the analytic predictor: latency as in the model's `bound` mode with the most replicas allowed,
 * hops between groups at the cheapest figure of any allowed protocol, hops with an undecided end free, and money for
 * the fewest replicas that carry each group's own CPU on the cheapest resources. Every one of these only gets worse as more is decided, and the objective is monotone, so a
 * partition whose bound is above the best known objective cannot contain anything better.
 */
export function createAnalyticBound(input: BoundInput): Bound {
  const { space, pricing } = input;
  const parts = analyticParts(input);
  const { compiled, model } = parts;
  const index = new Map(compiled.components.map((name, i) => [name, i]));
  const inSpace = new Set(space.components);
  const cheapest = compiled.edges.map((edge) => componentwiseMinimum(space.protocols[edge.channel] ?? [space.defaults.protocol], input));
  const cheapestUsd = (components: readonly string[]) =>
    Math.min(...resourceChoices(space, components).map((choice) => replicaUsdPerHour(choice, pricing)));
  // A group may still gain a member that allows less; every choice of a group is a choice of one of its members.
  const anyUsd = space.components.length > 0 ? Math.min(...space.components.map((name) => cheapestUsd([name]))) : 0;
  const fewestUnits = minimumUnits(space);
  const fewestGrants = input.grants && createGrantsBound(space.workflow);
  const plans = servingPlans(space);
  const [only] = plans;
  /** GPUs of any plan, and tokens at any choice of models. */
  const cheapestPlan = {
    gpuUsd: Math.min(...plans.map((plan) => servingUsdPerHour(input, plan))),
    tokenUsd: compiled.classes.map((_, k) => Math.min(...plans.map((plan) => parts.tokenUsdOf(plan)[k] as number))),
  };
  const closed = Object.values(input.workload).some((arrivals) => arrivals.process === 'closed');

  // With nothing left to choose that changes latency, the prediction itself is the sharpest bound.
  const oneProtocol = Object.values(space.protocols).every((options) => options.length <= 1);
  const onlyReplicas = (groups: readonly (readonly string[])[], replicas?: readonly number[]) =>
    replicas !== undefined ||
    groups.every((group) => {
      const range = replicaRange(space, group);
      return range.min === range.max;
    });

  const servedBy = (plan: ServingPlan): CallTimes | 'saturated' | undefined => {
    const served = parts.serving.served({ schemaVersion: 1, units: [], channels: {}, ...plan });
    return served?.saturated ? 'saturated' : served;
  };
  // Before a plan is chosen any call may come to take no time at all.
  const nothing = new Float64Array(compiled.callModel.length);
  const anyTimes = plans.length > 1 ? { callMs: nothing, firstMs: nothing } : undefined;

  const unitOf = new Int32Array(compiled.components.length);
  const hops: (HopPrice | null)[] = compiled.edges.map(() => null);
  const unitIds: string[] = [];

  return {
    lower(groups, replicas, plan = plans.length === 1 ? only : undefined) {
      compiled.components.forEach((name, i) => {
        unitOf[i] = inSpace.has(name) ? undecided : outside;
      });
      unitIds.length = groups.length;
      groups.forEach((group, unit) => {
        unitIds[unit] = '';
        for (const name of group) {
          const i = index.get(name);
          if (i !== undefined) unitOf[i] = unit;
        }
      });
      compiled.edges.forEach((edge, e) => {
        hops[e] = hopOf(edge, unitOf, () => cheapest[e] as HopPrice);
      });
      const counts = new Int32Array(groups.length);
      groups.forEach((group, unit) => {
        counts[unit] = replicas?.[unit] ?? replicaRange(space, group).max;
      });
      // First with the most replicas: what cannot carry its load even so is out.
      const layout: NumericLayout = { unitOf, unitIds, replicas: counts, hops };
      const complete = groups.reduce((sum, group) => sum + group.length, 0) === space.components.length;
      const served = plan ? servedBy(plan) : anyTimes;
      if (served === 'saturated') return Number.POSITIVE_INFINITY;
      const decided = plan !== undefined && complete && oneProtocol && onlyReplicas(groups, replicas);
      const result = model.evaluate(layout, decided ? 'full' : 'bound', served);
      if (!result.feasible) return Number.POSITIVE_INFINITY;
      let usd = plan ? servingUsdPerHour(input, plan) : cheapestPlan.gpuUsd;
      groups.forEach((group, unit) => {
        const range = replicaRange(space, group);
        const load = (result.utilization[unit] as number) * (counts[unit] as number);
        const fewest = replicas?.[unit] ?? Math.max(range.min, closed ? 1 : serversFor(load));
        usd += fewest * (complete ? cheapestUsd(group) : anyUsd);
      });
      usd += Math.max(0, fewestUnits - groups.length) * anyUsd;
      return input.objective({
        configurationId: '',
        utilization: {},
        ...(fewestGrants ? { grants: fewestGrants(groups) } : {}),
        ...estimates(parts, result, usd, plan ? parts.tokenUsdOf(plan) : cheapestPlan.tokenUsd),
      });
    },
  };
}

const servingUsdPerHour = (input: PredictorInput, plan: ServingPlan): number =>
  allocatedUsdPerHour({ units: [], ...plan }, input.pricing) + addedServersUsd(input, plan);

function componentwiseMinimum(options: readonly ChannelConfiguration[], input: PredictorInput): HopPrice {
  if (options.length === 0) return freeHop;
  const prices = options.map((option) => hopPrice(input.prices, option));
  const least = (pick: (price: HopPrice) => number) => Math.min(...prices.map(pick));
  return {
    latencyFixedMs: least((p) => p.latencyFixedMs),
    latencyPerKbMs: least((p) => p.latencyPerKbMs),
    cpuFixedMs: least((p) => p.cpuFixedMs),
    cpuPerKbMs: least((p) => p.cpuPerKbMs),
  };
}
