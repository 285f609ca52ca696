import type { Json, Plan, PlannedModel, PlannedService } from '../contracts/index.ts';
import { limitsOf } from './limiter.ts';
import type { PlanRequest } from './request.ts';
import { serviceId } from './service-id.ts';

/** What stands in for something of others is no part of what the application costs. */
const free = { vcpu: 0, memoryMb: 0 } as const;

/** The service that holds the recorded replies of a whole deployment: one, since counts and quotas are those of all. */
export function planTape({ scenario, recording, workflow }: PlanRequest): readonly PlannedService[] {
  if (recording === undefined) return [];
  const replayed = workflow.models.filter((name) => scenario.models[name]?.backend === 'replay');
  const limits: { [model: string]: Json } = {};
  for (const name of replayed) {
    const given = limitsOf({ scenario }, name);
    if (given !== undefined) limits[name] = { ...given };
  }
  const simulate = replayed.filter((name) => scenario.models[name]?.options.onMiss === 'simulate');
  return [
    {
      id: 'tape',
      kind: 'tape',
      replicas: 1,
      resources: free,
      options: { cassette: recording.sha256, entries: recording.entries, limits, simulate },
    },
  ];
}

/** The service of a replayed model: options as the scenario has them, without the path of its cassette. */
export function replayService(
  id: string,
  replicas: number,
  name: string,
  model: string,
  request: PlanRequest,
  given: { readonly [option: string]: Json },
): PlannedService {
  const { cassette: _, ...options } = given;
  return {
    id,
    kind: 'model',
    replicas,
    resources: free,
    options: { ...options, backend: 'replay', model, target: name, ignore: request.scenario.record.ignore },
    secrets: allSecrets(request),
  };
}

/** Everything secret that may stand in a prompt. */
function allSecrets({ workflow, scenario }: PlanRequest): readonly string[] {
  const named = [...workflow.agents, ...workflow.toolServers].flatMap((component) => component.secrets);
  const keys = workflow.models.flatMap((name) => scenario.models[name]?.secret ?? []);
  return [...new Set([...named, ...keys])].sort();
}

/**
 * The same plan with a recording proxy before every model endpoint. Units keep their own way to speak to it; only the
 * address is another.
 */
export function withRecorders(plan: Plan, rules: { readonly content: string; readonly ignore: readonly string[] }): Plan {
  const secrets = [...new Set(plan.units.flatMap((unit) => unit.secrets))].sort();
  const recorders = new Map<string, PlannedService>();
  const recorded = (models: { readonly [name: string]: PlannedModel }) =>
    Object.fromEntries(
      Object.entries(models).map(([name, model]) => {
        const { pool, address } = model;
        const id = serviceId('recorder', pool === undefined || pool === name ? name : `${name}@${pool}`);
        const options = { backend: 'recording', target: name, upstream: address, content: rules.content, ignore: rules.ignore };
        recorders.set(id, { id, kind: 'model', replicas: 1, resources: free, options, secrets });
        return [name, { ...model, address: `service://${id}` }];
      }),
    );
  const units = plan.units.map((unit) => ({
    ...unit,
    models: recorded(unit.models),
    ...(unit.agentModels === undefined
      ? {}
      : { agentModels: Object.fromEntries(Object.entries(unit.agentModels).map(([agent, models]) => [agent, recorded(models)])) }),
  }));
  return { ...plan, units, services: [...plan.services, ...recorders.values()].sort((a, b) => (a.id < b.id ? -1 : 1)) };
}
