import type { EffectPolicy } from './cassette.ts';
import type { LogicalAddress } from './plan.ts';

/**
 * What a target tells a starting process: where it is and where its peers are. JSON in the file named by
 * `DMAS_BINDING`. A unit that gets port 0 chooses one and reports it (see `StartedReport`); peers that were not yet
 * known at start come later by `PUT /peers` on the control address.
 */
export interface ProcessBinding {
  readonly deploymentId: string;
  /** Unit or service id. */
  readonly id: string;
  readonly replica: number;
  /** Unique over the deployment and over restarts of one replica. */
  readonly instanceId: string;
  readonly control: BindAddress;
  /** Per logical address in the unit's `listens`, and `ingress` / `service://id` for those. */
  readonly listen: { readonly [address: LogicalAddress]: BindAddress };
  readonly peers: Peers;
  /**
   * Where a deployment stands without a supervisor that tells peers: host names behind which all replicas of an address
   * are found, looked up again and again. What is found takes the place of what `peers` says of that address.
   */
  readonly names?: { readonly [address: LogicalAddress]: PeerName };
  /**
   * For the egress service, where a target's networks do not tell ports apart: caller → host name behind which all its
   * replicas are found. A call on that caller's port from another address is refused.
   */
  readonly callers?: { readonly [id: string]: string };
  /** OTLP/HTTP base URLs (`/v1/traces` is appended): the collector of dmas-opt first, then the user's. */
  readonly otlpEndpoints: readonly string[];
  /** Share of requests traced, decided at the ingress, 0 to 1. Changed live by `PUT /sampling`. */
  readonly samplingRatio: number;
  /** A folder for state that survives a replica, and for nothing else. */
  readonly stateDir: string;
  /** Bounded queue per component; beyond it callers get `overloaded`. */
  readonly queueLimit: number;
  /** Tools answered by a made-up value of their output schema instead of being run: side effects nobody allowed. */
  readonly stubbedTools?: readonly string[];
  /** How calls with effects on the world are answered, and whether they are recorded. Absent: everything runs. */
  readonly effects?: EffectPolicy;
  /** How long a draining unit waits for what is in flight. */
  readonly drainMs: number;
}

export type BindAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** A name that is looked up for one address per ready replica, as of a headless service. */
export interface PeerName {
  readonly host: string;
  readonly port: number;
  /** Path of what somebody else built; its replicas are `foreign`. */
  readonly foreignPath?: string;
}

/** Where the replicas of each logical address can be reached, in replica order. */
export interface Peers {
  readonly [address: LogicalAddress]: readonly ReplicaAddress[];
}

export interface ReplicaAddress {
  readonly replica: number;
  readonly instanceId: string;
  readonly at: BindAddress;
  /** Absolute base URL where `at` does not say it all: another path, another scheme. Its host and port are `at`'s. */
  readonly url?: string;
  /** Not one of ours: it knows nothing of `CallMeta` and gets the protocol as its own clients speak it. */
  readonly foreign?: boolean;
  /** It takes nothing new: it is here for calls that name its instance, until it has none left and goes. */
  readonly retiring?: boolean;
}

/** One JSON line on standard output, prefixed by `startedPrefix`, once everything listens. */
export interface StartedReport {
  readonly control: BindAddress;
  readonly listen: { readonly [address: LogicalAddress]: BindAddress };
  readonly pid: number;
}
export const startedPrefix = '@dmas-opt started ';
export const bindingVariable = 'DMAS_BINDING';

/** `http://host:port` of a TCP address. */
export function httpUrl(at: BindAddress): string {
  if ('path' in at) throw new TypeError(`${at.path} is a unix socket, not a TCP address`);
  return `http://${at.host.includes(':') && !at.host.startsWith('[') ? `[${at.host}]` : at.host}:${at.port}`;
}
