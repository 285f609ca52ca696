import type { TokenCounts } from './cassette.ts';
import type { PoolLoad } from './pool-load.ts';
import type { Provenance } from './provenance.ts';

/** One request as its user saw it. Times are milliseconds from the start of the block. */
export interface Sample {
  readonly class: string;
  readonly index: number;
  /** Index into the class's inputs. */
  readonly input: number;
  readonly session?: string;
  /** When the arrival process meant it to be sent; latency counts from here. */
  readonly intendedMs: number;
  readonly sentMs: number;
  /** First chunk of a streamed reply, waits for people before it taken off; null when not streamed or none came. */
  readonly firstChunkMs: number | null;
  readonly doneMs: number;
  /** How often the request paused for a person. Absent: never, and then so are the next two. */
  readonly pauses?: number;
  /** How long people took, as the workload's script says. */
  readonly humanMs?: number;
  /** How much of that was really waited between `sentMs` and `doneMs`; no latency counts it. */
  readonly waitedMs?: number;
  /** Longest and mean gap between chunks of a streamed reply; null when there were fewer than two. */
  readonly maxGapMs: number | null;
  readonly meanGapMs: number | null;
  /** 0 when no answer came. */
  readonly status: number;
  readonly bytesIn: number;
  readonly outcome: 'ok' | 'wrong' | 'error' | 'timeout' | 'incomplete';
  /** CallErrorCode, `connection`, what the check found, or `paused at <component>` where the script had no reply. */
  readonly error?: string;
  /** The question that had no scripted reply. */
  readonly asked?: { readonly component: string; readonly prompt: unknown };
  /** In the warm-up: kept, never counted. */
  readonly warmup: boolean;
}

