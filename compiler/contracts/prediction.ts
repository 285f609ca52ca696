import type { Configuration } from './configuration.ts';
import type { Estimate } from './provenance.ts';

/** What a predictor says of one configuration under the scenario's load. Every number is an interval. */
export interface Prediction {
  readonly configurationId: string;
  readonly predictor: 'analytic' | 'simulated';
  /** Per request class. */
  readonly classes: { readonly [requestClass: string]: ClassPrediction };
  /** Event-loop busy share per unit; at 1 the load cannot be carried. */
  readonly utilization: { readonly [unit: string]: number };
  readonly feasible: boolean;
  readonly usdPer1000Requests: Estimate;
  readonly cpuMsPerRequest: Estimate;
  /** Rights its units and services have together (see `grantsOf`): exact. Absent where nobody asked for them. */
  readonly grants?: number;
  /** Per pool of model servers that was put through an engine; absent where every model answers as it was measured. */
  readonly pools?: { readonly [pool: string]: PoolPrediction };
}

export interface ClassPrediction {
  readonly p50Ms: Estimate;
  readonly p95Ms: Estimate;
  readonly meanMs: Estimate;
  /** Until the first token of the answer; absent where it was not asked for or no model call is known to give it. */
  readonly firstTokenMs?: { readonly p50Ms: Estimate; readonly p95Ms: Estimate; readonly meanMs: Estimate };
}

export interface PoolPrediction {
  /** Mean time a call waited before the engine began with it. */
  readonly queuedMs: number;
  /** Its calls pile up: the load is more than it can carry. */
  readonly saturated: boolean;
  /** Hardware profile its engine ran with, and whether anything was measured behind it. */
  readonly profile: string;
  readonly evidence: 'measured' | 'estimate';
}

/** How much any layout could save at most, before anything is searched. Bounds, not promises. */
export interface Headroom {
  /** Per class: measured p50 of the baseline, and its lower bound without communication and queueing. */
  readonly latency: {
    readonly [requestClass: string]: { readonly baselineMs: number; readonly boundMs: number; readonly savingShare: number };
  };
  readonly cost: { readonly baselineUsdPer1000: number; readonly boundUsdPer1000: number; readonly savingShare: number };
  readonly communicationShare: number;
  readonly queueingShare: number;
  /** One sentence a user can act on. */
  readonly sentence: string;
  readonly worthwhile: boolean;
}

export interface ScoredConfiguration {
  readonly configuration: Configuration;
  readonly prediction: Prediction;
  /** Value of the first objective, smaller is better; infinity when a limit is broken. */
  readonly objective: number;
}

/** What the exact search can vouch for. */
export interface SearchCertificate {
  readonly strategy: string;
  readonly evaluated: number;
  readonly pruned: number;
  readonly spaceSize: number;
  /** Optimal under which evaluation: the additive bound, the full predictor, or only the best found. */
  readonly optimalUnder: 'bound' | 'predictor' | 'none';
  readonly gap: number;
  /** Where serving was searched: what became of the ways to serve the models. */
  readonly serving?: {
    readonly plans: number;
    /** Settings that do not fit in memory. */
    readonly unfit: number;
    /** Plans with a pool that cannot carry the load. */
    readonly saturated: number;
    /** Plans no better than another in any call and no cheaper. */
    readonly dominated: number;
    /** Plans a bound ruled out whatever the layout. */
    readonly cut: number;
    readonly searched: number;
  };
}
