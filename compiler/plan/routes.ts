import {
  type ChannelConfiguration,
  elsewhereOf,
  type LogicalAddress,
  type PlannedListener,
  type Problem,
  type Route,
  spokenBetween,
  type UnitConfiguration,
} from '../contracts/index.ts';
import { unplaceable } from './constraints.ts';
import { foreignConfig } from './programs.ts';
import type { Options, PlanRequest } from './request.ts';
import { keepsSession } from './state.ts';
import { ingressName, publishersOf, subscribersOf } from './topics.ts';

/** One caller-to-callee pair that may need a wire. */
interface Need {
  readonly channel: string;
  readonly from: string;
  readonly to: string;
  readonly repeatable: boolean;
}

/** `unit://<unit>/<protocol>[?option=value]`: options that differ from their default, sorted. */
export function unitAddress(unit: string, protocol: string, options: Options, defaults: Options = {}): LogicalAddress {
  const query = Object.keys(options)
    .sort()
    .filter((name) => options[name] !== defaults[name])
    .map((name) => `${encodeURIComponent(name)}=${encodeURIComponent(String(options[name]))}`)
    .join('&');
  return `unit://${unit}/${protocol}${query === '' ? '' : `?${query}`}`;
}

/** How every channel crosses units, and what each unit must listen on for it. Ends in one process need neither. */
export function planRoutes(request: PlanRequest, ingressUnit: UnitConfiguration) {
  const units = [...request.configuration.units, ...(ingressUnit.components.length === 0 ? [ingressUnit] : [])];
  const problems = new Map<string, Problem>();
  const routes = new Map<string, Route[]>();
  const listeners = new Map<string, Map<LogicalAddress, PlannedListener>>();
  const unitOf = (component: string): UnitConfiguration | undefined =>
    units.find((unit) => (component === ingressName ? unit.id === ingressUnit.id : unit.components.includes(component)));

  for (const need of [...needsOf(request), ...entryNeed(request, ingressUnit)]) {
    const [source, sink] = [unitOf(need.from), unitOf(need.to)];
    const external = foreignConfig(request, need.to)?.external;
    if (source === undefined || (sink === undefined && external === undefined)) continue;
    if (source === sink && !mayLeaveItsReplica(need, sink)) continue;
    const spoken = protocolOf(request, need);
    const refusal = refuse(request, need, spoken);
    if (refusal !== undefined) {
      problems.set(refusal.message, refusal);
      continue;
    }
    const { protocol } = spoken;
    const defaults = request.protocolDefaults?.[protocol] ?? {};
    const options = { ...defaults, ...spoken.options };
    if (sink === undefined) {
      const address = external?.url ?? '';
      listIn(routes, source.id).push({ ...need, protocol, options, address, balancing: 'least-outstanding' });
      continue;
    }
    const address = unitAddress(sink.id, protocol, options, defaults);
    const balancing = keepsSession(request, sink) ? 'session' : 'least-outstanding';
    listIn(routes, source.id).push({ ...need, protocol, options, address, balancing });
    const listening = listeners.get(sink.id) ?? new Map<LogicalAddress, PlannedListener>();
    listeners.set(sink.id, listening.set(address, { protocol, options, address }));
  }
  for (const problem of shareLimits(request, units, routes)) problems.set(problem.message, problem);
  return {
    problems: [...problems.values()],
    routes: (unit: string): readonly Route[] => (routes.get(unit) ?? []).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)),
    listens: (unit: string): readonly PlannedListener[] =>
      [...(listeners.get(unit)?.values() ?? [])].sort((a, b) => (a.address < b.address ? -1 : 1)),
  };
}

/** The ingress calls an entry agent in its own unit; one that runs elsewhere it must reach. */
function entryNeed({ workflow }: PlanRequest, ingressUnit: UnitConfiguration): readonly Need[] {
  const { entry } = workflow;
  if (entry.kind !== 'agent' || ingressUnit.components.length > 0) return [];
  const repeatable = workflow.agents.find(({ name }) => name === entry.agent)?.effect !== 'sideEffect';
  return [{ channel: `${ingressName}->${entry.agent}`, from: ingressName, to: entry.agent, repeatable }];
}

/**
 * Splits what an external component may be given evenly over all processes that call it: none can see the others, and
 * together they never exceed it.
 */
