import { type Plan, type PlannedModel, type PlannedUnit, plannedModelsOf } from '../../contracts/index.ts';
import { rayServiceName } from './names.ts';
import { readRayOptions } from './options.ts';
import { type RayPool, rayPools } from './pools.ts';
import { routeOf, servePort } from './serve-config.ts';

/**
 * The same plan with its models served by Ray: their servers and routers are gone, and units ask the Service that KubeRay
 * puts before Serve. That name is the same for every cluster KubeRay makes of the RayService.
 */
export function withModelsOnRay(plan: Plan, given: { readonly [option: string]: unknown }): Plan {
  const pools = rayPools(plan, readRayOptions(given).weights);
  const gone = new Set(pools.flatMap(({ addresses }) => addresses));
  const units = plan.units.map((unit) => moved(unit, (model) => servedBy(pools, plan, model)));
  // A tape that nobody asks any more, since what it answered for is served for real.
  const replayed = units.some((unit) => plannedModelsOf(unit).some(({ backend }) => backend === 'replay'));
  const services = plan.services.filter(({ id, kind }) => !gone.has(`service://${id}`) && (kind !== 'tape' || replayed));
  return { ...plan, units, services };
}

function servedBy(pools: readonly RayPool[], plan: Plan, model: PlannedModel): PlannedModel {
  const pool = pools.find(({ addresses }) => addresses.includes(model.address));
  if (pool === undefined) return model;
  const address = modelUrl(plan, pool);
  const { retries } = model.options;
  // The words of a simulated engine mean nothing to a client; those of vLLM’s client it keeps.
  return model.backend === 'vllm'
    ? { ...model, address }
    : { ...model, address, backend: 'openai-compatible', options: retries === undefined ? {} : { retries } };
}

/** Where agents find a pool; `/v1` is part of it. */
export const modelUrl = (plan: Plan, pool: RayPool): string => `http://${rayServiceName(plan)}-serve-svc:${servePort}${routeOf(pool)}/v1`;

function moved(unit: PlannedUnit, to: (model: PlannedModel) => PlannedModel): PlannedUnit {
  const each = (models: PlannedUnit['models']) => Object.fromEntries(Object.entries(models).map(([name, model]) => [name, to(model)]));
  const { models, agentModels } = unit;
  return {
    ...unit,
    models: each(models),
    ...(agentModels === undefined
      ? {}
      : { agentModels: Object.fromEntries(Object.entries(agentModels).map(([agent, own]) => [agent, each(own)])) }),
  };
}
