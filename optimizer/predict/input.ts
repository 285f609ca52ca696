import type { Configuration, Profile, ProtocolPrice, Resources, ServingConfiguration, Workflow } from '../../compiler/contracts/index.ts';
import type { EngineSetup } from '../../runtime/llm/engine/options.ts';
import type { PricesConfig } from '../../scenarios/schema.ts';
import type { Calibration } from './calibrate.ts';
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
  /**
   * For models we serve: the serving settings the profile was measured under, and the engine behind given ones (null
   * where it is not known). Only configurations that serve otherwise are run through the engine; the rest keep their
   * measured model latencies.
   */
  readonly engines?: {
    readonly reference: Configuration['serving'];
    readonly engineOf: (model: string, serving: ServingConfiguration) => Pick<EngineSetup, 'args' | 'stepTime'> | null;
  };
  /** The process in front when the entry's unit has several replicas: what it is billed for and what passing it costs. */
  readonly gateway?: { readonly resources: Resources; readonly hop: HopPrice };
}
