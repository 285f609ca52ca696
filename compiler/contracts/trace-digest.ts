import type { SpanRecord } from './traces.ts';

/**
 * What telemetry of an application says that nobody deployed with dmas-opt: spans of any OpenTelemetry or Jaeger exporter,
 * with GenAI, OpenInference or OpenLLMetry attributes or none. Everything in it is counted from spans; what spans cannot
 * say is null, never 0. No content of prompts, replies or arguments is in it: sizes and hashes only.
 *
 * Made by `digestTraces` in `profiler/analyze/digest.ts`:
 *
 *     digestTraces(inputs: readonly TraceInput[], options: DigestOptions, context: Pick<StageContext, 'signal' | 'seed'>): Promise<TraceDigest>
 *     type TraceInput = { kind: 'file'; path: string } | { kind: 'live'; host: string; httpPort: number | null; grpcPort: number | null; seconds: number | null; onListening?: (addresses) => void }
 *     type DigestOptions = { sampleTraces?: number; sampleSpans?: number; maxSpans?: number; maxInflatedBytes?: number }   // all have defaults
 *
 * A live input reads until its seconds are over or the signal is aborted; an abort ends the listening and still gives a
 * digest. It throws a DmasError only when no span could be read from any input (DMAS_TRACES_EMPTY); what was
 * rejected beside readable spans is in `sources`.
 *
 * `profile`-like work on single requests (skeletons, waterfalls, predictors) starts from `sample.spans`, which `buildTraces`
 * of `profiler/analyze/tree.ts` reads.
 */
export interface TraceDigest {
  readonly schemaVersion: 1;
  readonly sources: readonly TraceSource[];
  /** From the first start to the last end of any span kept; null without spans. Milliseconds since the epoch. */
  readonly window: { readonly startMs: number; readonly endMs: number; readonly seconds: number } | null;
  readonly quality: ForeignTraceQuality;
  readonly components: readonly TracedComponent[];
  /** At most one per `from`, `to` and `kind`. */
  readonly edges: readonly TracedEdge[];
  /** What users ask for: the roots of the traces. */
  readonly roots: readonly TracedRoot[];
  readonly criticalPath: TracedCriticalPath;
  /** One per model and caller. */
  readonly modelUse: readonly TracedModelUse[];
  readonly sample: TraceSample;
  /** Places that are called and send no spans of their own in answer: what a deployment would have to let through. Absent from older digests. */
  readonly outside?: readonly TracedPlace[];
}

export interface TracedPlace {
  /** The unit or service that called. */
  readonly by: string;
  /** `host:port`. */
  readonly place: string;
  readonly calls: number;
}

export const traceFormats = ['otlp-json', 'otlp-protobuf', 'jaeger-json', 'dmas-ndjson', 'otlp-http', 'otlp-grpc', 'unknown'] as const;
export type TraceFormat = (typeof traceFormats)[number];

export interface TraceSource {
  /** Path as given, or the address listened on. */
  readonly name: string;
  readonly kind: 'file' | 'live';
  readonly format: TraceFormat;
  readonly gzip: boolean;
  /** As stored or sent, before decompression. */
  readonly sizeBytes: number;
  readonly spans: number;
  /** Spans, lines or whole files that could not be used. */
  readonly rejected: number;
  /** Of the rejected, the reason with the number of times and the first place it was seen; at most 20 reasons. */
  readonly reasons: readonly { readonly reason: string; readonly count: number; readonly firstAt: string }[];
}

export const partialCauses = ['no-root', 'missing-parent', 'several-roots', 'cycle'] as const;
export type PartialCause = (typeof partialCauses)[number];

export interface ForeignTraceQuality {
  readonly spans: number;
  readonly traces: number;
  /**
   * Traces with one root and no missing parent; a root that is a server's span may name a parent elsewhere, as its caller need not
   * be traced. The others are in `partial`, each under its first cause.
   */
  readonly complete: number;
  /** `complete / traces`; 0 without traces. */
  readonly unbrokenShare: number;
  readonly partial: { readonly [cause in PartialCause]: number };
  /** Spans whose parent is named and missing. */
  readonly orphanSpans: number;
  /** Spans with the id of an earlier span of their trace. Equal ones count once; a server's that shares its client's id is kept. */
  readonly duplicateSpanIds: number;
  /** Spans that end before they start, or at impossible times: kept with duration 0, or rejected at reading. */
  readonly impossibleTimes: number;
  /** Server spans outside the client span that waited for them, moved into it. */
  readonly clockSkew: { readonly found: number; readonly repaired: number; readonly maxMs: number };
  /** Called by others, but no span of their own: their own calls and work are not known. Databases and models that never trace are not among them. */
  readonly darkComponents: readonly string[];
  /** Components of kinds agent, tool and service without CPU figures; usually all of them. */
  readonly withoutCpu: readonly string[];
  /** Attribute conventions seen, with the number of spans each was read from. */
  readonly conventions: { readonly [convention: string]: number };
  /** Share of spans that only frame others (middleware, chains, tasks) and were taken as work of the component around them. */
  readonly frameShare: number;
}

export const tracedKinds = ['agent', 'tool', 'model', 'service', 'database', 'queue', 'human', 'outside'] as const;
/**
 * - `outside`: called by address only, and neither a model, a database nor a queue: somebody else's, or untraced
 * - `service`: a traced process in which no agent, tool or model call was recognized
 */
