import { createHash } from 'node:crypto';
import {
  type BindAddress,
  type Bundle,
  httpUrl,
  type LogicalAddress,
  type MemberAccess,
  type PeerName,
  type Plan,
  type PlannedProgram,
  type ProcessBinding,
} from '../contracts/index.ts';
import { accessOf } from '../plan/access.ts';
import { egressCallerOf, ingressAddress, type PlannedMember, plannedMembers } from '../plan/members.ts';
import type { MemberProgram } from '../plan/program-environment.ts';

/** Ports of a member that has an address of its own: control, then its listeners in the plan's order. */
export const controlPort = 7000;

/** Of targets, where their options say nothing else. */
export const standingDefaults = { queueLimit: 256, drainMs: 5_000 } as const;

/** How a deployment is told what no supervisor tells it. */
export interface Standing {
  readonly deploymentId: string;
  /** Name under which all ready replicas of a member are found, one address each; not its balanced address. */
  readonly hostOf: (id: string) => string;
  /** The control port of a member that shares its address with another one; absent: every member has an address of its own. */
  readonly controlPortOf?: (id: string) => number;
  /** Where the ingress listens, whatever else its unit listens on; absent: behind the unit's other ports. */
  readonly ingressPort?: number;
  /** OTLP receivers as the members reach them. */
  readonly otlpEndpoints: readonly string[];
  /** Share of requests traced. */
  readonly samplingRatio: number;
  readonly queueLimit: number;
  readonly drainMs: number;
  /** Folder for state inside a replica. */
  readonly stateDir: string;
}

/** One unit or service as files describe it: fixed ports, names in place of addresses, one binding for all replicas. */
export interface StandingMember extends PlannedMember {
  readonly controlPort: number;
  readonly ports: readonly { readonly address: LogicalAddress; readonly port: number }[];
  /** Null for what somebody else built: it is told through its environment. */
  readonly binding: ProcessBinding | null;
  readonly bundle: Bundle | null;
}

/** The members of a plan that stands by itself. `instanceId` and `replica` of a binding are the replica's to fill in. */
export function standingMembers(plan: Plan, bundles: readonly Bundle[], standing: Standing): readonly StandingMember[] {
  const members = plannedMembers(plan);
  const portOf = standing.controlPortOf ?? (() => controlPort);
  const ports = (member: PlannedMember) => portsOf(member, portOf(member.id), standing.ingressPort);
  const names = namesOf(members, standing.hostOf, ports);
  const reached = new Map(accessOf(plan).members.map(({ id, reaches }) => [id, new Set(reaches.map(({ address }) => address))]));
  // Nobody is told where what it does not call is.
  const namesFor = (id: string) => Object.fromEntries(Object.entries(names).filter(([address]) => reached.get(id)?.has(address)));
  return members.map((member) => ({
    ...member,
    controlPort: portOf(member.id),
    ports: ports(member),
    binding: member.program === null ? bindingOf(member, portOf(member.id), ports(member), namesFor(member.id), standing) : null,
    bundle: bundles.find(({ id }) => id === member.id) ?? null,
  }));
}

/** What somebody else built listens once, wherever it always did. */
export function portsOf(
  { listens, program }: PlannedMember,
  control: number = controlPort,
  ingressPort?: number,
): { readonly address: LogicalAddress; readonly port: number }[] {
  const taken = new Set<number>();
  return listens.map(({ address, port }, index) => {
    const caller = egressCallerOf(address);
    const fixed = program?.fixedPort ?? port ?? (address === ingressAddress ? ingressPort : undefined);
    const own = fixed ?? (caller === undefined ? control + 1 + index : egressPort(caller, taken));
    taken.add(own);
    return { address, port: own };
  });
}

/** Listeners of the egress service: above those of meshes and databases, below those of nodes (30000) and of outgoing calls (32768). */
const egressPorts = { first: 20_000, count: 10_000 } as const;

/**
 * The port of a caller at the egress service is made of its name: whoever else comes or goes, it stays, so files change little,
 * and one that drains after a change never speaks on the port of another.
 */
function egressPort(caller: string, taken: ReadonlySet<number>): number {
  let at = createHash('sha256').update(caller).digest().readUInt32BE(0) % egressPorts.count;
  while (taken.has(egressPorts.first + at)) at = (at + 1) % egressPorts.count;
  return egressPorts.first + at;
}

/** Where each logical address is found. */
function namesOf(
  members: readonly PlannedMember[],
  hostOf: Standing['hostOf'],
  portsFor: (member: PlannedMember) => StandingMember['ports'],
): { readonly [address: LogicalAddress]: PeerName } {
  return Object.fromEntries(
    members.flatMap((member) =>
      portsFor(member).map(({ address, port }): [string, PeerName] => [
        address,
        { host: hostOf(member.id), port, ...(member.program === null ? {} : { foreignPath: member.program.path }) },
      ]),
    ),
  );
}

function bindingOf(
  member: PlannedMember,
  control: number,
  ports: StandingMember['ports'],
  names: NonNullable<ProcessBinding['names']>,
  standing: Standing,
): ProcessBinding {
  const everywhere = (port: number): BindAddress => ({ host: '0.0.0.0', port });
  return {
    deploymentId: standing.deploymentId,
    id: member.id,
    replica: 0,
    instanceId: '',
    control: everywhere(control),
    listen: Object.fromEntries(ports.map(({ address, port }) => [address, everywhere(port)])),
    peers: {},
    names,
    otlpEndpoints: standing.otlpEndpoints,
    samplingRatio: standing.samplingRatio,
    stateDir: standing.stateDir,
    queueLimit: standing.queueLimit,
    drainMs: standing.drainMs,
  };
}

/** `host:port` of a logical address, for programs that are told once where their neighbours are. */
export function standingAt(members: readonly StandingMember[], hostOf: Standing['hostOf'], address: LogicalAddress): string {
  for (const member of members) {
    const found = member.ports.find((port) => port.address === address);
    if (found) return httpUrl({ host: hostOf(member.id), port: found.port }).slice('http://'.length);
  }
  return '';
}

/** What a program of others is told of its neighbours and of its way out. Its listeners have names here, so no numbers are needed. */
export const standingProgram = (
  { component, models, planned }: StandingMember,
  program: PlannedProgram,
  { reaches }: Pick<MemberAccess, 'reaches'>,
): MemberProgram => ({
  planned: program,
  component,
  models,
  reaches: Object.fromEntries(reaches.map(({ to, address }) => [address, { id: to, listener: 0 }])),
  ...(planned.egress === undefined ? {} : { egress: planned.egress }),
});
