import type { LlmTraits, Plan, PlannedModel } from '../compiler/contracts/index.ts';
import type { PoolSource } from '../profiler/collect/metrics/watch.ts';
import type { Deployment } from '../runtime/targets/target.ts';
import type { ScenarioConfig } from '../scenarios/schema.ts';
import { llmBackends } from './registry.ts';

const traitsOf: { readonly [backend: string]: LlmTraits } = Object.fromEntries(llmBackends.map(({ id, traits }) => [id, traits]));

/** Every pool of a deployment that tells its load somewhere, the ones that are pointed at included. */
export function poolSources(deployment: Pick<Deployment, 'plan' | 'modelServers'>, models: ScenarioConfig['models']): PoolSource[] {
  const { plan } = deployment;
  const sources = new Map<string, PoolSource>();
  for (const [asked, planned] of plan.units.flatMap(bindings)) {
    const model = planned.chosen ?? asked;
    const pool = planned.pool ?? model;
    const config = models[model];
    const servers = sources.has(pool) ? undefined : serversOf(deployment, planned, config?.metrics);
    if (servers === undefined) continue;
    const { maxWaiting, maxKvUse } = config?.protect ?? {};
    sources.set(pool, {
      pool,
      model,
      wireModel: planned.model,
      ...sourceOf(planned.backend),
      servers,
      ...(config?.gpuMetrics === undefined ? {} : { gpuUrl: config.gpuMetrics }),
      limit: { ...(maxWaiting === undefined ? {} : { maxWaiting }), ...(maxKvUse === undefined ? {} : { maxKvUse }) },
    });
  }
  return [...sources.values()].sort((a, b) => (a.pool < b.pool ? -1 : 1));
}

function sourceOf(backend: string): Pick<PoolSource, 'source'> {
  const source = traitsOf[backend]?.metrics;
  return source === undefined ? {} : { source };
}

const bindings = (unit: Plan['units'][number]): (readonly [string, PlannedModel])[] => [
  ...Object.entries(unit.models),
  ...Object.values(unit.agentModels ?? {}).flatMap((models) => Object.entries(models)),
];

function serversOf(
  deployment: Pick<Deployment, 'plan' | 'modelServers'>,
  { backend, address }: PlannedModel,
  metrics: string | undefined,
): PoolSource['servers'] | undefined {
  const speaks = traitsOf[backend]?.metrics !== undefined;
  if (!address.startsWith('service://')) {
    // Nobody is asked whom neither the scenario nor the kind of server names.
    const url = metrics ?? (speaks ? new URL('/metrics', address).href : undefined);
    return url === undefined ? undefined : () => [{ id: url, url, gpus: [] }];
  }
  if (!speaks) return undefined;
  const id = serviceBehind(deployment.plan, address);
  return () =>
    deployment
      .modelServers()
      .filter(({ service }) => service === id)
      .map(({ instanceId, url, gpus }) => ({ id: instanceId, url: `${url}/metrics`, gpus }));
}

/** The service that really answers: behind routers and whatever else passes calls on. */
export function serviceBehind(plan: Plan, address: string): string {
  const id = address.slice('service://'.length);
  const upstream = plan.services.find((service) => service.id === id)?.options.upstream;
  return typeof upstream === 'string' && upstream.startsWith('service://') ? serviceBehind(plan, upstream) : id;
}