export type TracedKind = (typeof tracedKinds)[number];

/** Of raw values where there are up to 10 000, else of a uniform seeded sample of that many. Milliseconds. */
export interface TracedTimes {
  readonly totalMs: number;
  readonly meanMs: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

export interface TracedTokens {
  readonly in: number;
  readonly out: number;
  /** Of `in`, read from the provider's prompt cache; null where no span says. */
  readonly cached: number | null;
}

export interface TracedComponent {
  /** Unique over all kinds. */
  readonly name: string;
  readonly kind: TracedKind;
  /** `service.name` of the processes it was seen in; empty for what is seen from callers only. */
  readonly services: readonly string[];
  /** Processes it was seen in: `service.instance.id`, else pod, else host and process id. At most 100 named. */
  readonly instances: readonly string[];
  readonly instanceCount: number;
  /**
   * What its processes are written in (`telemetry.sdk.language`, else the first word of `process.runtime.name` or
   * `jaeger.version`), lower case, distinct: `nodejs`, `python`, `go`, `cpp` …; left out or empty when no resource says.
   * Asked for by the advice: only code for Node.js can be joined in one process by dmas-opt.
   */
  readonly languages?: readonly string[];
  /** Most of its turns at once, over all instances. */
  readonly peakConcurrency: number;
  readonly calls: number;
  readonly errors: number;
  /** Wall time of a turn not spent in calls to other components. For what has no spans of its own: as its callers waited. */
  readonly self: TracedTimes;
  /** Wall time of a turn, calls included. */
  readonly held: TracedTimes;
  /** Models and, for its own model calls, agents. Null where no span says. */
  readonly tokens: TracedTokens | null;
  /** Sum of cost attributes of its model calls; null where no span has one. */
  readonly costUsd: number | null;
  /** Event-loop or CPU time per turn where spans say it; null otherwise. */
  readonly cpuMsPerCall: number | null;
}

export interface TracedEdge {
  readonly from: string;
  readonly to: string;
  /** `sync`: the caller waits for the answer. `async`: a message over a queue, or work that outlives its caller. */
  readonly kind: 'sync' | 'async';
  readonly calls: number;
  readonly errors: number;
  /** Over all requests, also those without it. */
  readonly callsPerRequest: number;
  /** As the conventions name it (`http`, `grpc`, `kafka`, `a2a`, `mcp`, …); `in-process` without a hop between; null when unknown. */
  readonly protocol: string | null;
  /** Share of calls between components of one process. */
  readonly sameInstanceShare: number;
  /** Share of calls between processes of one host; null where hosts are not told. */
  readonly sameHostShare: number | null;
  /** Mean sizes of bodies; null where no span says. */
  readonly requestBytes: number | null;
  readonly responseBytes: number | null;
  /** As the caller waited. */
  readonly latency: TracedTimes;
  /** Client minus server time: network, serialization and queueing. Null where only one side is traced. */
  readonly gap: TracedTimes | null;
}

export interface TracedRoot {
  /** Name of the root span, numbers and ids in it replaced. */
  readonly name: string;
  /** Component the requests enter at. */
  readonly entry: string;
  readonly requests: number;
  readonly errors: number;
  /** Without human waits. */
  readonly latency: TracedTimes;
  /** Time during which nothing but a person was waited for; null when no request had one. */
  readonly humanWait: TracedTimes | null;
}

/** Time on the critical paths of complete traces, human waits left out. All shares of `components` and `edges` together sum to 1. */
export interface TracedCriticalPath {
  readonly requests: number;
  /** Mean per request. */
  readonly meanMs: number;
  readonly components: readonly PathShare<{ readonly component: string }>[];
  /** The gaps of hops: network, serialization and queueing. */
  readonly edges: readonly PathShare<{ readonly from: string; readonly to: string }>[];
  /** Most frequent ways through the components, as `a → b → c`, at most 5. */
  readonly commonPaths: readonly { readonly path: string; readonly requests: number }[];
}
export type PathShare<Where> = Where & { readonly meanMs: number; readonly share: number };

/** Calls of one model by one caller. */
export interface TracedModelUse {
  /** Component. */
  readonly agent: string;
  readonly model: string;
  /** Component of kind model. */
  readonly component: string;
  readonly provider: string | null;
  readonly calls: number;
  readonly callsPerRequest: number;
  readonly errors: number;
  readonly tokens: TracedTokens | null;
  readonly costUsd: number | null;
  readonly latency: TracedTimes;
  readonly firstChunk: TracedTimes | null;
  readonly repeated: RepeatedContext | null;
}

/**
 * Input tokens that an earlier call of the same conversation already carried. By messages where spans carry them (compared by
 * hash), else an estimate by counts: of a later call of the same agent and conversation that did not shrink, as much as the call before had.
 * Without a conversation id a trace is one conversation.
 */
export interface RepeatedContext {
  readonly basis: 'messages' | 'counts';
  /** Calls that could be judged. */
  readonly calls: number;
  readonly tokensIn: number;
  readonly repeatedTokens: number;
  /** `repeatedTokens / tokensIn`. */
  readonly share: number;
}

/** Whole traces, each with equal chance, in the form of `trace-attributes.ts`: as if the application had been deployed by dmas-opt. */
export interface TraceSample {
  readonly seed: number;
  readonly traces: number;
  /** Complete traces they were drawn from. */
  readonly of: number;
  readonly spans: readonly SpanRecord[];
}
