import { fail, type Literal, type Plan, type PlannedListener, type PlannedUnit } from '../../contracts/index.ts';
import { unitAddress } from '../../plan/routes.ts';
import { readKagentOptions } from './options.ts';

/** Where kagent looks for the card of an agent of type BYO and sends its calls; its Service has this port and no other. */
export const agentPort = 8080;

/**
 * The same plan with the doors kagent knocks at: every unit of ours with an agent speaks A2A on port 8080, and every unit
 * of ours with tools alone speaks MCP. Units keep speaking to each other as the layout says.
 *
 * @throws DmasError `DMAS_EXPORT`
 */
export function withKagentDoors(plan: Plan, given: { readonly [option: string]: unknown }): Plan {
  readKagentOptions(given);
  const { entry } = plan.ingress;
  if (entry.kind === 'topic')
    fail(
      'DMAS_EXPORT',
      `entry: kagent calls an agent and waits for its answer, but this application is entered by the topic "${entry.publish}"`,
      {
        fix: 'use --format kubernetes, whose ingress takes topics, or make an agent the entry that publishes and collects',
      },
    );
  for (const unit of plan.units) refuseSpread(plan, unit);
  return { ...plan, units: plan.units.map((unit) => withDoor(plan, unit)) };
}

/** Whether a unit becomes an Agent: kagent asks whoever it is for the card of an agent. */
export const isAgentUnit = ({ program, agents }: PlannedUnit): boolean => program === undefined && agents.length > 0;
export const isToolUnit = ({ program, agents, toolServers }: PlannedUnit): boolean =>
  program === undefined && agents.length === 0 && toolServers.length > 0;

/** kagent makes Deployments, whose pods have no names to come back to, and its Service spreads without regard to sessions. */
function refuseSpread(plan: Plan, unit: PlannedUnit): void {
  if (!isAgentUnit(unit) || unit.replicas < 2) return;
  const sticky = plan.units.some(({ routes }) =>
    routes.some(({ address, balancing }) => balancing === 'session' && address.startsWith(`unit://${unit.id}/`)),
  );
  const gateway = plan.services.some(
    ({ kind, options }) => kind === 'gateway' && options.unit === unit.id && options.balancing === 'session',
  );
  if (sticky || gateway)
    fail(
      'DMAS_EXPORT',
      `unit "${unit.id}" keeps sessions in its ${unit.replicas} replicas, and kagent spreads calls without regard to sessions`,
      {
        fix: 'choose a layout with one replica of it, keep state in a store that all replicas share, or use --format kubernetes',
      },
    );
}

function withDoor(plan: Plan, unit: PlannedUnit): PlannedUnit {
  if (isAgentUnit(unit)) {
    // kagent 0.9 and 0.10 call in the words of A2A 0.3, whatever the card offers beside them.
    const options = { binding: 'json-rpc', legacy: true, strangerDeadlineMs: plan.ingress.deadlineMs };
    return { ...unit, listens: withListener(unit, 'a2a', options, { strangerDeadlineMs: 60_000, ...a2aDefaults }, agentPort) };
  }
  if (isToolUnit(unit) && !unit.listens.some(({ protocol }) => protocol === 'mcp'))
    return { ...unit, listens: withListener(unit, 'mcp', mcpDefaults, mcpDefaults) };
  return unit;
}

/** As `runtime/protocols/a2a.ts` and `mcp.ts` have them. */
const a2aDefaults = { binding: 'json-rpc', legacy: false } as const;
const mcpDefaults = { revision: 'auto', transport: 'http', listTtlMs: 5_000 } as const;

function withListener(
  { id, listens }: PlannedUnit,
  protocol: string,
  options: { readonly [option: string]: Literal },
  defaults: { readonly [option: string]: Literal },
  port?: number,
): readonly PlannedListener[] {
  const address = unitAddress(id, protocol, options, defaults);
  const listener = { protocol, options, address, ...(port === undefined ? {} : { port }) };
  return [...listens.filter((other) => other.address !== address), listener].sort((a, b) => (a.address < b.address ? -1 : 1));
}
