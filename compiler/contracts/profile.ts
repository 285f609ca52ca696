import type { PoolLoad } from './pool-load.ts';
import type { Provenance } from './provenance.ts';

/** Empirical distribution: 21 quantiles at 0, 5, … 100 %, with the first two moments. */
export interface Distribution {
  readonly n: number;
  readonly mean: number;
  /** Squared coefficient of variation. */
  readonly cv2: number;
  readonly quantiles: readonly number[];
}

/** What the traces of one layout say: demand per component, cost per edge, load per model. */
export interface Profile {
  readonly schemaVersion: 1;
  readonly configurationId: string;
  readonly blockIds: readonly string[];
  readonly provenance: Provenance;
  readonly traces: TraceQuality;
  /** Share of requests of each class in the workload. */
  readonly classShares: { readonly [requestClass: string]: number };
  readonly components: { readonly [component: string]: ComponentProfile };
  /** Keyed `from->to`; edges never seen are absent. */
  readonly edges: { readonly [edge: string]: EdgeProfile };
  readonly models: { readonly [model: string]: ModelProfile };
  /** Load of the pools of model servers while the profile was taken; absent where none could be read. */
  readonly pools?: readonly PoolLoad[];
  /** Where runs of hubs' graphs went from node to node; absent without any. */
  readonly graphSteps?: readonly GraphStep[];
  /** Sampled requests, replayable under another layout (see `RequestSkeleton`). */
  readonly skeletons: readonly RequestSkeleton[];
  /** Median share of end-to-end latency by kind, along the critical path. Sums to 1. */
  readonly criticalPath: { readonly [kind in PathKind]: number };
  /** CPU of everything that is not an agent turn or hop, per request (ingress, tracing). */
  readonly overheadCpuMsPerRequest: number;
}
export const pathKinds = ['working', 'communication', 'queueing', 'model', 'ingress'] as const;
export type PathKind = (typeof pathKinds)[number];

/** One way from node to node of a graph whose framework runs the loop. */
export interface GraphStep {
  readonly hub: string;
  readonly from: string;
  readonly to: string;
  /** False for what only a run could tell: a `Send`, a `Command` or a branch that did not say where it may go. */
  readonly declared: boolean;
  readonly perRequest: number;
}

export interface TraceQuality {
  readonly requests: number;
  /** Share of traces with one root and no missing parent. */
  readonly unbrokenShare: number;
  readonly spans: number;
  readonly dropped: number;
  /** Components of the workflow that were never seen. */
  readonly darkComponents: readonly string[];
  /** Components without spans of their own in any trace: their turns are as long as their callers waited. */
  readonly silentComponents?: readonly string[];
}

export interface ComponentProfile {
  readonly visitsPerRequest: number;
  /** Event-loop time of its own code per visit, hops and nested calls left out. */
  readonly cpuMs: Distribution;
  /** Wall time per visit not spent waiting for calls, models or a slot: cpuMs plus its own timers and I/O. */
  readonly selfMs: Distribution;
  readonly queueMs: Distribution;
  /** Time a slot is held per visit, nested calls included. */
  readonly heldMs: Distribution;
  readonly errorRate: number;
  /** CPU-seconds per visit from the operating system, where the layout lets it be told apart. */
  readonly osCpuMs: number | null;
}

export interface EdgeProfile {
  readonly channel: string;
  readonly callsPerRequest: number;
  readonly requestBytes: Distribution;
  readonly responseBytes: Distribution;
  /** What the protocol measured said; 0 when it ran in-process. */
  readonly protocol: string;
  /** Caller's and callee's encode and decode work per call. */
  readonly serializeMs: Distribution;
  /** Client duration minus server duration minus encoding: wire, kernel and library. */
  readonly transportMs: Distribution;
}

export interface ModelProfile {
  readonly callsPerRequest: number;
  readonly tokensIn: Distribution;
  readonly tokensCached: Distribution;
  readonly tokensOut: Distribution;
  /** Without the wait for declared limits. */
  readonly latencyMs: Distribution;
  readonly firstChunkMs: Distribution;
  readonly queueMs: Distribution;
  /** Waited for the provider's declared limits before the call was sent; absent for a model without limits. */
  readonly limitMs?: Distribution;
  /** Attempts beyond the first, per request; absent when there were none. */
  readonly retriesPerRequest?: number;
  /**
   * Failed calls per request by what happened (`ModelFault`, else the error's code), and as `badToolCall` replies that call a
   * tool nobody offered or hold no JSON; absent when there were none.
   */
  readonly faultsPerRequest?: { readonly [fault: string]: number };
  readonly byAgent: {
    readonly [agent: string]: {
      readonly callsPerRequest: number;
      readonly tokensIn: number;
      readonly tokensOut: number;
      readonly queueShare: number;
    };
  };
  /** The same calls by the pool that answered (by the model itself where nobody here serves it) and the agent that asked. */
  readonly byPool?: { readonly [pool: string]: PoolUse };
}

/** What one pool did for the calls that were traced. Times and tokens are per request of the application. */
export interface PoolUse {
  readonly callsPerRequest: number;
  readonly byAgent: { readonly [agent: string]: AgentUse };
}

export interface AgentUse {
  readonly callsPerRequest: number;
  readonly tokensIn: number;
  readonly tokensCached: number;
  readonly tokensOut: number;
  /** From the send to the end of the answer, and the part of it in the engine's queue. */
  readonly waitMs: number;
  readonly queueMs: number;
  /** Waited for the first chunk, where the reply said when it came. */
  readonly firstChunkMs: number;
}

/**
 * One traced request with the layout taken out: who worked how long, who called whom with how many bytes, what waited
 * for what. A predictor puts a layout back in and gets the latency of this very request.
 */
export interface RequestSkeleton {
  readonly requestClass: string;
  readonly measuredMs: number;
  readonly root: SkeletonVisit;
}

/** One turn of a component. Phases run one after another; the calls of one phase run at once. */
export interface SkeletonVisit {
  readonly component: string;
  readonly phases: readonly SkeletonPhase[];
}

export interface SkeletonPhase {
  /** The component's own work before the calls of this phase start; wall time, and the part of it on the event loop. */
  readonly selfMs: number;
  readonly cpuMs: number;
  readonly calls: readonly SkeletonCall[];
}

export type SkeletonCall =
  | {
      readonly kind: 'component';
      readonly pattern: 'request' | 'stream' | 'send' | 'publish';
      readonly requestBytes: number;
      readonly responseBytes: number;
      /** Wrapping of a graph's state for another process, on both sides: paid where the hop leaves its process, and not otherwise. */
      readonly wrapMs?: number;
      readonly visit: SkeletonVisit;
    }
  | {
      readonly kind: 'model';
      readonly model: string;
      readonly tokensIn: number;
      readonly tokensCached: number;
      readonly tokensOut: number;
      readonly measuredMs: number;
      /** Growing prefixes of the prompt and their tokens, shortest first: what a prefix cache could hold. Absent where no span says. */
      readonly prefix?: readonly { readonly key: string; readonly tokens: number }[];
    };

/** Price of one hop of a protocol on this machine: `fixed + perKb × size`, from a micro-benchmark (see `protocol-prices`). */
export interface ProtocolPrice {
  readonly protocol: string;
  /** Canonical JSON of the options it was measured with. */
  readonly options: string;
  readonly latencyFixedMs: number;
  readonly latencyPerKbMs: number;
  /** CPU of both ends together. */
  readonly cpuFixedMs: number;
  readonly cpuPerKbMs: number;
}
