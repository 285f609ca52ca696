import type { Access, Bundle, Descriptor, Plan, TargetTraits, Workflow } from '../contracts/index.ts';

/**
 * Plan → files somebody can apply without us. Pure: same input, same bytes; no clock, no random numbers, no files read.
 * Every emitter writes a `README.md` that says how to apply, verify and roll back what it wrote.
 */
export interface Emitter {
  /**
   * The plan as this format needs it, e.g. with a listener more or a model served by somebody else: bundles and access
   * are made of what it returns, and `emit` gets that plan. Absent: the plan as it is. Pure.
   *
   * @throws DmasError `DMAS_EXPORT` for a plan this format cannot express, with what to change
   */
  prepare?(plan: Plan, options: { readonly [option: string]: unknown }): Plan;
  /** @throws DmasError `DMAS_EXPORT` for a plan this format cannot express, with what to change */
  emit(input: EmitInput, options: { readonly [option: string]: unknown }): readonly EmittedFile[];
}

export interface EmitInput {
  /** What `prepare` made of the layout's plan. */
  readonly plan: Plan;
  /** The layout's plan itself; absent: `plan`. */
  readonly layoutPlan?: Plan;
  /** One for every unit and service of ours. */
  readonly bundles: readonly Bundle[];
  readonly access: Access;
  readonly workflow: Workflow;
  readonly facts: ExportFacts;
}

/** What a study found that a file can use. Absent where it was not measured: then the file leaves it out and says so. */
export interface ExportFacts {
  /** Where the layout comes from, e.g. `run travel-planner-… , layout 3 (confirmed)`; for headers and READMEs. */
  readonly origin: string;
  /** Most requests per second a replica of a unit took at the objective's limits, by unit or service. */
  readonly capacityPerReplica: { readonly [member: string]: MeasuredCapacity };
  /** Time from the start of a replica until it takes calls, in milliseconds, by unit or service. */
  readonly startMs: { readonly [member: string]: number };
  /** The report's intervals that `verify` holds a deployment against, one line each, for people. */
  readonly claims: readonly string[];
  /** The command that runs this scenario again, for schedules: arguments after `dmas-opt`. */
  readonly scenarioFile: string;
  /** What a README must say of this layout as these files have it, one sentence each. Absent: nothing. */
  readonly notes?: readonly string[];
}

export interface MeasuredCapacity {
  readonly requestsPerSecond: number;
  /** Calls under way at that rate, by Little's law (1961): rate × time in the unit. */
  readonly concurrency: number;
  /** CPU seconds per request. */
  readonly cpuSecondsPerRequest: number;
  readonly provenance: string;
}

export interface EmittedFile {
  /** Relative to the export folder, with forward slashes. */
  readonly path: string;
  readonly content: string;
  /** 0o755 for what is run; default 0o644. */
  readonly mode?: number;
}

export interface EmitterTraits {
  /** What comes out, for `dmas-opt export --list`. */
  readonly formats: string;
  /** What the place these files are for can do, as of a target; absent: containers with addresses of their own. */
  readonly target?: TargetTraits;
}

/** Containers: limits hold, nothing but the network between them, programs of others come as images. */
export const containerTraits: TargetTraits = { enforces: { vcpu: true, memory: true }, unixSockets: false, programs: 'image' };

/** The same, where the egress service of the plan stands beside the units and nothing else leads out. */
export const walledTraits: TargetTraits = { ...containerTraits, egress: 'proxy' };

export type EmitterDescriptor = Descriptor<'emitter', EmitterTraits, Emitter>;
export const defineEmitter = (descriptor: Omit<EmitterDescriptor, 'kind'>): EmitterDescriptor => ({ kind: 'emitter', ...descriptor });
