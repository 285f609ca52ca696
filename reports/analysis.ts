import type { Provenance, TracedPlace } from '../compiler/contracts/index.ts';
import type { Waterfall } from './report.ts';

/** What traces alone say, computed once by `adviseOn`; terminal, HTML, Markdown and JSON are views of it. */
export interface Analysis {
  readonly schemaVersion: 1;
  readonly toolVersion: string;
  /** Everything derived from traces without running anything. What was counted in the traces themselves is `observed`. */
  readonly provenance: Extract<Provenance, 'modelled'>;
  readonly verdict: AnalysisVerdict;
  readonly source: AnalysisSource;
  readonly topology: AnalysisTopology;
  readonly quality: AnalysisQuality;
  readonly where: AnalysisWhere;
  readonly layout: LayoutRoom;
  /** The best changes of layout, best first; at most three. */
  readonly changes: readonly LayoutChange[];
  /** What costs time or money and no layout mends, most important first. */
  readonly notLayout: readonly Finding[];
  /** What had to be assumed because the traces do not say it. */
  readonly assumptions: readonly Assumption[];
  /** What could not be seen and only the user knows. */
  readonly questions: readonly string[];
  /** Places outside that were called; absent where the traces show none. */
  readonly outside?: readonly TracedPlace[];
  /** A request of typical latency, span by span; null without a whole trace. */
  readonly waterfall: Waterfall | null;
}

/** Lowest and highest value that fits what was seen and what was assumed. Not a confidence level: the ends are corner cases. */
export interface Range {
  readonly low: number;
  readonly high: number;
}

export interface AnalysisVerdict {
  /** `worth-trying`: even the low end is above the margin. `maybe`: only the high end is. `not-worth-it`: not even that. */
  readonly kind: 'worth-trying' | 'maybe' | 'not-worth-it' | 'nothing-to-say';
  /** The answer in one sentence. */
  readonly sentence: string;
  /** What stands behind it; may be empty. */
  readonly detail: string;
  /** Savings below this share are not worth a change. */
  readonly marginShare: number;
  /** Command to type next. */
  readonly next: string;
}

export interface AnalysisSource {
  /** As given on the command line; `otlp` when received live. */
  readonly inputs: readonly string[];
  readonly formats: readonly string[];
  readonly spans: number;
  readonly traces: number;
  /** Whole traces that latency and layout are computed from. */
  readonly sampledTraces: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** Requests per second over the window; 0 when it has no length. */
  readonly tracedPerSecond: number;
  /** Share of all requests that was traced, as given; null when nobody said. */
  readonly sampledShare: number | null;
  readonly rejected: readonly string[];
}

/** `external`: databases, queues and what is seen only from its callers. */
export const analysisPathKinds = ['working', 'tool', 'model', 'external', 'communication'] as const;
export type AnalysisPathKind = (typeof analysisPathKinds)[number];

export interface AnalysisTopology {
  readonly components: readonly {
    readonly name: string;
    /** `agent`, `tool server`, `service`, `model`, `database`, …. */
    readonly kind: string;
    /** Other names in the traces that it stands for: tools in its process, or all that one process holds. */
    readonly holds: readonly string[];
    /** Where it runs now, and in how many processes it was seen. */
    readonly services: readonly string[];
    readonly instances: number;
    readonly mobility: 'movable' | 'replicas only' | 'external';
    readonly reason: string;
  }[];
  readonly edges: readonly {
    readonly from: string;
    readonly to: string;
    /** `http`, `grpc` …; `in-process` where both ends share one; `unknown` where no span says it. */
    readonly protocol: string;
    /** A message nobody waits for. */
    readonly async: boolean;
    readonly callsPerRequest: number;
    readonly errorShare: number;
    /** Per request, both ways; null where no span carries sizes. */
    readonly bytesPerRequest: number | null;
    /** As the caller waited. */
    readonly latencyMsP50: number;
    /** What a call takes beyond the callee's own span; null where only one side was seen. */
    readonly hopMsP50: number | null;
  }[];
}

export interface AnalysisQuality {
  readonly unbrokenShare: number;
  readonly partialTraces: number;
  readonly skewFound: number;
  readonly skewRepaired: number;
  /** Called, but never seen from inside. */
  readonly dark: readonly string[];
  /** What the traces cannot tell and what was mended, a sentence each. */
  readonly notes: readonly string[];
}

