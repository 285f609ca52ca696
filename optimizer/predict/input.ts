import type { Configuration, Profile, ProtocolPrice, Resources, ServingConfiguration, Workflow } from '../../compiler/contracts/index.ts';
import type { PricesConfig } from '../../scenarios/schema.ts';
import type { Calibration } from './calibrate.ts';
import type { PoolSetup } from './engine-pool.ts';
import type { HopPrice } from './pricing.ts';
import type { Workload } from './workload.ts';

/** What both predictors are made from. */
export interface PredictorInput {
  readonly profile: Profile;
  readonly workflow: Workflow;
  /** One per protocol and option set that a configuration may use. */
  readonly prices: readonly ProtocolPrice[];
  readonly workload: Workload;
  readonly pricing: PricesConfig;
  /** Cores all processes share; the embedded target runs everything on one machine. May be a fraction. */
  readonly hostCores: number;
  readonly seed: number;
  /** Requests simulated per configuration; default 2000. */
  readonly requests?: number;
  readonly calibration?: Calibration;
  /** Rights of a layout, where the objective or a limit is on them; null for one that cannot be planned. */
  readonly grants?: (configuration: Configuration) => number | null;
  /**
   * For models we serve: the serving the profile was measured under, and the engines behind given settings (null where they
   * are not known). Only pools that serve other calls or otherwise are run through an engine; the rest keep their measured
   * latencies.
   */
  readonly engines?: Engines;
  /** Classes whose first token is to be predicted: of those that stream, where a limit or the objective is on it. */
  readonly firstTokens?: readonly string[];
  /** The process in front when the entry's unit has several replicas: what it is billed for and what passing it costs. */
  readonly gateway?: { readonly resources: Resources; readonly hop: HopPrice };
}

export interface Engines {
  readonly reference: Pick<Configuration, 'serving' | 'modelChoice'>;
  readonly setupOf: (model: string, serving: ServingConfiguration) => PoolSetup | null;
  /** Most model calls a pool is judged by when it is ranked; default 3000. Fewer for many pools. */
  readonly calls?: number;
}
