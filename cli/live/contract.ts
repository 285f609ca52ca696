import type { Bundle, Configuration, Plan } from '../../compiler/contracts/index.ts';
import type { Limit } from '../../profiler/stats/limits.ts';
import type { UpdatePhase } from '../../runtime/targets/target.ts';
import type { WatchReport } from './watch.ts';

/**
 * What is said over the control socket of a running deployment: HTTP/1.1 with JSON.
 *
 *     GET    /deployment     LiveFacts
 *     PUT    /configuration  ApplyRequest; answers with one LiveEvent per line, the last of type `ended`
 *     DELETE /configuration  interrupts what PUT began: it goes back
 */
export interface LiveFacts {
  readonly toolVersion: string;
  readonly deploymentId: string;
  readonly name: string;
  readonly scenarioFile: string;
  readonly target: string;
  /** Run folder of the deployment. */
  readonly folder: string;
  readonly startedAtMs: number;
  readonly ingressUrls: readonly string[];
  readonly configurationId: string;
  readonly configuration: Configuration;
  readonly plan: Plan;
  /** SHA-256 of the code of each unit and service. */
  readonly code: { readonly [id: string]: string };
  readonly health: LiveHealth;
  /** The phase an update is in; null while nothing changes. */
  readonly changing: UpdatePhase | null;
}

export interface LiveHealth {
  readonly replicas: number;
  /** Replicas that answer their control server; what somebody else built has none and is not counted. */
  readonly answering: number;
  readonly restarts: number;
  /** Since the gateway started. */
  readonly requests: number;
  readonly failures: number;
}

export interface ApplyRequest {
  /** Both sides must be one version: replicas of old and new plan call each other. */
  readonly toolVersion: string;
  readonly configuration: Configuration;
  readonly plan: Plan;
  readonly bundles: readonly Bundle[];
  readonly watch: WatchWish;
}

export interface WatchWish {
  readonly durationMs: number;
  readonly limits: readonly Limit[];
  /** Back to the old plan also when there was too little traffic to tell. */
  readonly insist: boolean;
}

export type LiveEvent =
  | { readonly type: 'phase'; readonly phase: UpdatePhase; readonly detail: string }
  | { readonly type: 'watching'; readonly secondsLeft: number; readonly requests: number; readonly failures: number }
  | { readonly type: 'ended'; readonly outcome: LiveOutcome };

export interface LiveOutcome {
  readonly serves: 'new' | 'old';
  /** Null when the new layout serves. */
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly watch: WatchReport | null;
}
