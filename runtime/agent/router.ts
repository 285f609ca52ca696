import { SpanKind } from '@opentelemetry/api';
import type { Peers, ReplicaAddress } from '../../compiler/contracts/binding.ts';
import { CallError, toCallError } from '../../compiler/contracts/call-errors.ts';
import type { LogicalAddress, Route } from '../../compiler/contracts/plan.ts';
import { attr, spanName } from '../../compiler/contracts/trace-attributes.ts';
import type { OutgoingCall, Protocol, ServedTool, WireFacts } from '../protocols/protocol.ts';
import { type Delivery, encodeMeta } from './delivery.ts';
import { Outflow } from './outflow.ts';
import { type Replica, ReplicaSet } from './replicas.ts';
import { endSpan, type Tracing } from './tracing.ts';

/** Attempts beside the first. */
const maxRetries = 2;
const firstBackoffMs = 5;

/** Takes messages to components of other units: finds the route, picks a replica, repeats what is safe to repeat. */
export class Router {
  readonly #tracing: Tracing;
  readonly #sets = new Map<LogicalAddress, ReplicaSet>();
  readonly #routes = new Map<string, Route>();
  readonly #anyFrom = new Map<string, Route>();
  /** By external callee. */
  readonly #outflows = new Map<string, Outflow>();

  constructor(routes: readonly Route[], protocols: ReadonlyMap<string, Protocol>, tracing: Tracing) {
    this.#tracing = tracing;
    for (const route of routes) {
      this.#routes.set(routeKey(route.channel, route.from, route.to), route);
      this.#anyFrom.set(routeKey(route.channel, '', route.to), route);
      if (route.limits !== undefined && !this.#outflows.has(route.to)) this.#outflows.set(route.to, new Outflow(route.to, route.limits));
      if (this.#sets.has(route.address)) continue;
      const protocol = protocols.get(route.protocol);
      if (protocol === undefined) throw new RangeError(`route to ${route.to}: protocol ${route.protocol} is not in this unit`);
      const set = new ReplicaSet((to) => protocol.connect(to, route.options));
      this.#sets.set(route.address, set);
      // What nobody deploys stays where it is, and nobody will tell.
      if (isAbsolute(route.address)) set.update([replicaAt(route.address)]);
    }
  }

  /** Where the callees are; addresses that are not named keep what was known. */
  update(peers: Peers): void {
    for (const [address, set] of this.#sets) {
      const replicas = peers[address];
      if (replicas !== undefined) set.update(replicas);
    }
  }

  /** Addresses without a known replica. */
  missing(): LogicalAddress[] {
    return [...this.#sets].filter(([, set]) => set.all.length === 0).map(([address]) => address);
  }

  routeOf(delivery: Pick<Delivery, 'channel' | 'from' | 'to'>): Route | undefined {
    return (
      this.#routes.get(routeKey(delivery.channel, delivery.from, delivery.to)) ??
      this.#anyFrom.get(routeKey(delivery.channel, '', delivery.to))
    );
  }

  /**
   * Sends, and repeats on another replica when the handler certainly never ran, or when the wire broke and the callee is
   * safe to repeat; at most twice, within the retry budget and the deadline.
   *
   * @throws CallError
   */
  async send(delivery: Delivery): Promise<unknown> {
    const route = this.routeOf(delivery);
    const set = route && this.#sets.get(route.address);
    if (route === undefined || set === undefined) throw noRoute(delivery);
    const affinity = delivery.affinity ?? (route.balancing === 'session' ? delivery.scope.sessionId : undefined);
    let tried: Set<Replica> | undefined;
    set.budget.deposit();
    for (let attempt = 1; ; attempt++) {
      const choice = { affinity, instance: delivery.instance, except: tried ?? noReplicas };
      // When all were tried, again from the start: they may be back.
      const replica = set.pick(choice) ?? set.pick({ ...choice, except: noReplicas });
      if (replica === undefined) throw noReplica(delivery, route);
      const progress = { chunks: 0 };
      const outcome = await this.#attempt(delivery, route, set, replica, attempt, progress);
      if (outcome.error === undefined) return outcome.value;
      const { error } = outcome;
      const others = set.all.some((candidate) => candidate !== replica && !tried?.has(candidate));
      const again = attempt <= maxRetries && progress.chunks === 0 && mayRepeat(error, route, delivery, others) && set.budget.withdraw();
      if (!again) throw error;
      tried ??= new Set();
      tried.add(replica);
      await pause(others ? firstBackoffMs : firstBackoffMs * 10 * attempt, delivery);
    }
  }

  /**
   * The tools a tool server of another unit, or of nobody here, has at this moment. Asking changes nothing, so every
   * replica may be asked in turn.
   *
   * @throws CallError
   */
  async discover(delivery: Delivery): Promise<readonly ServedTool[]> {
    const route = this.routeOf(delivery);
    const set = route && this.#sets.get(route.address);
    if (route === undefined || set === undefined) throw noRoute(delivery);
    const tried = new Set<Replica>();
    for (;;) {
      const replica = set.pick({ affinity: undefined, instance: undefined, except: tried });
      if (replica === undefined) throw noReplica(delivery, route);
      if (replica.connection.discover === undefined) {
        const message = `${delivery.to} speaks ${route.protocol}, which cannot say what tools there are`;
        throw new CallError({ code: 'invalid', message, component: delivery.to });
      }
      tried.add(replica);
      try {
        return await replica.connection.discover(delivery.to, delivery.scope.cancellation.signal);
      } catch (thrown) {
        const error = toCallError(thrown, delivery.to);
        if (isWireFailure(error, delivery)) set.failed(replica);
        if (error.code !== 'unavailable' || set.all.every((candidate) => tried.has(candidate))) throw error;
      }
    }
  }

  async #attempt(delivery: Delivery, route: Route, set: ReplicaSet, replica: Replica, attempt: number, progress: { chunks: number }) {
    const { scope, pattern } = delivery;
    const oneWay = pattern === 'send' || pattern === 'publish';
    const span = this.#tracing.start(scope.trace, spanName.call(delivery.to), oneWay ? SpanKind.PRODUCER : SpanKind.CLIENT);
    const wire: WireFacts = { requestBytes: 0, responseBytes: 0, serializeMs: 0 };
    let error: CallError | undefined;
    let value: unknown;
    let place: Awaited<ReturnType<Outflow['enter']>> | undefined;
    set.begin(replica);
    try {
      const outflow = this.#outflows.get(delivery.to);
      if (outflow !== undefined) place = await outflow.enter(scope.cancellation);
      const call: OutgoingCall = {
        target: delivery.to,
        pattern,
        body: delivery.body,
        // The time left is that at which it is sent.
        meta: encodeMeta(delivery, attempt, this.#tracing.inject(span?.trace ?? scope.trace)),
        signal: scope.cancellation.signal,
        wire,
      };
      value = pattern === 'stream' ? await drain(replica, call, delivery, progress) : await replica.connection.call(call);
      set.succeeded(replica);
    } catch (thrown) {
      error = toCallError(thrown);
      if (isWireFailure(error, delivery)) set.failed(replica);
    } finally {
      place?.release();
      set.end(replica);
    }
    if (span !== undefined) {
      span.span.setAttributes({ ...hopAttributes(delivery, route.protocol), [attr.attempt]: attempt });
      endSpan(span, error, {
        [attr.requestBytes]: wire.requestBytes,
        [attr.responseBytes]: wire.responseBytes,
        [attr.serializeMs]: wire.serializeMs,
        ...(place === undefined ? {} : { [attr.queueMs]: place.waitedMs }),
      });
    }
    return { error, value };
  }

  stats() {
    return [...this.#sets].map(([address, set]) => ({
      address,
      replicas: set.all.map(({ address: { replica, instanceId }, outstanding, failures }) => ({
        replica,
        instanceId,
        outstanding,
        failures,
      })),
    }));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sets.values()].map((set) => set.close()));
  }
}