export interface LatencySummary {
  readonly n: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** What one request class did in one block, warm-up left out. */
export interface ClassResult {
  readonly requests: number;
  readonly ok: number;
  readonly errors: { readonly [kind: string]: number };
  readonly errorRate: number;
  /** Share of requests that ended in a complete, right answer within the block's grace. */
  readonly completion: number;
  readonly throughputPerSecond: number;
  /** From the intended send to the end of the answer, time people took left out; right answers only. */
  readonly latencyMs: LatencySummary | null;
  /** Present where a request that got its right answer had paused for people. */
  readonly human?: HumanTime;
  readonly firstChunkMs: LatencySummary | null;
  readonly gapMs: LatencySummary | null;
}

/** Time people took, as scripted: kept apart from latency, because no layout changes it. */
export interface HumanTime {
  /** Requests with a right answer that paused, and how often. */
  readonly requests: number;
  readonly pauses: number;
  /** Per request that paused. */
  readonly waitMs: LatencySummary;
  /** `latencyMs` with that time in it, over all right answers: what a user sees pass. */
  readonly elapsedMs: LatencySummary;
}

export interface ProcessUsage {
  /** Unit or service id. */
  readonly id: string;
  readonly replica: number;
  /** User and system time of the process over the block, from the operating system. */
  readonly cpuSeconds: number;
  readonly peakMemoryMb: number;
  readonly restarts: number;
  /** Time it wanted to run and its CPU limit did not let it; absent where nobody counts. */
  readonly throttledSeconds?: number;
  /** Everything it received and sent over its network; absent where nobody counts. */
  readonly receivedBytes?: number;
  readonly sentBytes?: number;
}

/** Closed list: why a block could not measure. Each has a remedy in `reports`. */
export const blockFaults = [
  'host-bound',
  'driver-lag',
  'load-not-delivered',
  'component-missing',
  'errors',
  'no-samples',
  'broken-traces',
  'replay-misses',
  'replica-lost',
  'pool-limit',
  'interrupted',
] as const;
export type BlockFault = (typeof blockFaults)[number];

export interface BlockQuality {
  /** Whether a verdict may rest on it. */
  readonly valid: boolean;
  readonly faults: readonly { readonly fault: BlockFault; readonly detail: string }[];
}

export type BlockPurpose = 'profile' | 'capacity' | 'race' | 'confirm' | 'trial';

/** One stretch of load on one deployment: the unit of measurement and of the journal. */
export interface Block {
  readonly schemaVersion: 1;
  /** Stable: the same decision of the same study always gives the same id, so resume can find it. */
  readonly id: string;
  readonly purpose: BlockPurpose;
  readonly configurationId: string;
  readonly deploymentId: string;
  /** Blocks of one round were run next to each other under the same seed, so they pair. */
  readonly round: number;
  readonly seed: number;
  readonly startedAtMs: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  readonly samplingRatio: number;
  /** Rights the plan it ran gives its units and services together (see `grantsOf`); absent from older runs. */
  readonly grants?: number;
  readonly classes: { readonly [requestClass: string]: ClassResult };
  readonly usage: readonly ProcessUsage[];
  readonly load: LoadFacts;
  readonly money: BlockMoney;
  readonly quality: BlockQuality;
  /** What happened to replicas while it ran. */
  readonly incidents: readonly Incident[];
  readonly provenance: Provenance;
  /** Present when something was replayed. */
  readonly replay?: ReplayFacts;
  /** Load of each model pool whose metrics could be read. */
  readonly pools?: readonly PoolLoad[];
  /** Calls to places outside that the egress service did not make; absent where there is none or it refused nothing. */
  readonly refusals?: readonly RefusedCalls[];
}

/** Calls of one unit or service to one place that were refused for one reason. */
export interface RefusedCalls {
  readonly caller: string;
  /** Host and port; empty where the call named none. */
  readonly place: string;
  /** A word of the egress service, such as `undeclared`. */
  readonly reason: string;
  readonly count: number;
}

/** What came from a recording in one block, warm-up included: the counts of every call, not of a sample. */
export interface ReplayFacts {
  /** Answered or missed; without the throttled ones. */
  readonly requests: number;
  /** Calls without a recorded reply, per component that made them. */
  readonly misses: { readonly [component: string]: number };
  /** Refused by the recomputed quotas. */
  readonly throttled: number;
  /** Calls that more than one recording fitted equally, with different replies. */
  readonly ambiguous: number;
  /** Answered by made-up replies. */
  readonly synthetic: number;
  /** Per replayed model. The first and the last number do not depend on the layout, cached tokens do. */
  readonly tokens: { readonly [model: string]: TokenCounts };
}

export interface LoadFacts {
  readonly offeredPerSecond: number;
  readonly deliveredPerSecond: number;
  /** How late sends were against the intended time. */
  readonly lagP99Ms: number;
  readonly driverCpuFraction: number;
  /** Busy share of all host cores while the block ran, everything included. */
  readonly hostCpuFraction: number;
}

export interface BlockMoney {
  /** Allocated resources of units and services for the block's span. */
  readonly allocatedUsd: number;
  readonly tokensUsd: number;
  /**
   * Of `tokensUsd`, what no layout changes: every token of prompts at its full price, and every token of replies. What is
   * missing up to `tokensUsd` is what the caches of this layout took off. Present when tokens were counted on replay.
   */
  readonly tokensFixedUsd?: number;
  readonly trafficUsd: number;
  readonly gpuUsd: number;
  readonly totalUsd: number;
  readonly usdPer1000Requests: number;
  /** What this layout would cost left running under this load. */
  readonly usdPerHour: number;
}

export interface Incident {
  readonly atMs: number;
  readonly unit: string;
  readonly replica: number;
  readonly what: 'crashed' | 'restarted' | 'unhealthy' | 'killed';
  readonly detail: string;
}

/** The fold over all blocks of one configuration, or the record of why it failed. */
export interface Trial {
  readonly configurationId: string;
  /** 0 is the baseline. */
  readonly number: number;
  readonly roles: readonly TrialRole[];
  readonly state: 'measured' | 'failed' | 'pending';
  readonly failure?: { readonly code: string; readonly message: string };
  readonly blockIds: readonly string[];
  readonly deployments: number;
}
export type TrialRole = 'baseline' | 'all-in-one' | 'one-per-agent' | 'candidate' | 'winner';
