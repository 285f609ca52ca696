import type { Configuration } from './configuration.ts';
import type { Estimate } from './provenance.ts';

/** What a predictor says of one configuration under the scenario's load. Every number is an interval. */
export interface Prediction {
  readonly configurationId: string;
  readonly predictor: 'analytic' | 'simulated';
  /** Per request class. */
  readonly classes: { readonly [requestClass: string]: { readonly p50Ms: Estimate; readonly p95Ms: Estimate; readonly meanMs: Estimate } };
  /** Event-loop busy share per unit; at 1 the load cannot be carried. */
  readonly utilization: { readonly [unit: string]: number };
  readonly feasible: boolean;
  readonly usdPer1000Requests: Estimate;
  readonly cpuMsPerRequest: Estimate;
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
}
