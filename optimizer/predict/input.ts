import type { Profile, ProtocolPrice, Resources, Workflow } from '../../compiler/contracts/index.ts';
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
  /** The process in front when the entry's unit has several replicas: what it is billed for and what passing it costs. */
  readonly gateway?: { readonly resources: Resources; readonly hop: HopPrice };
}