const isAbsolute = (address: LogicalAddress) => /^https?:/.test(address);

function replicaAt(address: string): ReplicaAddress {
  const { protocol, hostname, port } = new URL(address);
  const at = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (protocol === 'https:' ? 443 : 80) };
  return { replica: 0, instanceId: address, at, url: address, foreign: true };
}

/** Attributes of both sides of a hop. */
export function hopAttributes(delivery: Delivery, protocol: string) {
  return {
    [attr.rpcSystem]: protocol,
    [attr.rpcService]: delivery.to,
    [attr.rpcMethod]: delivery.pattern,
    [attr.channel]: delivery.channel,
    [attr.from]: delivery.from,
    [attr.to]: delivery.to,
    ...(delivery.topic === undefined ? {} : { [attr.topic]: delivery.topic.name }),
    ...(delivery.graph === undefined ? {} : { [attr.step]: delivery.graph.step }),
    ...delivery.attributes,
  };
}

async function drain(replica: Replica, call: OutgoingCall, delivery: Delivery, progress: { chunks: number }): Promise<unknown> {
  const stream = replica.connection.stream(call);
  for (;;) {
    const next = await stream.next();
    if (next.done) return next.value;
    progress.chunks++;
    delivery.emit?.(next.value);
  }
}

/** Whether it was the wire or the process that failed, not the handler or something behind it. */
const isWireFailure = (error: CallError, delivery: Delivery) =>
  error.code === 'unavailable' && (error.value.component === undefined || error.value.component === delivery.to);

function mayRepeat(error: CallError, route: Route, delivery: Delivery, others: boolean): boolean {
  if (delivery.scope.cancellation.aborted || delivery.scope.cancellation.remainingMs() <= firstBackoffMs) return false;
  if (error.code === 'overloaded') return error.value.neverStarted === true && others && delivery.instance === undefined;
  if (error.code !== 'unavailable') return false;
  if (error.value.neverStarted === true) return true;
  // A graph's message carries the rest of the run with it, so the callee's own effect does not say enough.
  return route.repeatable && delivery.graph === undefined && isWireFailure(error, delivery);
}

/** Waits a random time around `aroundMs`, so that callers that failed together do not come back together. */
async function pause(aroundMs: number, delivery: Delivery): Promise<void> {
  const waitMs = aroundMs * (0.5 + Math.random());
  let timer: NodeJS.Timeout | undefined;
  const waited = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, waitMs);
  });
  try {
    await delivery.scope.cancellation.race(waited);
  } finally {
    clearTimeout(timer);
  }
}

const noReplicas: ReadonlySet<Replica> = new Set();
const routeKey = (channel: string, from: string, to: string) => `${channel}\u0000${from}\u0000${to}`;

const noRoute = ({ channel, to }: Delivery) =>
  new CallError({ code: 'unknown', message: `no route to ${to} on channel ${channel}`, component: to, neverStarted: true });

const noReplica = ({ to, instance }: Delivery, route: Route) =>
  new CallError({
    code: 'unavailable',
    message: instance === undefined ? `no replica of ${route.address} is known` : `instance ${instance} of ${route.address} is gone`,
    component: to,
    neverStarted: true,
  });
