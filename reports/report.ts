import type {
  BlockFault,
  ClassResult,
  Comparison,
  Configuration,
  DecisionKind,
  Estimate,
  GraphStep,
  Headroom,
  Incident,
  MachineFacts,
  PoolLoad,
  Prediction,
  ProcessUsage,
  Provenance,
  ReplayFacts,
  SearchCertificate,
  TraceQuality,
  TrialRole,
} from '../compiler/contracts/index.ts';

/** Everything a reader needs, computed once by `build`; every other output is a view of it. */
export interface Report {
  readonly schemaVersion: 1;
  readonly toolVersion: string;
  readonly studyId: string;
  readonly scenario: {
    readonly name: string;
    readonly file: string;
    readonly sha256: string;
    readonly seed: number;
    readonly target: string;
  };
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly state: 'completed' | 'interrupted' | 'capped';
  readonly stateDetail: string | null;
  readonly machine: MachineFacts;
  readonly objective: {
    readonly minimize: readonly string[];
    readonly slo: readonly {
      readonly requestClass: string | null;
      readonly metric: string;
      readonly max: number | null;
      readonly min: number | null;
    }[];
    readonly margin: number;
  };
  readonly verdict: ReportVerdict;
  readonly headroom: Headroom | null;
  /** What the baseline can take in a closed loop, and how much of that the scenario offers; null when not measured. */
  readonly capacity: {
    readonly requestsPerSecond: number;
    readonly clients: number;
    readonly offeredPerSecond: number;
    readonly offeredShare: number;
  } | null;
  readonly whereItGoes: WhereItGoes | null;
  /** Load, waiting and money per pool of model servers while the profile was taken; null where none was. */
  readonly models?: ReportModels | null;
  readonly traces: TraceQuality | null;
  /** Per request class in which people were asked; absent where nobody was. */
  readonly human?: readonly ReportHuman[];
  readonly trials: readonly ReportTrial[];
  /** Configuration ids on the cost/latency front, cheapest first. */
  readonly front: readonly string[];
  readonly search: SearchCertificate | null;
  /** Why the winner differs from the baseline, in sentences; modelled. Empty when the baseline stays. */
  readonly explanation: readonly string[];
  readonly waterfalls: { readonly before: Waterfall | null; readonly after: Waterfall | null };
  readonly warnings: readonly ReportWarning[];
  readonly prices: { readonly source: string; readonly vcpuHourUsd: number; readonly memoryGbHourUsd: number };
  /**
   * The fully traced block of the baseline over the mean of its blocks at verdict sampling: CPU per request and p50 of
   * the main class. One block, not paired and the first of fresh processes, so an upper bound without interval; null when
   * either side is missing.
   */
  readonly tracingOverhead: { readonly cpuRatio: number; readonly p50Ratio: number } | null;
}

export interface ReportVerdict {
  readonly kind: DecisionKind;
  /** The whole finding in one or two sentences. */
  readonly sentence: string;
  readonly baselineId: string;
  readonly winnerId: string;
  /** Winner against the best of baseline, all-in-one and one-per-agent, and against the baseline. */
  readonly comparisons: readonly Comparison[];
  readonly provenance: Provenance;
  /** Command that applies it. */
  readonly apply: string;
}

export interface WhereItGoes {
  readonly criticalPath: { readonly [kind: string]: number };
  readonly components: readonly {
    readonly name: string;
    readonly visitsPerRequest: number;
    readonly cpuMsPerRequest: number;
    readonly selfMsPerRequest: number;
    readonly queueMsPerRequest: number;
  }[];
  readonly edges: readonly {
    readonly from: string;
    readonly to: string;
    readonly protocol: string;
    readonly callsPerRequest: number;
    readonly bytesPerRequest: number;
    readonly serializeMsPerRequest: number;
    readonly transportMsPerRequest: number;
  }[];
  readonly models: readonly {
    readonly model: string;
    readonly callsPerRequest: number;
    readonly tokensInPerRequest: number;
    readonly tokensCachedPerRequest: number;
    readonly tokensOutPerRequest: number;
    readonly latencyMsP50: number;
    readonly queueMsPerRequest: number;
    readonly usdPer1000Requests: number;
    readonly provenance: Provenance;
  }[];
  /** Where runs of a framework's graphs went from node to node; absent without any. */
  readonly graphSteps?: readonly GraphStep[];
}

export interface ReportModels {
  /** By name; empty where the application calls no model. */
  readonly pools: readonly ReportPool[];
}

