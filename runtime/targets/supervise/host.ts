import type { BindAddress, LogicalAddress, Peers, Plan, ProcessBinding, ProcessUsage } from '../../../compiler/contracts/index.ts';
import type { DeployRequest } from '../target.ts';
import type { ReplicaLog } from './log.ts';
import type { Member } from './members.ts';

/**
 * What a target must be able to do with one replica; everything else (peers, readiness, restarts, replacing a plan,
 * teardown) is the same everywhere and lives in `SupervisedDeployment`. All of it belongs to one deployment.
 */
export interface ReplicaHost {
  /** Makes what the members of a plan share (images, networks), before the first of them is launched. */
  prepare?(next: Pick<DeployRequest, 'plan' | 'bundles'>, signal: AbortSignal): Promise<void>;
  /** Only members of `plan` run now: lets go of what served the one before alone. */
  settle?(plan: Plan): Promise<void>;
  /**
   * Starts one replica and resolves once it has printed its started line. When it rejects or `signal` aborts, the
   * replica is gone.
   */
  launch(launch: Launch, signal: AbortSignal): Promise<RunningReplica>;
  /**
   * Where everything is now. Programs that somebody else built cannot be told, so the host keeps the addresses they were
   * given at their start true.
   */
  moved?(peers: Peers): void;
  /** Removes what all replicas share (sockets, bindings, networks). Called once, after every replica has ended. */
  close(): Promise<void>;
  /** How often usage is sampled, so that the cost of a crashed replica is not lost, in milliseconds. */
  readonly usageIntervalMs: number;
}

export interface Launch {
  readonly member: Member;
  readonly instanceId: string;
  /** Wished port of the address users call; 0 lets the replica choose. */
  readonly publicPort: number;
  /** All of the binding that does not depend on where it runs. */
  readonly binding: Omit<ProcessBinding, 'control' | 'listen' | 'stateDir'>;
  /** Values of the secrets of this member and of no other. */
  readonly secrets: { readonly [name: string]: string };
  readonly log: ReplicaLog;
}

export interface RunningReplica {
  readonly instanceId: string;
  /** The control server, as this process reaches it; null for what somebody else built. */
  readonly control: BindAddress | null;
  /** Without a control server: resolves once it takes calls. Rejects when `signal` aborts. */
  ready?(signal: AbortSignal): Promise<void>;
  /** Every listening address, as the other replicas reach it. */
  readonly listen: { readonly [address: LogicalAddress]: BindAddress };
  /** The address users call, as this machine reaches it; null when users do not call it. */
  readonly publicAt: BindAddress | null;
  /** Where a model server tells its load, as this machine reaches it; absent for everything else. */
  readonly metricsAt?: BindAddress | undefined;
  /** GPUs it has to itself, by index. */
  readonly gpus?: readonly string[] | undefined;
  /** Resolves, never rejects, when the replica is really gone. */
  readonly exited: Promise<Exit>;
  /** Cumulative; the last known values once it has ended. */
  usage(): Promise<ReplicaUsage>;
  /** Asks it to drain, kills it when it has not ended after `graceMs`, resolves when it is gone. */
  terminate(graceMs: number): Promise<void>;
  /** Kills it without warning, resolves when it is gone. */
  kill(): Promise<void>;
}

/** As `ProcessUsage` says. */
export type ReplicaUsage = Omit<ProcessUsage, 'id' | 'replica' | 'restarts'>;

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export const exitText = (exit: Exit): string => (exit.signal ? `ended by ${exit.signal}` : `ended with code ${exit.code ?? 'unknown'}`);
