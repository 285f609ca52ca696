import type { TraceDigest } from '../../compiler/contracts/index.ts';
import type { MoneyLine } from '../../reports/analysis.ts';
import type { PricesConfig } from '../../scenarios/schema.ts';
import { processesUsdPer1000 } from './compute.ts';
import { bytes, count, plural } from './words.ts';

/** Providers whose models run in a pool of one's own: paid by the hour, not by the token. */
const poolProviders = /vllm|ollama|llama\.?cpp|sglang|tgi|text-generation-inference|triton|huggingface|self/i;

export interface MoneyInput {
  readonly digest: TraceDigest;
  readonly pricing: PricesConfig;
  readonly processes: number;
  /** Requests per second the processes are paid for. */
  readonly perSecond: number;
}

/** Where money goes per 1000 requests; what has no price is counted in its own unit. */
export function moneyOf({ digest, pricing, processes, perSecond }: MoneyInput): MoneyLine[] {
  const requests = Math.max(
    1,
    digest.roots.reduce((sum, root) => sum + root.requests, 0),
  );
  const lines: MoneyLine[] = [];
  for (const model of [...new Set(digest.modelUse.map((use) => use.model))].sort()) {
    const uses = digest.modelUse.filter((use) => use.model === model);
    const pool = uses.some(({ provider }) => provider !== null && poolProviders.test(provider));
    const seconds = uses.reduce((sum, use) => sum + (use.latency.meanMs * use.calls) / 1000, 0) / requests;
    const known = uses.filter(({ tokens }) => tokens !== null);
    const sum = (pick: 'in' | 'out' | 'cached') => known.reduce((total, { tokens }) => total + (tokens?.[pick] ?? 0), 0) / requests;
    const [tokensIn, tokensOut, cached] = [sum('in'), sum('out'), Math.min(sum('in'), sum('cached'))];
    const price = pricing.models[model];
    const told = uses.every(({ costUsd }) => costUsd !== null)
      ? uses.reduce((total, { costUsd }) => total + (costUsd ?? 0), 0) / requests
      : null;
    const counted = price
      ? ((tokensIn - cached) * price.inputPerMillionUsd +
          cached * (price.cachedPerMillionUsd ?? price.inputPerMillionUsd) +
          tokensOut * price.outputPerMillionUsd) /
        1e6
      : null;
    const perRequest = known.length > 0 && counted !== null ? counted : told;
    const tokens = known.length > 0 ? `${count(tokensIn)} tokens in, ${count(tokensOut)} out per request` : 'no token counts in the traces';
    lines.push({
      kind: pool ? 'model pool' : 'tokens',
      name: model,
      usdPer1000: perRequest === null ? null : { low: perRequest * 1000, high: perRequest * 1000 },
      amount: pool ? `${count(seconds)} s of the pool per request; ${tokens}` : tokens,
      dependsOnLayout: false,
    });
  }
  if (processes > 0)
    lines.push({
      kind: 'agents',
      name: 'agents and tool servers',
      usdPer1000: processesUsdPer1000(processes, perSecond, pricing),
      amount: `${plural(processes, 'process', 'processes')}, CPU and memory as allocated`,
      dependsOnLayout: true,
    });
  const sized = digest.edges.filter(({ requestBytes, sameInstanceShare }) => requestBytes !== null && sameInstanceShare < 1);
  const perRequest = sized.reduce((sum, edge) => sum + ((edge.requestBytes ?? 0) + (edge.responseBytes ?? 0)) * edge.callsPerRequest, 0);
  if (sized.length > 0) {
    const usd = ((perRequest * 1000) / 1e9) * pricing.trafficGbUsd;
    lines.push({
      kind: 'traffic',
      name: 'network',
      usdPer1000: { low: usd, high: usd },
      amount: `${bytes(perRequest)} per request between components`,
      dependsOnLayout: true,
    });
  }
  return lines;
}
