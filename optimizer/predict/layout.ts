import type { Configuration, ProtocolPrice } from '../../compiler/contracts/index.ts';
import type { CompiledEdge, CompiledProfile } from './compiled-profile.ts';
import { freeHop, type HopPrice, hopPrice } from './pricing.ts';

/** Component whose unit is not decided yet (bounds only): its hops cost nothing. */
export const undecided = -1;
/** Component that is never deployed: its hops always cross, its work costs no event loop of ours. */
export const outside = -2;

/** A configuration in numbers, as the predictors' inner loops read it. */
export interface NumericLayout {
  /** Per component: index of its unit, `undecided` or `outside`. */
  readonly unitOf: Int32Array;
  readonly unitIds: readonly string[];
  readonly replicas: Int32Array;
  /** Per edge: what a hop costs; null where both ends share a process. */
  readonly hops: readonly (HopPrice | null)[];
}

export function numericLayout(
  compiled: CompiledProfile,
  configuration: Configuration,
  priceOf: (channel: string, configuration: Configuration) => HopPrice,
): NumericLayout {
  const unitIndex = new Map<string, number>();
  configuration.units.forEach((unit, index) => {
    for (const name of unit.components) unitIndex.set(name, index);
  });
  const unitOf = Int32Array.from(compiled.components, (name) => unitIndex.get(name) ?? outside);
  return {
    unitOf,
    unitIds: configuration.units.map((unit) => unit.id),
    replicas: Int32Array.from(configuration.units, (unit) => unit.replicas),
    hops: compiled.edges.map((edge) => hopOf(edge, unitOf, () => priceOf(edge.channel, configuration))),
  };
}

/**
 * What a call on an edge pays: nothing inside a process; the price of the hop; or, for a step of a graph that runs in the
 * same call as the step before it, its part of the reply alone. A step whose predecessor is not placed yet may still come
 * to share its call, so it counts as if it did.
 */
export function hopOf(edge: CompiledEdge, unitOf: Int32Array, priceOf: () => HopPrice): HopPrice | null {
  if (!crosses(unitOf, edge.from, edge.to)) return null;
  const price = priceOf();
  const { follows, wrapMs = 0 } = edge;
  const { latencyFixedMs, latencyPerKbMs, cpuFixedMs, cpuPerKbMs } = price;
  const before = follows === undefined ? undefined : unitOf[follows.component];
  if (follows === undefined || (before !== unitOf[edge.to] && before !== undecided)) {
    return wrapMs === 0 ? price : { latencyFixedMs: latencyFixedMs + wrapMs, latencyPerKbMs, cpuFixedMs: cpuFixedMs + wrapMs, cpuPerKbMs };
  }
  const { replyShare } = follows;
  const reply = wrapMs * replyShare;
  return { latencyFixedMs: reply, cpuFixedMs: reply, latencyPerKbMs: latencyPerKbMs * replyShare, cpuPerKbMs: cpuPerKbMs * replyShare };
}

export const crosses = (unitOf: Int32Array, from: number, to: number): boolean =>
  unitOf[from] !== unitOf[to] && unitOf[from] !== undecided && unitOf[to] !== undecided;

/** Looks up hop prices once per distinct channel setting; predictors ask for the same few over and over. */
export function createPriceLookup(prices: readonly ProtocolPrice[]): (channel: string, configuration: Configuration) => HopPrice {
  const cache = new WeakMap<object, HopPrice>();
  return (channel, configuration) => {
    const setting = configuration.channels[channel];
    // Channels the workflow does not declare cannot be configured; nothing is known about their hop.
    if (!setting) return freeHop;
    let price = cache.get(setting);
    if (!price) {
      price = hopPrice(prices, setting);
      cache.set(setting, price);
    }
    return price;
  };
}

/** How one hop's work falls on the two ends and the wire, for messages of these sizes. All in ms. */
export interface HopParts {
  /** CPU on the path at each of the four points: caller sends, callee receives, callee replies, caller receives. */
  requestCpuMs: number;
  responseCpuMs: number;
  /** Pure delay each way. */
  requestDelayMs: number;
  responseDelayMs: number;
  /** CPU per end that happens after the message is through (buffers, connection upkeep): loads the loop, delays nobody. */
  trailingCpuMs: number;
}

/**
 * Splits a hop's price. The measured latency of a hop contains the CPU of both ends, so the delay is what is left of
 * it; CPU beyond the latency cannot lie on the path. Fixed costs fall half on the request and half on the response,
 * per-KB costs on the side that carries the bytes, and CPU evenly on the two ends.
 */
export function splitHop(price: HopPrice, requestKb: number, responseKb: number, oneWay: boolean, into: HopParts): void {
  const requestCpu = price.cpuFixedMs / 2 + price.cpuPerKbMs * requestKb;
  const responseCpu = oneWay ? 0 : price.cpuFixedMs / 2 + price.cpuPerKbMs * responseKb;
  const requestLatency = price.latencyFixedMs / 2 + price.latencyPerKbMs * requestKb;
  const responseLatency = oneWay ? 0 : price.latencyFixedMs / 2 + price.latencyPerKbMs * responseKb;
  const requestOnPath = Math.min(requestCpu, requestLatency);
  const responseOnPath = Math.min(responseCpu, responseLatency);
  into.requestCpuMs = requestOnPath / 2;
  into.responseCpuMs = responseOnPath / 2;
  into.requestDelayMs = requestLatency - requestOnPath;
  into.responseDelayMs = responseLatency - responseOnPath;
  into.trailingCpuMs = (requestCpu + responseCpu - requestOnPath - responseOnPath) / 2;
}

/** CPU of both ends of one hop. */
export const hopCpuMs = (price: HopPrice, kb: number, oneWay: boolean): number =>
  (oneWay ? price.cpuFixedMs / 2 : price.cpuFixedMs) + price.cpuPerKbMs * kb;

/** Idle latency of one hop. */
export const hopLatencyMs = (price: HopPrice, kb: number, oneWay: boolean): number =>
  (oneWay ? price.latencyFixedMs / 2 : price.latencyFixedMs) + price.latencyPerKbMs * kb;
