import type { ChannelConfiguration, LayoutDefaults, Resources, ServingConfiguration, Workflow } from '../../compiler/contracts/index.ts';

/** Everything a configuration may be, from the workflow, the scenario's `search` and the target's limits. */
export interface Space {
  readonly workflow: Workflow;
  readonly components: readonly string[];
  /** Sets that must share a unit, and sets no two of which may. */
  readonly together: readonly (readonly string[])[];
  readonly apart: readonly (readonly string[])[];
  readonly maxUnits: number;
  readonly replicas: { readonly [component: string]: { readonly min: number; readonly max: number } };
  /** What may be spoken on each channel where it crosses units; the first is the default. */
  readonly protocols: { readonly [channel: string]: readonly ChannelConfiguration[] };
  readonly resources: { readonly [component: string]: readonly Resources[] };
  readonly serving: { readonly [model: string]: readonly ServingConfiguration[] };
  readonly defaults: LayoutDefaults;
}
