import { declaredHosts, rightsOf } from '../../scenarios/rights.ts';
import {
  canonicalConfiguration,
  configurationId,
  elsewhereOf,
  entryComponent,
  type Plan,
  type PlannedIngress,
  type PlannedModel,
  type PlannedService,
  type PlannedUnit,
  type Problem,
  plannedModelsOf,
  toolServerNames,
  type UnitConfiguration,
} from '../contracts/index.ts';
import { checkPlacement, unplaceable } from './constraints.ts';
import { withEgress } from './egress.ts';
import { planLimiter } from './limiter.ts';
import { planModels } from './models.ts';
import { planPrograms } from './programs.ts';
import type { PlanRequest } from './request.ts';
import { planRoutes } from './routes.ts';
import { keepsSession, planState } from './state.ts';
import { planTape } from './tape.ts';
import { ingressName, topicsOf } from './topics.ts';

export const gatewayAddress = 'service://gateway';

/**
 * A configuration made concrete: units with listeners, routes and the services between. Pure: same request, same plan.
 * `plan` is absent when the configuration cannot be realized; the problems then say why.
 */
export function planDeployment(request: PlanRequest): { readonly plan?: Plan; readonly problems: readonly Problem[] } {
  const configuration = canonicalConfiguration(request.configuration);
  const canonical: PlanRequest = { ...request, configuration };
  const misplaced = checkPlacement(canonical);
  if (misplaced.length > 0) return { problems: misplaced };

  const door = ingressUnit(canonical);
  const ingress = planIngress(canonical, door);
  const routing = planRoutes(canonical, door);
  const programs = planPrograms(canonical);
  const models = planModels(canonical);
  const state = planState(canonical);
  const problems = [...programs.problems, ...routing.problems, ...models.problems, ...state.problems];
  if (problems.some((problem) => problem.severity === 'error')) return { problems };

  const servers = toolServerNames(request.workflow);
  const rights = rightsOf(request.scenario);
  const planned = door.components.length > 0 ? configuration.units : [...configuration.units, door];
  const bare = planned.map((unit): PlannedUnit => {
    const used = models.of(unit.components);
    const program = programs.of(unit, routing.routes(unit.id));
    const hosts = declaredHosts(request.workflow, rights, unit.components);
    return {
      id: unit.id,
      agents: unit.components.filter((name) => !servers.has(name)),
      toolServers: unit.components.filter((name) => servers.has(name)),
      replicas: unit.replicas,
      resources: unit.resources,
      listens: routing.listens(unit.id),
      routes: routing.routes(unit.id),
      topics: topicsOf(request.workflow, unit.components, unit.id === ingress.unit),
      ...used,
      state: state.of(unit),
      secrets: secretsOf(canonical, unit, plannedModelsOf(used)),
      ...(hosts.length === 0 ? {} : { hosts }),
      ingress: unit.id === ingress.unit,
      ...(program === undefined ? {} : { program }),
    };
  });
  const { units, services: limiter } = planLimiter(canonical, bare);
  const services = [...models.services, ...state.services, ...gatewayOf(canonical, ingress), ...planTape(canonical), ...limiter].sort(
    (a, b) => (a.id < b.id ? -1 : 1),
  );
  const clash = services.find((service) => units.some((unit) => unit.id === service.id));
  if (clash !== undefined) return { problems: [unplaceable(`a unit and a service are both named "${clash.id}"`, 'rename the agent')] };
  const plan: Plan = {
    schemaVersion: 1,
    application: request.name,
    target: request.target,
    configurationId: configurationId(configuration),
    units,
    services,
    ingress,
  };
  return { plan: request.targetTraits.egress === 'proxy' ? withEgress(plan, rights.networks) : plan, problems };
}

/**
 * The unit that takes requests: that of the entry component. An entry that runs elsewhere cannot hold our ingress, so
 * then it gets a unit of its own, which holds nothing else.
 */
function ingressUnit({ workflow, configuration, scenario }: PlanRequest): UnitConfiguration {
  const component = entryComponent(workflow);
  if (elsewhereOf(workflow, component) !== undefined)
    return { id: ingressName, components: [], replicas: 1, resources: scenario.baseline.resources };
  const unit = configuration.units.find((candidate) => candidate.components.includes(component));
  if (unit === undefined) throw new RangeError(`component ${component} is in no unit`);
  return unit;
}

function planIngress({ workflow, scenario }: PlanRequest, unit: UnitConfiguration): PlannedIngress {
  return {
    unit: unit.id,
    ...(unit.replicas > 1 ? { gateway: gatewayAddress } : {}),
    entry: workflow.entry,
    deadlineMs: scenario.ingress.deadline,
  };
}

function gatewayOf(request: PlanRequest, ingress: PlannedIngress): PlannedService[] {
  const unit = request.configuration.units.find((candidate) => candidate.id === ingress.unit);
  if (ingress.gateway === undefined || unit === undefined) return [];
  const balancing = keepsSession(request, unit) ? 'session' : 'least-outstanding';
  return [{ id: 'gateway', kind: 'gateway', replicas: 1, resources: { vcpu: 1, memoryMb: 256 }, options: { unit: unit.id, balancing } }];
}

/** What its agents and tool servers declare, and the keys of the models they call. */
function secretsOf({ workflow }: PlanRequest, unit: UnitConfiguration, models: readonly PlannedModel[]): readonly string[] {
  const components = [...workflow.agents, ...workflow.toolServers].filter(({ name }) => unit.components.includes(name));
  const keys = models.flatMap((model) => model.secret ?? []);
  return [...new Set([...components.flatMap((component) => component.secrets), ...keys])].sort();
}