function shareLimits(request: PlanRequest, units: readonly UnitConfiguration[], routes: Map<string, Route[]>): readonly Problem[] {
  const problems: Problem[] = [];
  for (const { name } of [...request.workflow.agents, ...request.workflow.toolServers]) {
    const external = foreignConfig(request, name)?.external;
    if (external === undefined) continue;
    const callers = units.filter((unit) => routes.get(unit.id)?.some((route) => route.to === name));
    const replicas = callers.reduce((sum, unit) => sum + unit.replicas, 0);
    if (replicas > external.maxConcurrency) {
      const where = callers.map((unit) => `${unit.id} x${unit.replicas}`).join(', ');
      problems.push(
        unplaceable(
          `${replicas} replicas (${where}) call the external "${name}", which may be given at most ${external.maxConcurrency} calls at once`,
          'use fewer replicas of its callers',
        ),
      );
      continue;
    }
    const limits = { concurrency: Math.floor(external.maxConcurrency / replicas), perSecond: external.maxRate / replicas };
    for (const unit of callers) {
      const shared = (routes.get(unit.id) ?? []).map((route) => (route.to === name ? { ...route, limits } : route));
      routes.set(unit.id, shared);
    }
  }
  return problems;
}

const keyOf = (route: Need) => `${route.channel}\u0000${route.from}\u0000${route.to}`;

function listIn<T>(lists: Map<string, T[]>, key: string): T[] {
  const list = lists.get(key) ?? [];
  lists.set(key, list);
  return list;
}

/** Every pair of ends of every channel between components, the ingress of a topic entry included. */
function needsOf({ workflow }: PlanRequest): readonly Need[] {
  return workflow.channels
    .filter((channel) => channel.kind !== 'model')
    .flatMap((channel) => {
      const topic = channel.kind === 'topic' ? channel.id.slice('topic:'.length) : undefined;
      const froms = topic === undefined ? channel.from : publishersOf(workflow, topic);
      const tos = topic === undefined ? channel.to : subscribersOf(workflow, topic);
      const { id, repeatable } = channel;
      return froms.flatMap((from) => tos.map((to) => ({ channel: id, from, to, repeatable })));
    });
}

/** A completion goes to the replica that took the request, which may be a neighbour of the one that publishes it. */
const mayLeaveItsReplica = ({ to }: Need, unit: UnitConfiguration | undefined) => to === ingressName && (unit?.replicas ?? 1) > 1;

function protocolOf({ workflow, configuration, scenario }: PlanRequest, { channel, from, to }: Need): ChannelConfiguration {
  const fixed = spokenBetween(workflow, from, to);
  if (fixed !== undefined) return fixed;
  // The completion topic has no component at its end, so searched configurations may not list it.
  return configuration.channels[channel] ?? scenario.baseline.channels[channel] ?? scenario.baseline.protocol;
}

function refuse(request: PlanRequest, { channel, from, to }: Need, { protocol, options }: ChannelConfiguration): Problem | undefined {
  const traits = request.protocolTraits[protocol];
  const where = `channel ${channel}`;
  if (traits === undefined) return unplaceable(`${where}: there is no protocol "${protocol}"`);
  const foreign = [to, from].find((name) => elsewhereOf(request.workflow, name) !== undefined);
  if (foreign !== undefined && traits.strangerUrl === undefined)
    return unplaceable(`${where}: "${foreign}" runs elsewhere, and ${protocol} is spoken only among our own units`);
  if (elsewhereOf(request.workflow, from) !== undefined && foreignConfig(request, to)?.external !== undefined)
    return unplaceable(
      `${where}: "${from}" runs elsewhere, so nobody could keep it within what the external "${to}" may be given`,
      `let an agent of this workflow call ${to}`,
    );
  if (traits.inProcess) return unplaceable(`${where}: ${protocol} cannot cross from "${from}" to "${to}", which are in different units`);
  if (traits.mediator !== null) return unplaceable(`${where}: ${protocol} needs a ${traits.mediator}, which no target provides yet`);
  if (!traits.crossHost && request.scenario.topology.hosts > 1) return unplaceable(`${where}: ${protocol} cannot cross hosts`);
  if (options.transport !== 'unix') return undefined;
  if (!request.targetTraits.unixSockets) return unplaceable(`${where}: target ${request.target} has no unix sockets between units`);
  if (request.scenario.topology.hosts > 1) return unplaceable(`${where}: a unix socket cannot cross hosts`);
  return undefined;
}