export interface AnalysisWhere {
  /** Per request class the traces tell apart: the name of the root operation. */
  readonly classes: readonly {
    readonly name: string;
    readonly share: number;
    readonly requests: number;
    readonly errorShare: number;
    readonly p50Ms: number;
    readonly p95Ms: number;
  }[];
  /** Mean shares of latency along the critical paths of all whole traces; they sum to 1. Waits for people are left out. */
  readonly criticalPath: { readonly [kind in AnalysisPathKind]: number };
  /** Most frequent ways through the components, `a → b → c`. */
  readonly commonPaths: readonly { readonly path: string; readonly share: number }[];
  /** Waiting for people, per request, kept apart from latency. */
  readonly humanMsPerRequest: number;
  readonly money: readonly MoneyLine[];
  readonly components: readonly {
    readonly name: string;
    readonly kind: string;
    readonly visitsPerRequest: number;
    readonly selfMsPerRequest: number;
    /** Along the critical path, per request. */
    readonly criticalMsPerRequest: number;
    /** Null where the traces say nothing; else known or bounded by the time it was busy. */
    readonly cpuMsPerRequest: Range | null;
    readonly errorShare: number;
  }[];
  readonly models: readonly {
    readonly model: string;
    readonly agent: string;
    readonly callsPerRequest: number;
    readonly tokensInPerRequest: number | null;
    readonly tokensCachedPerRequest: number | null;
    readonly tokensOutPerRequest: number | null;
    readonly latencyMsP50: number;
    readonly msPerRequest: number;
    /** Of its input, in an earlier call of the same conversation. */
    readonly repeatedShare: number | null;
    readonly usdPer1000: number | null;
  }[];
}

/** One thing money goes to, per 1000 requests. */
export interface MoneyLine {
  readonly kind: 'tokens' | 'model pool' | 'agents' | 'traffic';
  readonly name: string;
  /** Null where no price is known. */
  readonly usdPer1000: Range | null;
  /** What is counted when there is no price: `12.4 k tokens`, `3 processes`. */
  readonly amount: string;
  readonly dependsOnLayout: boolean;
}

/** What any layout could change at all. The saving of the best layout for that metric lies in the interval. */
export interface LayoutRoom {
  /** Per request class; empty without a whole trace. */
  readonly latency: readonly {
    readonly requestClass: string;
    readonly nowMs: number;
    readonly savingShare: Range;
    readonly savingMs: Range;
  }[];
  /** Of what agents and tool servers cost to run. Null when nothing can be moved. */
  readonly compute: { readonly savingShare: Range; readonly processesNow: number; readonly processesThen: Range } | null;
  /** Of everything that was priced. */
  readonly cost: {
    readonly nowUsdPer1000: Range;
    readonly savingShare: Range;
    readonly savingUsdPer1000: Range;
    /** Something that costs money has no price here, so the share may be smaller. */
    readonly unpriced: boolean;
  } | null;
  /** Why there is nothing to change, or, when not `judged`, why that cannot be said; null when there is something. */
  readonly nothing: string | null;
  readonly judged: boolean;
}

export interface LayoutChange {
  /** `Put weather and news in one process`. */
  readonly title: string;
  readonly why: string;
  readonly latencySavingShare: Range;
  readonly latencySavingMs: Range;
  readonly computeSavingShare: Range;
  readonly usdPer1000Saving: Range | null;
  /** Processes after it. */
  readonly processes: number;
  /** dmas-opt can try it, or the parts are built elsewhere and only their owners can. */
  readonly who: 'dmas-opt' | 'you';
  readonly risk: string | null;
}

export interface Finding {
  readonly kind:
    | 'slow-model-call'
    | 'repeated-context'
    | 'serial-calls'
    | 'errors'
    | 'retries'
    | 'chatty'
    | 'slow-tool'
    | 'own-work'
    | 'external'
    | 'long-answers'
    | 'human';
  readonly title: string;
  readonly detail: string;
  /** Share of latency it touches along the critical path; null when it is about money or errors. */
  readonly latencyShare: number | null;
  readonly tokensShare: number | null;
}

export interface Assumption {
  readonly what: string;
  readonly range: string;
  readonly source: string;
  /** Flag or telemetry that would replace it. */
  readonly instead: string | null;
}