/** One pool of model servers, or an endpoint nobody here serves. Per request means: of the application. */
export interface ReportPool {
  readonly pool: string;
  /** Logical model. */
  readonly model: string;
  /** Whose metrics were read; null: none could be. */
  readonly source: PoolLoad['source'] | null;
  readonly provenance: Provenance;
  /** Its step times come from a hardware profile with no measurement behind it. */
  readonly estimate: boolean;
  readonly replicas: number | null;
  readonly gpus: { readonly gpu: string; readonly count: number } | null;
  readonly perRequest: {
    readonly calls: number;
    readonly tokensIn: number;
    readonly tokensCached: number;
    readonly tokensOut: number;
    /** From the send of a call to the end of its answer, over all calls; queueMs is the part of it in the engine's queue. */
    readonly waitMs: number;
    readonly queueMs: number;
  };
  readonly usdPer1000: { readonly tokens: number; readonly gpus: number };
  readonly agents: readonly {
    readonly agent: string;
    readonly calls: number;
    readonly tokensIn: number;
    readonly tokensCached: number;
    readonly tokensOut: number;
    readonly waitMs: number;
    /** Share of all waiting for this pool. */
    readonly waitShare: number;
    readonly queueMs: number;
    readonly usdPer1000: number;
  }[];
  /** What its servers say of themselves, everybody's calls included. */
  readonly engine: {
    readonly tokensIn: number;
    readonly tokensCached: number | null;
    readonly tokensOut: number;
    readonly preemptions: number | null;
    /** Readings that failed. */
    readonly gaps: number;
    /** The stretch that counts, from the start of the block. */
    readonly fromMs: number | null;
    readonly toMs: number | null;
    readonly timeToFirstTokenMs: SpanTimes | null;
    readonly timePerOutputTokenMs: SpanTimes | null;
    readonly queueMs: SpanTimes | null;
    readonly prefillMs: SpanTimes | null;
    readonly decodeMs: SpanTimes | null;
    readonly running: { readonly mean: number; readonly max: number };
    readonly waiting: { readonly mean: number; readonly max: number };
    readonly kvUse: { readonly mean: number; readonly max: number } | null;
    readonly gpuUse: number | null;
    readonly gpuMemoryMb: number | null;
    readonly gpuPowerW: number | null;
    readonly series: {
      readonly atMs: readonly number[];
      readonly running: readonly number[];
      readonly waiting: readonly number[];
      readonly kvUse: readonly number[] | null;
    };
    readonly gpuSeries: { readonly atMs: readonly number[]; readonly use: readonly number[] } | null;
  } | null;
}

/** From a histogram: the mean, and what 95 % certainly stayed within. */
export interface SpanTimes {
  readonly n: number;
  readonly mean: number;
  readonly p95AtMost: number;
}

export interface ReportTrial {
  readonly number: number;
  readonly configurationId: string;
  readonly label: string;
  readonly roles: readonly TrialRole[];
  readonly state: 'measured' | 'failed' | 'pending';
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly configuration: Configuration;
  /** Human-readable layout: one line per unit. */
  readonly layout: readonly string[];
  readonly changes: readonly string[];
  readonly deployments: number;
  readonly blocks: readonly ReportBlock[];
  /** Medians over valid blocks with their intervals; null when there is no valid block. */
  readonly p50Ms: Estimate | null;
  readonly p95Ms: Estimate | null;
  readonly usdPer1000: Estimate | null;
  readonly cpuMsPerRequest: Estimate | null;
  readonly errorRate: number | null;
  readonly throughputPerSecond: number | null;
  /** Rights its units and services have together; null where no plan of it was run or predicted. */
  readonly grants: number | null;
  /** Per limit of the objective, in its order: holds at the pessimistic end of the interval. */
  readonly slo: readonly {
    readonly metric: string;
    readonly requestClass: string | null;
    readonly value: number | null;
    readonly holds: boolean | null;
  }[];
  readonly prediction: Prediction | null;
  /** Predicted over measured p50 of the main class; null when either is missing. */
  readonly predictedRatio: number | null;
  /** Per unit and service, from targets that count it; absent elsewhere. */
  readonly units?: readonly ReportUnitUsage[];
}

export interface ReportUnitUsage {
  /** Unit or service id. */
  readonly id: string;
  /** Time its threads wanted to run and its CPU limit held them, per second and replica. */
  readonly throttledShare: number;
  /** Over all its networks: calls, control and traces. */
  readonly receivedBytesPerRequest: number;
  readonly sentBytesPerRequest: number;
}

export interface ReportBlock {
  readonly id: string;
  readonly purpose: string;
  readonly round: number;
  readonly deploymentId: string;
  readonly valid: boolean;
  readonly faults: readonly { readonly fault: BlockFault; readonly detail: string }[];
  readonly classes: { readonly [requestClass: string]: ClassResult };
  readonly usage: readonly ProcessUsage[];
  readonly usdPer1000: number;
  /** Present when something was replayed: its counts, and what the tokens of 1000 requests cost with and without caches. */
  readonly replay?: ReplayFacts & { readonly tokensUsdPer1000: number; readonly tokensFixedUsdPer1000: number };
  readonly incidents: readonly Incident[];
}

/** One request, span by span; times from its start. */
export interface Waterfall {
  readonly configurationId: string;
  readonly requestClass: string;
  readonly totalMs: number;
  readonly rows: readonly {
    readonly depth: number;
    readonly lane: string;
    readonly label: string;
    readonly kind: 'working' | 'communication' | 'queueing' | 'model' | 'tool' | 'ingress';
    readonly startMs: number;
    readonly durationMs: number;
    readonly critical: boolean;
    readonly detail: string;
  }[];
}

/** Time people took, as scripted in the workload; apart from every latency. */
export interface ReportHuman {
  readonly requestClass: string;
  /** Right answers of the class; those that had paused; how often they had. */
  readonly answered: number;
  readonly requests: number;
  readonly pauses: number;
  /** Per request that paused. */
  readonly meanMs: number;
  readonly maxMs: number;
}

export interface ReportWarning {
  readonly code: string;
  readonly message: string;
  readonly advice: string;
}
