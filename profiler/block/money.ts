import type { Resources } from '../../compiler/contracts/configuration.ts';
import type { BlockMoney, ReplayFacts } from '../../compiler/contracts/measurement.ts';
import type { Plan } from '../../compiler/contracts/plan.ts';
import { attr } from '../../compiler/contracts/trace-attributes.ts';
import { poolUsdPerHour } from '../../runtime/llm/engine/pool-size.ts';
import type { PricesConfig } from '../../scenarios/schema.ts';
import { modelOf } from '../analyze/models.ts';
import { amount, label, type TraceNode } from '../analyze/node.ts';
import type { Forest } from '../analyze/tree.ts';

export interface MoneyInput {
  readonly plan: Plan;
  readonly prices: PricesConfig;
  readonly durationMs: number;
  /** Counted requests of the block. */
  readonly requests: number;
  readonly forest: Forest;
  /**
   * Where it is known from a fully traced block. Tokens do not depend on the layout, so this keeps the luck of sampling a
   * few requests out of comparisons.
   */
  readonly tokensUsdPerRequest?: number;
  /** Tokens of replayed models, counted over the whole block. */
  readonly replay?: Pick<ReplayFacts, 'tokens'>;
  /** Share of the block's requests that count: the others are its warm-up. */
  readonly countedShare?: number;
}

const msPerHour = 3_600_000;
const bytesPerGb = 1e9;

/** Declared resources of every replica of units and services (the load driver is neither), per hour. */
export function allocatedUsdPerHour(plan: Plan, prices: Pick<PricesConfig, 'vcpuHourUsd' | 'memoryGbHourUsd'>): number {
  const price = ({ vcpu, memoryMb }: Resources) => vcpu * prices.vcpuHourUsd + (memoryMb / 1024) * prices.memoryGbHourUsd;
  return [...plan.units, ...plan.services].reduce((sum, { replicas, resources }) => sum + replicas * price(resources), 0);
}

/** GPUs of model servers, as predictions price them (see `gpusOfPool`). */
export function gpuUsdPerHour(plan: Plan, prices: Pick<PricesConfig, 'gpuHourUsd'>): number {
  return plan.services.reduce(
    (sum, { kind, replicas, options }) => sum + (kind === 'model' ? poolUsdPerHour(options, replicas, prices.gpuHourUsd) : 0),
    0,
  );
}

/** Money of the counted stretch. Tokens and traffic are known per traced request and scaled up to all requests. */
export function blockMoney(input: MoneyInput): BlockMoney {
  const { plan, prices, durationMs, requests, forest } = input;
  const hours = durationMs / msPerHour;
  const allocatedUsd = allocatedUsdPerHour(plan, prices) * hours;
  const gpuUsd = gpuUsdPerHour(plan, prices) * hours;
  const traced = forest.requests.length;
  const nodes = forest.requests.flatMap((request) => request.nodes);
  const scale = traced > 0 ? requests / traced : 0;
  const replayed = input.replay && replayedTokens(input.replay.tokens, prices, input.countedShare ?? 1);
  const ofSpans = (counts: (node: TraceNode) => boolean) =>
    scale * nodes.reduce((sum, node) => sum + (counts(node) ? tokensOf(node, prices) : 0), 0);
  // What is counted on replay is exact, and its cached part is this layout's own; only other models are still estimated.
  const others =
    replayed === undefined && input.tokensUsdPerRequest !== undefined
      ? input.tokensUsdPerRequest * requests
      : ofSpans((node) => input.replay?.tokens[modelOf(node)] === undefined);
  const tokensUsd = others + (replayed?.usd ?? 0);
  const trafficUsd = scale * (nodes.reduce((sum, node) => sum + bytesOf(node), 0) / bytesPerGb) * prices.trafficGbUsd;
  const totalUsd = allocatedUsd + gpuUsd + tokensUsd + trafficUsd;
  return {
    allocatedUsd,
    tokensUsd,
    ...(replayed === undefined ? {} : { tokensFixedUsd: others + replayed.fixedUsd }),
    trafficUsd,
    gpuUsd,
    totalUsd,
    usdPer1000Requests: requests > 0 ? (totalUsd / requests) * 1000 : 0,
    usdPerHour: hours > 0 ? totalUsd / hours : 0,
  };
}

/** Money of counted tokens, and the part of it that no cache could change. */
function replayedTokens(tokens: ReplayFacts['tokens'], prices: PricesConfig, share: number): { usd: number; fixedUsd: number } {
  let usd = 0;
  let fixedUsd = 0;
  for (const [model, { tokensIn, tokensCached, tokensOut }] of Object.entries(tokens)) {
    const price = prices.models[model];
    if (!price) continue;
    const full = (tokensIn * price.inputPerMillionUsd + tokensOut * price.outputPerMillionUsd) / 1e6;
    const saved = (tokensCached * (price.inputPerMillionUsd - (price.cachedPerMillionUsd ?? price.inputPerMillionUsd))) / 1e6;
    usd += (full - saved) * share;
    fixedUsd += full * share;
  }
  return { usd, fixedUsd };
}

function tokensOf(node: TraceNode, prices: PricesConfig): number {
  const price = node.role === 'chat' ? prices.models[modelOf(node)] : undefined;
  if (!price) return 0;
  const cached = Math.min(amount(node, attr.tokensCached), amount(node, attr.tokensIn));
  const fresh = amount(node, attr.tokensIn) - cached;
  const cachedPrice = price.cachedPerMillionUsd ?? price.inputPerMillionUsd;
  return (fresh * price.inputPerMillionUsd + cached * cachedPrice + amount(node, attr.tokensOut) * price.outputPerMillionUsd) / 1e6;
}

/** Bytes between processes, both ways; in-process hops carry none. */
function bytesOf(node: TraceNode): number {
  if (node.role !== 'call' || label(node, attr.rpcSystem) === 'inproc') return 0;
  return amount(node, attr.requestBytes) + amount(node, attr.responseBytes);
}
