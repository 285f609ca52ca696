import type { Agent, PlannedService, PlannedState, Problem, UnitConfiguration } from '../contracts/index.ts';
import { unplaceable } from './constraints.ts';
import type { PlanRequest } from './request.ts';

export const stateAddress = 'service://state';

/**
 * Where each unit keeps state. A store that several processes may open needs nothing between; any other gets a service
 * as soon as blackboards are used by more than one process. Session state alone needs none: sessions stick to replicas.
 */
export function planState(request: PlanRequest): {
  readonly services: readonly PlannedService[];
  readonly problems: readonly Problem[];
  readonly of: (unit: UnitConfiguration) => PlannedState;
} {
  const { store, options } = request.scenario.state;
  const traits = request.stateTraits[store];
  if (traits === undefined)
    return { services: [], problems: [unplaceable(`there is no state store "${store}"`)], of: () => ({ store, options }) };
  const users = request.configuration.units.filter((unit) => usesBlackboards(request, unit));
  const processes = users.reduce((sum, unit) => sum + unit.replicas, 0);
  const hosted = !traits.multiProcess && processes > 1;
  const service: PlannedService = {
    id: 'state',
    kind: 'state',
    replicas: 1,
    resources: { vcpu: 1, memoryMb: 256 },
    options: { ...options, store },
  };
  return {
    services: hosted ? [service] : [],
    problems: [],
    of: (unit) => ({ store, options, ...(hosted && users.includes(unit) ? { address: stateAddress } : {}) }),
  };
}

function usesBlackboards({ workflow }: PlanRequest, unit: UnitConfiguration): boolean {
  return workflow.agents.some((agent) => unit.components.includes(agent.name) && agent.blackboards.length > 0);
}

/**
 * Whether calls of one session must reach one replica of the unit, whichever of its components they are for: a callee
 * may hand over to its neighbour in the same process, so the whole unit sticks.
 */
export function keepsSession({ workflow, stateTraits, scenario }: PlanRequest, unit: UnitConfiguration): boolean {
  if (unit.replicas < 2) return false;
  const shared = stateTraits[scenario.state.store]?.multiProcess === true;
  const here = workflow.agents.filter((agent) => unit.components.includes(agent.name));
  // What somebody else built keeps its sessions by itself, not in our store.
  const keeps = (agent: Agent) => agent.sticky === true || (agent.usesSessionState && (!shared || agent.elsewhere !== undefined));
  return here.some(keeps);
}
