import { performance } from 'node:perf_hooks';
import type { SpanProcessor } from '@opentelemetry/sdk-trace-node';
import type { BindAddress, Peers, ProcessBinding, StartedReport } from '../../compiler/contracts/binding.ts';
import { type Egress, installEgress } from '../egress/client.ts';
import { live, readBinding, type StartedProcess } from '../process-life.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { Activity } from './activity.ts';
import { componentsOf } from './components.ts';
import { type ControlHandlers, startControl } from './control.ts';
import { deliver } from './deliver.ts';
import { Dispatcher } from './dispatch.ts';
import { Effects } from './effects.ts';
import { Flights } from './flights.ts';
import { GraphRuns } from './graph-runs.ts';
import { type RunningServer, startServer } from './http-server.ts';
import { Ingress } from './ingress.ts';
import { Models } from './models.ts';
import { ingressComponent, toolParts, type UnitProgram } from './program.ts';
import { Router } from './router.ts';
import type { Runtime } from './runtime.ts';
import { serving } from './serve.ts';
import { servedComponents } from './served.ts';
import { storeOpener, UnitState } from './state.ts';
import { Topics } from './topics.ts';
import { Tracing } from './tracing.ts';

export type { UnitProgram } from './program.ts';

/** What only tests give. */
export interface UnitExtras {
  readonly spanProcessors?: readonly SpanProcessor[];
}

/**
 * Starts one unit: its agents and tools, their limits, its listeners, the ingress where the plan puts it, and the control
 * address. Called by a unit's generated entry with the program alone: then the binding comes from the file the target
 * names, and the process lives and ends with the unit.
 */
