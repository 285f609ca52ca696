import type {
  Bundle,
  Descriptor,
  EffectPolicy,
  Incident,
  Plan,
  Problem,
  ProcessUsage,
  StageContext,
  TargetTraits,
} from '../../compiler/contracts/index.ts';

/** Where a plan runs. Everything it creates is labelled with the deployment id and found again by `clean`. */
export interface Target {
  /** What is missing here to run anything at all, with the fix. Used by `doctor` and before a run. */
  check(): Promise<readonly Problem[]>;
  /**
   * Starts everything in parallel and waits until all is ready. Registers teardown before set-up: when it rejects
   * (`DMAS_DEPLOY_FAILED`, with the log's last lines) or the signal aborts, nothing is left.
   */
  deploy(request: DeployRequest, context: StageContext): Promise<Deployment>;
  /** Runs a bundled program to its end, outside this process, and returns what it printed as its last JSON line. */
  runJob(job: Job, context: StageContext): Promise<unknown>;
  /** Finds what dead owners left behind and removes it; returns a line per thing removed. */
  clean(options?: CleanOptions): Promise<readonly string[]>;
  /** What `clean` would remove. */
  leftovers(options?: CleanOptions): Promise<readonly string[]>;
  /** What bounds deployments here beside what plans themselves say; absent: nothing is known to. */
  room?(): Promise<Room>;
}

/** How much may still be deployed, as it was when it was asked for. */
export interface Room {
  /** Why a plan would be refused, as the end of a sentence; null when it fits, as far as is known. */
  refuses(plan: Plan): string | null;
  /** The same of what all members together ask for at least, for layouts that were not planned; quick. */
  refusesTotals(asked: AskedTotals): string | null;
}

export interface AskedTotals {
  readonly pods: number;
  readonly vcpu: number;
  readonly memoryMb: number;
  readonly gpus: number;
}

export interface CleanOptions {
  /** Also what is kept for the next deployment and that nobody uses now, such as images. Absent: it stays. */
  readonly caches?: boolean;
}

export interface DeployRequest {
  readonly deploymentId: string;
  readonly plan: Plan;
  readonly bundles: readonly Bundle[];
  /** Base URLs of OTLP receivers. */
  readonly otlpEndpoints: readonly string[];
  readonly samplingRatio: number;
  /** Folder for logs, bindings and state of this deployment. */
  readonly folder: string;
  /** Values of the secrets the plan names. */
  readonly environment: { readonly [name: string]: string };
  /** Fixed port of the ingress; 0 picks one. */
  readonly ingressPort: number;
  readonly readyTimeoutMs: number;
  /** Folder of the scenario: folders of foreign commands are relative to it. Needed when the plan has any. */
  readonly sourceFolder?: string;
  /** Tools whose side effects must not happen (see `ProcessBinding`). Absent: everything runs. */
  readonly stubbedTools?: readonly string[];
  /** How calls with effects are answered (see `ProcessBinding`). Absent: everything runs. */
  readonly effects?: EffectPolicy;
}

export interface Deployment {
  readonly id: string;
  readonly plan: Plan;
  /** Base URLs users call: one per ingress replica, or the gateway's. */
  readonly ingressUrls: readonly string[];
  /** The same as jobs of this target reach them; absent: as this machine does. */
  readonly jobUrls?: readonly string[];
  /** Cumulative since start, per replica of every unit and service. */
  usage(): Promise<readonly ProcessUsage[]>;
  /** What each running replica says of itself (`GET /stats` of its control address); null where it says nothing. */
  stats(): Promise<readonly { readonly id: string; readonly replica: number; readonly stats: unknown }[]>;
  /** The model servers that run now, by the service they belong to, as this process reaches them; in replica order. */
  modelServers(): readonly ModelServerAddress[];
  setSampling(ratio: number): Promise<void>;
  /** Asks every process to export what it has traced so far; resolves when done. */
  flushTraces(): Promise<void>;
  /** Crashes and restarts since start; `atMs` is epoch time here. */
  incidents(): readonly Incident[];
  /** Kills one replica without warning (fault injection); it is restarted like any crashed one. */
  kill(unit: string, replica: number): Promise<void>;
  /**
   * Replaces one plan by another without dropping a request: new replicas beside the old, readiness, shift of requests,
   * watch, then the end of the old ones, or the way back. When it rejects, the old plan serves as before.
   *
   * @throws DmasError `DMAS_UPDATE_ROLLED_BACK` when the watch said so; `DMAS_DEPLOY_FAILED` and others when the new plan did not start
   */
  update(request: UpdateRequest, context: StageContext, steps?: UpdateSteps): Promise<void>;
  logs(unit: string, replica: number): Promise<string>;
  stop(): Promise<void>;
}

export interface UpdateRequest extends Pick<DeployRequest, 'plan' | 'bundles'>, Partial<Pick<DeployRequest, 'environment'>> {
  /** Replicas that did not change are replaced too, but for gateways and for model servers that load weights (`loadsWeights`). */
  readonly fresh?: boolean;
}

/** In this order; the last is `commit` or `rollback`. One that fails in `prepare` has neither: nothing was shifted. */
export const updatePhases = ['prepare', 'shift', 'watch', 'commit', 'rollback'] as const;
export type UpdatePhase = (typeof updatePhases)[number];

export interface UpdateSteps {
  /** Told when a phase begins, with what it does in words. A way back has a `shift` of its own. */
  readonly entered?: (phase: UpdatePhase, detail: string) => void;
  /**
   * Judges the new plan while it serves and the old replicas stand by. Resolves with why the old plan must come back, as
   * part of a sentence; null keeps the new one. Absent: the new one is kept as soon as it serves. `signal`: it is over
   * for another reason.
   */
  readonly watch?: (signal: AbortSignal) => Promise<string | null>;
}

export interface ModelServerAddress {
  readonly service: string;
  readonly replica: number;
  /** Unique over restarts. */
  readonly instanceId: string;
  /** Base URL, without a path. */
  readonly url: string;
  /** GPUs it has to itself, by index; empty where nobody knows. */
  readonly gpus: readonly string[];
}

export interface Job {
  readonly id: string;
  readonly code: string;
  /** Given to the program as JSON in the file named by `DMAS_JOB`. */
  readonly input: unknown;
  readonly folder: string;
  readonly timeoutMs: number;
  /** Files of this machine that the input names and the program writes: they are here when it has ended, wherever it ran. */
  readonly writes?: readonly string[];
  /** Files of this machine that the input names and the program looks for: it sees them soon after they are there. */
  readonly watches?: readonly string[];
}
export const jobVariable = 'DMAS_JOB';

export type TargetDescriptor = Descriptor<'target', TargetTraits, { create(options: { readonly [key: string]: unknown }): Target }>;
export const defineTarget = (descriptor: Omit<TargetDescriptor, 'kind'>): TargetDescriptor => ({ kind: 'target', ...descriptor });
