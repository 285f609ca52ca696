import type { HardwareProfile } from '../../runtime/llm/engine/hardware-profile.ts';
import { engineReplicasOf } from '../../runtime/llm/engine/pool-size.ts';
import {
  type Json,
  type Literal,
  type LlmTraits,
  type PlannedModel,
  type PlannedService,
  type PlannedUnit,
  type Problem,
  poolOf,
  type ServingConfiguration,
} from '../contracts/index.ts';
import { unplaceable } from './constraints.ts';
import { type PlannedModelServer, planModelServer, startsServer } from './model-programs.ts';
import type { PlanRequest } from './request.ts';
import { serviceId } from './service-id.ts';
import { replayService } from './tape.ts';

/** Model bindings of the agents, and the services of each pool of model servers we run ourselves. */
export function planModels(request: PlanRequest): {
  readonly services: readonly PlannedService[];
  readonly problems: readonly Problem[];
  readonly of: (components: readonly string[]) => Pick<PlannedUnit, 'models' | 'agentModels'>;
} {
  const { workflow, scenario, configuration, llmTraits } = request;
  const problems: Problem[] = [];
  const services: PlannedService[] = [];
  /** By pool, and by name for models nobody here deploys. */
  const planned = new Map<string, PlannedModel>();
  const asked = workflow.channels
    .filter((channel) => channel.kind === 'model')
    .flatMap((channel) => channel.from.flatMap((agent) => channel.to.map((model) => ({ agent, model }))));
  /** The pool that answers; of a model no pool is configured for, the one everybody shares. */
  const poolFor = (agent: string, model: string) => poolOf(configuration, agent, model) ?? model;
  const unasked = workflow.models.filter((model) => !asked.some((pair) => pair.model === model));
  for (const pool of [...new Set([...asked.map(({ agent, model }) => poolFor(agent, model)), ...unasked])].sort()) {
    const serving = configuration.serving[pool];
    const name = serving?.model ?? pool;
    const bound = scenario.models[name];
    if (bound === undefined) {
      problems.push(unplaceable(`model "${name}" is not bound`, `add models: { ${name}: { backend: simulated } }`));
      continue;
    }
    const traits = llmTraits[bound.backend];
    if (traits === undefined) {
      problems.push(unplaceable(`model "${name}": there is no backend "${bound.backend}"`));
      continue;
    }
    const options = { ...bound.options, ...serving?.options };
    const model = bound.model ?? name;
    const secret = bound.secret === undefined ? {} : { secret: bound.secret };
    if (!startsServer(traits, bound)) {
      if (bound.url === undefined)
        problems.push(unplaceable(`model "${name}" needs a url: backend ${bound.backend} is not deployed by us`));
      planned.set(pool, { backend: bound.backend, address: bound.url ?? '', model, options, ...secret });
      continue;
    }
    const of = { pool, name, model, backend: bound.backend, options, replicas: serving?.replicas ?? 1 };
    const server = traits.program === undefined ? undefined : planModelServer(request, name, traits.program, options);
    problems.push(...(server?.problems ?? []));
    const made = bound.backend === 'replay' ? replayedPool(of, request) : servedPool(of, traits, request, server?.planned);
    services.push(...made.services);
    // The provider of a replayed model is not asked, so nobody needs its key.
    planned.set(pool, { ...made.model, ...(bound.backend === 'replay' ? {} : secret) });
  }
  return {
    services,
    problems,
    of: (components) => {
      const mine = asked.filter(({ agent }) => components.includes(agent));
      const models: Record<string, PlannedModel> = {};
      const agentModels: Record<string, Record<string, PlannedModel>> = {};
      const answer = (agent: string, model: string): PlannedModel | undefined => {
        const found = planned.get(poolFor(agent, model));
        const used = request.configuration.modelChoice?.[agent]?.[model] ?? model;
        return found === undefined || used === model ? found : { ...found, chosen: used };
      };
      for (const model of [...new Set(mine.map((pair) => pair.model))].sort()) {
        const askers = mine.filter((pair) => pair.model === model).map(({ agent }) => agent);
        // What most of the unit's agents get stands for all of them, the others are named.
        const pools = askers.map((agent) => poolFor(agent, model));
        const times = (pool: string) => pools.filter((other) => other === pool).length;
        const [usual] = [...new Set(pools)].sort((a, b) => times(b) - times(a) || (a < b ? -1 : 1));
        for (const [index, agent] of askers.entries()) {
          const found = answer(agent, model);
          if (found === undefined) continue;
          if (pools[index] === usual) models[model] = found;
          else agentModels[agent] = { ...agentModels[agent], [model]: found };
        }
      }
      return Object.keys(agentModels).length > 0 ? { models, agentModels } : { models };
    },
  };
}

interface Pool {
  readonly pool: string;
  /** Logical model. */
  readonly name: string;
  /** What it is called on the wire. */
  readonly model: string;
  readonly backend: string;
  readonly options: { readonly [option: string]: Literal };
  readonly replicas: ServingConfiguration['replicas'];
}

interface PlannedPool {
  readonly model: PlannedModel;
  readonly services: readonly PlannedService[];
}

/**
 * The servers of a pool. Where one process holds the whole pool its replicas are an option of it; else several replicas
 * of a server get a router in front.
 */
function servedPool(
  { pool, name, model, backend, options, replicas }: Pool,
  traits: LlmTraits,
  { replies, profiles }: PlanRequest,
  started: PlannedModelServer = {},
): PlannedPool {
  const id = serviceId('model', pool);
  const scripted: { [option: string]: Json } = replies?.[name] === undefined ? {} : { replies: replies[name] };
  const engines = traits.wholePool && replicas > 1 ? { engineReplicas: engineReplicasOf(options, replicas) } : {};
  const server: PlannedService = {
    id,
    kind: 'model',
    replicas: traits.wholePool ? 1 : replicas,
    resources: { vcpu: 1, memoryMb: 256 },
    options: { ...options, ...engines, backend, model, ...scripted, ...profileOf(options, profiles?.[name]) },
    ...started,
  };
  const routed = !traits.wholePool && replicas > 1;
  const front = serviceId('router', pool);
  const router: PlannedService = {
    id: front,
    kind: 'router',
    replicas: 1,
    resources: { vcpu: 1, memoryMb: 256 },
    options: { upstream: `service://${id}`, model, ...(options.router === undefined ? {} : { router: options.router }) },
  };
  return {
    model: { backend, address: `service://${routed ? front : id}`, model, options, pool },
    services: routed ? [server, router] : [server],
  };
}

/** A profile in a file travels as what it holds: where the server runs there is no such file. */
const profileOf = ({ profile }: Pool['options'], content: HardwareProfile | undefined): { profile?: Json } =>
  content !== undefined && String(profile).endsWith('.json') ? { profile: content as unknown as Json } : {};

function replayedPool({ pool, name, model, options, replicas }: Pool, request: PlanRequest): PlannedPool {
  const { cassette: _, ...own } = options;
  const id = serviceId('model', pool);
  return {
    model: { backend: 'replay', address: `service://${id}`, model, options: own, pool },
    services: [replayService(id, replicas, name, model, request, own)],
  };
}
