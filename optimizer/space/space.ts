import type {
  ChannelConfiguration,
  Configuration,
  LayoutDefaults,
  Resources,
  ServingConfiguration,
  Workflow,
} from '../../compiler/contracts/index.ts';
import type { KeptApart } from '../../scenarios/rights.ts';

/** Everything a configuration may be, from the workflow, the scenario's `search` and the target's limits. */
export interface Space {
  readonly workflow: Workflow;
  readonly components: readonly string[];
  /** Sets that must share a unit, and sets no two of which may. */
  readonly together: readonly (readonly string[])[];
  readonly apart: readonly (readonly string[])[];
  /** Those pairs of `apart` that security domains and classes of data keep apart, with the reason in words. */
  readonly apartByRights?: readonly KeptApart[];
  readonly maxUnits: number;
  readonly replicas: { readonly [component: string]: { readonly min: number; readonly max: number } };
  /** What may be spoken on each channel where it crosses units; the first is the default. */
  readonly protocols: { readonly [channel: string]: readonly ChannelConfiguration[] };
  readonly resources: { readonly [component: string]: readonly Resources[] };
  /** Ways to answer the agents' model calls: at least one, with no pools where no model is bound. */
  readonly serving: readonly ServingShape[];
  /** What is left of `serving` once a profile told what cannot win, best first; absent before that: all of it. */
  readonly servingPlans?: readonly ServingPlan[];
  /** Settings left out because they cannot run. */
  readonly unfit?: readonly UnfitSettings[];
  readonly defaults: LayoutDefaults;
}

/** Which model answers whom, and which agents share a pool; the settings of each pool are still open. */
export interface ServingShape {
  readonly modelChoice?: NonNullable<Configuration['modelChoice']>;
  readonly pools: readonly PoolChoice[];
}

export interface PoolChoice {
  readonly id: string;
  readonly options: readonly ServingConfiguration[];
}

/** A shape with a setting for each pool. */
export type ServingPlan = Pick<Configuration, 'serving' | 'modelChoice'>;

export interface UnfitSettings {
  readonly model: string;
  readonly count: number;
  /** Of one of them, in words. */
  readonly reason: string;
}
