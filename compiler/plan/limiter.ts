import type { ModelLimits, PlannedModel, PlannedService, PlannedUnit } from '../contracts/index.ts';
import type { PlanRequest } from './request.ts';

export const limiterAddress = 'service://limiter';

/** Limits of a model as the plan has them; undefined when there are none. */
export function limitsOf({ scenario }: Pick<PlanRequest, 'scenario'>, model: string): ModelLimits | undefined {
  const { requestsPerMinute, tokensPerMinute, concurrency, window } = scenario.models[model]?.limits ?? {};
  if (requestsPerMinute === undefined && tokensPerMinute === undefined && concurrency === undefined) return undefined;
  return {
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
    ...(tokensPerMinute === undefined ? {} : { tokensPerMinute }),
    ...(concurrency === undefined ? {} : { concurrency }),
    windowMs: window ?? 0,
  };
}

/**
 * Units whose models have limits are told so, and one service keeps count for all of them. Replayed models need none: there
 * the tape plays the provider and refuses. Programs of others speak to their models by themselves, so nothing can hold them.
 */
export function planLimiter(
  request: PlanRequest,
  units: readonly PlannedUnit[],
): { readonly units: readonly PlannedUnit[]; readonly services: readonly PlannedService[] } {
  const limited = new Map<string, ModelLimits>();
  const told = (name: string, model: PlannedModel): PlannedModel => {
    const limits = model.backend === 'replay' ? undefined : limitsOf(request, model.chosen ?? name);
    if (limits === undefined) return model;
    limited.set(model.chosen ?? name, limits);
    return { ...model, limits, limiter: limiterAddress };
  };
  const all = (models: PlannedUnit['models']) =>
    Object.fromEntries(Object.entries(models).map(([name, model]) => [name, told(name, model)]));
  const withLimits = units.map((unit): PlannedUnit => {
    if (unit.program !== undefined) return unit;
    const { models, agentModels } = unit;
    if (agentModels === undefined) return { ...unit, models: all(models) };
    const own = Object.entries(agentModels).map(([agent, theirs]) => [agent, all(theirs)]);
    return { ...unit, models: all(models), agentModels: Object.fromEntries(own) };
  });
  if (limited.size === 0) return { units, services: [] };
  const limits = Object.fromEntries([...limited].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, each]) => [name, { ...each }]));
  const resources = { vcpu: 0.25, memoryMb: 128 };
  return { units: withLimits, services: [{ id: 'limiter', kind: 'limiter', replicas: 1, resources, options: { limits } }] };
}
