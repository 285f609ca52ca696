import type { LogicalAddress } from './plan.ts';

/**
 * What every unit and service of a plan may do on this layout, derived from what its agents need. Targets and exported
 * files allow this and deny the rest.
 */
export interface Access {
  readonly members: readonly MemberAccess[];
}

export interface MemberAccess {
  /** Unit or service id. */
  readonly id: string;
  readonly kind: 'unit' | 'service';
  /** Listeners of other members it calls, sorted by address. */
  readonly reaches: readonly Reach[];
  /** Ids of the members that call it, sorted. */
  readonly accepts: readonly string[];
  /** Whether the application's users call it. */
  readonly public: boolean;
  /** Places outside the deployment it calls, sorted by host and port. */
  readonly hosts: readonly OutsideHost[];
  /** The service through which it calls them; absent: directly. That service's own `hosts` are those of all its callers. */
  readonly through?: string;
  /** Names of the secrets it holds, sorted. */
  readonly secrets: readonly string[];
}

export interface Reach {
  /** Unit or service id. */
  readonly to: string;
  readonly address: LogicalAddress;
}

/** One place outside the deployment. */
export interface OutsideHost {
  /** A host name or an address, in lower case; no wildcards. */
  readonly host: string;
  readonly port: number;
  /** Components and models that need it, sorted. */
  readonly for: readonly string[];
}

/**
 * Number of things anybody may do: every pair of members that may speak, every outside place and every secret of each
 * member. A layout with fewer grants has less to lose. A service that others call outside through adds nothing: it has
 * their rights, not rights of its own.
 */
export function grantsOf({ members }: Access): number {
  const means = new Set(members.flatMap(({ through }) => through ?? []));
  return members
    .filter(({ id }) => !means.has(id))
    .reduce((sum, { reaches, hosts, secrets }) => sum + calleesOf(reaches, means).size + hosts.length + secrets.length, 0);
}

const calleesOf = (reaches: readonly Reach[], means: ReadonlySet<string>) =>
  new Set(reaches.flatMap(({ to }) => (means.has(to) ? [] : [to])));
