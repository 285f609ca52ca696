import {
  type Block,
  type BlockPurpose,
  grantsOf,
  type Incident,
  type LoadFacts,
  type Plan,
  type PoolLoad,
  type ProcessUsage,
  type Provenance,
  type RefusedCalls,
  type ReplayFacts,
  type Sample,
  type SpanRecord,
  type Workflow,
} from '../compiler/contracts/index.ts';
import { accessOf } from '../compiler/plan/access.ts';
import type { PricesConfig } from '../scenarios/schema.ts';
import { buildTraces } from './analyze/tree.ts';
import { classResult } from './block/classes.ts';
import { blockMoney } from './block/money.ts';
import { blockPools } from './block/pools.ts';
import { blockQuality } from './block/quality.ts';

export { readSamples } from './store/samples.ts';

export interface BlockInput {
  readonly id: string;
  readonly purpose: BlockPurpose;
  readonly configurationId: string;
  readonly deploymentId: string;
  readonly round: number;
  readonly seed: number;
  readonly startedAtMs: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  readonly samplingRatio: number;
  readonly provenance: Provenance;
  readonly workflow: Workflow;
  readonly plan: Plan;
  readonly prices: PricesConfig;
  /** Every sample of the block, warm-up included. */
  readonly samples: readonly Sample[];
  readonly load: LoadFacts;
  /** Cumulative since start, read before and after the load. */
  readonly usageBefore: readonly ProcessUsage[];
  readonly usageAfter: readonly ProcessUsage[];
  /** Of this block only; `atMs` from the start of the block. */
  readonly incidents: readonly Incident[];
  /** Empty when nothing was traced. */
  readonly spans: readonly SpanRecord[];
  /** See `MoneyInput`; without it tokens are scaled up from the traced requests. */
  readonly tokensUsdPerRequest?: number;
  /** What was replayed while it ran. */
  readonly replay?: ReplayFacts;
  /** Share of replayed calls that may miss. */
  readonly missRateLimit?: number;
  /** True when the block ended before its time. */
  readonly interrupted?: boolean;
  /** Load of the model pools over the counted stretch. */
  readonly pools?: readonly PoolLoad[];
  /** Why the load was taken off a pool, where it was. */
  readonly poolLimit?: string;
  readonly refusals?: readonly RefusedCalls[];
}

/** Everything one stretch of load has shown, folded into the value that the journal keeps. */
export function foldBlock(input: BlockInput): Block {
  const counted = input.samples.filter((sample) => !sample.warmup);
  const names = [...new Set(input.samples.map((sample) => sample.class))].sort();
  const classes = Object.fromEntries(
    names.map((name) => [
      name,
      classResult(
        counted.filter((sample) => sample.class === name),
        input.durationMs,
      ),
    ]),
  );
  const usage = usageBetween(input.usageBefore, input.usageAfter, input.samples.length > 0 ? counted.length / input.samples.length : 1);
  const forest = buildTraces(input.spans);
  const { id, purpose, configurationId, deploymentId, round, seed, startedAtMs, warmupMs, durationMs, samplingRatio, load, incidents } =
    input;
  return {
    schemaVersion: 1,
    id,
    purpose,
    configurationId,
    deploymentId,
    round,
    seed,
    startedAtMs,
    warmupMs,
    durationMs,
    samplingRatio,
    grants: grantsOf(accessOf(input.plan)),
    classes,
    usage,
    load,
    money: blockMoney({
      ...input,
      requests: counted.length,
      countedShare: input.samples.length > 0 ? counted.length / input.samples.length : 1,
      forest,
    }),
    quality: blockQuality({ ...input, classes, counted, usage, forest }),
    incidents,
    provenance: input.provenance,
    ...(input.replay === undefined ? {} : { replay: input.replay }),
    ...blockPools(input.pools),
    ...(input.refusals === undefined || input.refusals.length === 0 ? {} : { refusals: input.refusals }),
  };
}

/** Counters that only some targets have, over the whole block: they are not a matter of single requests. */
const counterNames = ['throttledSeconds', 'receivedBytes', 'sentBytes'] as const;
const counterChanges = (then: ProcessUsage | undefined, now: ProcessUsage): Partial<ProcessUsage> =>
  Object.fromEntries(
    counterNames.flatMap((name) => {
      const [before = 0, after] = [then?.[name], now[name]];
      return after === undefined ? [] : [[name, after >= before ? after - before : after]];
    }),
  );

/**
 * What each process used for the counted requests. The operating system's counters run over warm-up and measurement
 * together; the share of CPU that goes to the warm-up's requests is left out, so that CPU per request can be read off.
 * A replica that was restarted counts from zero again.
 */
export function usageBetween(before: readonly ProcessUsage[], after: readonly ProcessUsage[], countedShare: number): ProcessUsage[] {
  return after.map((now) => {
    const then = before.find((usage) => usage.id === now.id && usage.replica === now.replica);
    const sinceSeconds = then && now.cpuSeconds >= then.cpuSeconds ? then.cpuSeconds : 0;
    return {
      ...now,
      ...counterChanges(then, now),
      cpuSeconds: (now.cpuSeconds - sinceSeconds) * countedShare,
      restarts: Math.max(0, now.restarts - (then?.restarts ?? 0)),
    };
  });
}
