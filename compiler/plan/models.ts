import type { Json, Literal, PlannedModel, PlannedService, PlannedUnit, Problem } from '../contracts/index.ts';
import { unplaceable } from './constraints.ts';
import type { PlanRequest } from './request.ts';
import { replayService } from './tape.ts';

/** Model bindings of the agents, and a service for each model whose server we run ourselves. */
export function planModels(request: PlanRequest): {
  readonly services: readonly PlannedService[];
  readonly problems: readonly Problem[];
  readonly of: (components: readonly string[]) => PlannedUnit['models'];
} {
  const { workflow, scenario, configuration, llmTraits, replies } = request;
  const problems: Problem[] = [];
  const services: PlannedService[] = [];
  const planned = new Map<string, PlannedModel>();
  for (const name of [...workflow.models].sort()) {
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
    const serving = configuration.serving[name];
    const options = { ...bound.options, ...serving?.options };
    const model = bound.model ?? name;
    const secret = bound.secret === undefined ? {} : { secret: bound.secret };
    if (!traits.deployed) {
      if (bound.url === undefined)
        problems.push(unplaceable(`model "${name}" needs a url: backend ${bound.backend} is not deployed by us`));
      planned.set(name, { backend: bound.backend, address: bound.url ?? '', model, options, ...secret });
      continue;
    }
    const id = `model-${name}`;
    if (bound.backend === 'replay') {
      const { cassette: _, ...own } = options as { readonly [option: string]: Literal };
      // The provider is not asked, so nobody needs its key.
      planned.set(name, { backend: 'replay', address: `service://${id}`, model, options: own });
      services.push(replayService(id, serving?.replicas ?? 1, name, model, request, own));
      continue;
    }
    planned.set(name, { backend: bound.backend, address: `service://${id}`, model, options, ...secret });
    const scripted: { [option: string]: Json } = replies?.[name] === undefined ? {} : { replies: replies[name] };
    services.push({
      id,
      kind: 'model',
      replicas: serving?.replicas ?? 1,
      resources: { vcpu: 1, memoryMb: 256 },
      options: { ...options, backend: bound.backend, model, ...scripted },
    });
  }
  return {
    services,
    problems,
    of: (components) => {
      const used = workflow.channels
        .filter((channel) => channel.kind === 'model' && channel.from.some((name) => components.includes(name)))
        .flatMap((channel) => channel.to);
      return Object.fromEntries([...planned].filter(([name]) => used.includes(name)));
    },
  };
}