export async function startUnit(program: UnitProgram, binding?: ProcessBinding, extras: UnitExtras = {}): Promise<StartedProcess> {
  const present = binding ?? readBinding();
  const egress = installEgress(program.unit.egress, present);
  const protocols = await loadAll(program.protocols);
  const runtime = await assemble(program, present, protocols, extras);
  const ingress = program.unit.ingress ? new Ingress(runtime) : undefined;
  runtime.ingress = ingress;
  const peers = takePeers(runtime, egress);
  peers(present.peers);
  const listeners = await listen(runtime, protocols);
  const door = ingress && (await startServer(listenAt(present, 'ingress'), ingress.listener));
  const drain = () => drainUnit(runtime);
  const handlers: ControlHandlers = {
    missing: () => [
      ...runtime.router.missing(),
      ...runtime.models.missing(),
      ...runtime.effects.missing(),
      ...missingState(runtime),
      ...egress.missing(),
    ],
    peers,
    drain,
    flush: () => runtime.tracing.flush(),
    stats: () => statsOf(runtime, ingress),
    ...(ingress === undefined ? {} : { sampling: (ratio: number) => ingress.sample(ratio) }),
  };
  const control = await startControl(present, handlers);
  const started = {
    report: reportOf(control, listeners, door),
    close: () => closeUnit(runtime, listeners, door, control).finally(egress.close),
  };
  if (binding === undefined) live(started, present.drainMs);
  return started;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
interface UnitRuntime extends Runtime {
  ingress: Ingress | undefined;
  peers: Peers;
}
type Listeners = ReadonlyMap<string, Awaited<ReturnType<Protocol['listen']>>>;

/** Joins the organs. They hold one another through the runtime, which is complete before any message comes. */
async function assemble(
  program: UnitProgram,
  binding: ProcessBinding,
  protocols: ReadonlyMap<string, Protocol>,
  extras: UnitExtras,
): Promise<UnitRuntime> {
  const { unit } = program;
  const backends = await loadAll(program.backends);
  const tracing = new Tracing(program.application, unit.id, binding, extras.spanProcessors);
  const late = (): Runtime => runtime;
  const runtime: Mutable<UnitRuntime> = {
    program,
    binding,
    freeze: process.env.DMAS_FREEZE === '1',
    tracing,
    activity: new Activity(),
    flights: new Flights(),
    router: new Router(unit.routes, protocols, tracing),
    dispatcher: new Dispatcher(componentsOf(program, late), toolParts(program), binding.queueLimit),
    topics: new Topics(unit.topics, late),
    graphs: new GraphRuns(program.graphs, late),
    state: new UnitState(storeOpener(program, binding, () => stateAt(runtime))),
    models: new Models(unit, backends, tracing),
    effects: new Effects(binding),
    ingress: undefined,
    peers: {},
    hosts: (component, instance) =>
      component === ingressComponent
        ? runtime.ingress !== undefined && (instance === undefined || instance === binding.instanceId)
        : runtime.dispatcher.has(component),
    deliver: (delivery, finished) => deliver(runtime, runtime.ingress, delivery, finished),
  };
  return runtime;
}

async function loadAll<T>(descriptors: readonly { readonly id: string; load(): Promise<T> }[]): Promise<Map<string, T>> {
  return new Map(await Promise.all(descriptors.map(async ({ id, load }) => [id, await load()] as const)));
}

function takePeers(runtime: UnitRuntime, egress: Egress): (peers: Peers) => void {
  return (peers) => {
    egress.update(peers);
    const before = stateAt(runtime);
    runtime.peers = { ...runtime.peers, ...peers };
    runtime.router.update(peers);
    runtime.models.update(peers);
    runtime.effects.update(peers);
    if (JSON.stringify(before) !== JSON.stringify(stateAt(runtime))) void runtime.state.reset();
  };
}

function stateAt({ program, peers }: UnitRuntime): BindAddress | undefined {
  const { address } = program.unit.state;
  return address === undefined ? undefined : peers[address]?.[0]?.at;
}

function missingState(runtime: UnitRuntime): string[] {
  const { address } = runtime.program.unit.state;
  return address !== undefined && stateAt(runtime) === undefined ? [address] : [];
}

async function listen(runtime: Runtime, protocols: ReadonlyMap<string, Protocol>): Promise<Listeners> {
  const { listens } = runtime.program.unit;
  const served = () => servedComponents(runtime.program);
  const started = listens.map(async ({ protocol: id, options, address }) => {
    const protocol = protocols.get(id);
    if (protocol === undefined) throw new RangeError(`listener ${address}: protocol ${id} is not in this unit`);
    return [address, await protocol.listen(listenAt(runtime.binding, address), serving(runtime, id), options, served)] as const;
  });
  return new Map(await Promise.all(started));
}

function listenAt(binding: ProcessBinding, address: string): BindAddress {
  const at = binding.listen[address];
  if (at === undefined) throw new RangeError(`the binding of ${binding.id} says no place for ${address}`);
  return at;
}

function reportOf(control: RunningServer, listeners: Listeners, door: RunningServer | undefined): StartedReport {
  const listen = Object.fromEntries([...listeners].map(([address, listener]) => [address, listener.at]));
  return { control: control.at, listen: door === undefined ? listen : { ...listen, ingress: door.at }, pid: process.pid };
}

/**
 * The ingress takes nothing new. Calls of other units are still answered: they belong to requests under way, and when only
 * this replica goes, its target has told the others before. Over when nothing came for a while, at most after `drainMs`.
 * True when nothing was left.
 */
async function drainUnit(runtime: Runtime): Promise<boolean> {
  runtime.flights.draining = true;
  return runtime.flights.quiet(quietMs, runtime.binding.drainMs);
}

/** Longer than the gap between two calls of a request, unless its caller works for long between them. */
const quietMs = 100;

async function closeUnit(runtime: Runtime, listeners: Listeners, door: RunningServer | undefined, control: RunningServer): Promise<void> {
  door?.stopAccepting();
  await drainUnit(runtime);
  await Promise.all([door?.close(), ...[...listeners.values()].map((listener) => listener.close(answerMs))]);
  runtime.models.close();
  await Promise.all([runtime.router.close(), runtime.state.close().catch(() => {}), runtime.tracing.close(), runtime.effects.close()]);
  await control.close();
}

/** For answers on their way out when the drain is over. */
const answerMs = 250;

function statsOf(runtime: Runtime, ingress: Ingress | undefined) {
  const utilization = performance.eventLoopUtilization();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    unit: runtime.program.unit.id,
    instanceId: runtime.binding.instanceId,
    draining: runtime.flights.draining,
    inFlight: runtime.flights.size,
    turns: runtime.activity.turns,
    components: runtime.dispatcher.stats(),
    topics: runtime.topics.stats(),
    joinsWaiting: runtime.graphs.waiting,
    routes: runtime.router.stats(),
    eventLoop: { activeMs: utilization.active, idleMs: utilization.idle, utilization: utilization.utilization },
    memory: { rssBytes: rss, heapUsedBytes: heapUsed },
    cpu: process.cpuUsage(),
    ...(ingress === undefined ? {} : { ingress: ingress.stats() }),
  };
}
