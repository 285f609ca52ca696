import {
  type ChannelConfiguration,
  type Configuration,
  canonicalJson,
  type Profile,
  type ProtocolPrice,
  type Resources,
} from '../../compiler/contracts/index.ts';
import { poolUsdPerHour } from '../../runtime/llm/engine/pool-size.ts';
import type { PricesConfig } from '../../scenarios/schema.ts';

/** Price of one hop: latency of the whole round trip when idle, and the CPU of both ends that is part of it. */
export interface HopPrice {
  readonly latencyFixedMs: number;
  readonly latencyPerKbMs: number;
  readonly cpuFixedMs: number;
  readonly cpuPerKbMs: number;
}

export const freeHop: HopPrice = { latencyFixedMs: 0, latencyPerKbMs: 0, cpuFixedMs: 0, cpuPerKbMs: 0 };

/**
 * The measured price of a channel's protocol and options. An option set that was not measured takes the price of the
 * same protocol with other options; a protocol without any price is an error, since a free hop would win every search.
 */
export function hopPrice(prices: readonly ProtocolPrice[], channel: ChannelConfiguration): HopPrice {
  const options = canonicalJson(channel.options);
  const same = prices.filter((price) => price.protocol === channel.protocol);
  const found = same.find((price) => price.options === options) ?? same[0];
  if (found) return found;
  if (channel.protocol === 'inproc') return freeHop;
  throw new RangeError(`protocol ${channel.protocol} has no measured price`);
}

/** USD per hour of one replica with these resources. */
export const replicaUsdPerHour = (resources: Resources, pricing: PricesConfig): number =>
  resources.vcpu * pricing.vcpuHourUsd + (resources.memoryMb / 1024) * pricing.memoryGbHourUsd;

/** USD per hour for what a configuration allocates: unit replicas, and GPUs where serving options name a priced `gpu`. */
export function allocatedUsdPerHour(configuration: Configuration, pricing: PricesConfig): number {
  let usd = 0;
  for (const unit of configuration.units) usd += unit.replicas * replicaUsdPerHour(unit.resources, pricing);
  for (const { options, replicas } of Object.values(configuration.serving)) usd += poolUsdPerHour(options, replicas, pricing.gpuHourUsd);
  return usd;
}

/** USD for the tokens of a mean request of each class, from the traced model calls. Tokens do not depend on the layout. */
export function tokenUsdPerRequest(profile: Profile, pricing: PricesConfig): { readonly [requestClass: string]: number } {
  const sums: Record<string, { usd: number; n: number }> = {};
  for (const skeleton of profile.skeletons) {
    sums[skeleton.requestClass] ??= { usd: 0, n: 0 };
    const sum = sums[skeleton.requestClass];
    if (!sum) continue;
    sum.n++;
    const stack = [skeleton.root];
    for (let visit = stack.pop(); visit; visit = stack.pop()) {
      for (const call of visit.phases.flatMap((phase) => phase.calls)) {
        if (call.kind === 'component') {
          stack.push(call.visit);
          continue;
        }
        const price = pricing.models[call.model];
        if (!price) continue;
        const cached = Math.min(call.tokensCached, call.tokensIn);
        sum.usd +=
          ((call.tokensIn - cached) * price.inputPerMillionUsd +
            cached * (price.cachedPerMillionUsd ?? price.inputPerMillionUsd) +
            call.tokensOut * price.outputPerMillionUsd) /
          1e6;
      }
    }
  }
  return Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum.n > 0 ? sum.usd / sum.n : 0]));
}

/** Whether one setting of a channel costs no more than another in every respect, for messages of any size. */
export function createNoWorse(prices: readonly ProtocolPrice[]): (a: ChannelConfiguration, b: ChannelConfiguration) => boolean {
  return (a, b) => {
    const [left, right] = [hopPrice(prices, a), hopPrice(prices, b)];
    return (
      left.latencyFixedMs <= right.latencyFixedMs &&
      left.latencyPerKbMs <= right.latencyPerKbMs &&
      left.cpuFixedMs <= right.cpuFixedMs &&
      left.cpuPerKbMs <= right.cpuPerKbMs
    );
  };
}
