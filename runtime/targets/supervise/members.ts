import { createHash } from 'node:crypto';
import {
  type Bundle,
  canonicalJson,
  fail,
  type Json,
  type LogicalAddress,
  type Plan,
  type Resources,
} from '../../../compiler/contracts/index.ts';
import {
  listenersOf,
  loadsWeights,
  type MemberListener,
  type PlannedMember,
  plannedMembers,
  serviceAddress,
} from '../../../compiler/plan/members.ts';
import type { MemberProgram } from '../../../compiler/plan/program-environment.ts';

/** One replica of one unit or service: what is started, restarted and kept or replaced as one. */
export interface Member {
  /** Unit or service id. */
  readonly id: string;
  readonly replica: number;
  readonly kind: 'unit' | 'service';
  readonly listens: readonly MemberListener[];
  /** The one of `listens` that users call, when they call this member. */
  readonly publicAddress: LogicalAddress | null;
  /** The one of `listens` under which a model server tells its load (`GET /metrics`); null for everything else. */
  readonly metricsAddress: LogicalAddress | null;
  readonly resources: Resources;
  readonly secrets: readonly string[];
  /** Its code; null for what somebody else built. */
  readonly bundle: Bundle | null;
  /** How to start what somebody else built. */
  readonly program: MemberProgram | null;
  /** What a replica that is kept is told anew when a plan is replaced; null where it is replaced itself. */
  readonly settings: Json;
  /** Equal for members that need not be replaced by each other: same code, same plan but for the replica count. */
  readonly fingerprint: string;
}

export const memberKey = (id: string, replica: number): string => `${id}/${replica}`;
/** For people, in messages. */
export const memberName = (member: Pick<Member, 'kind' | 'id' | 'replica'>): string =>
  `${member.kind} ${member.id} replica ${member.replica}`;

/** A name for files and containers made from an id. */
export const fileName = (id: string): string => id.replace(/[^\w.+~-]/g, '_');

/**
 * Everything a plan asks to be run, services first. Members of another generation are not the same, whatever they are, unless they
 * load weights or are told what changes.
 * @throws DmasError DMAS_DEPLOY_FAILED when a unit or service has no bundle
 */
export function membersOf(plan: Plan, bundles: readonly Bundle[], generation = 0): Member[] {
  const bundleOf = (id: string) =>
    bundles.find((bundle) => bundle.id === id) ?? fail('DMAS_DEPLOY_FAILED', `There is no bundle for ${id}, which the plan needs.`);
  return plannedMembers(plan).flatMap((member) => copiesOf(member, plan, member.program === null ? bundleOf(member.id) : null, generation));
}

function copiesOf(member: PlannedMember, plan: Plan, bundle: Bundle | null, generation: number): Member[] {
  const { id, kind, listens, publicAddress, metricsAddress, resources, secrets, planned } = member;
  const { replicas, ...rest } = planned;
  const around = kind === 'unit' && bundle === null ? { around: listenersAround(member, plan) } : {};
  const program = programOf(member, plan);
  const settings = settingsOf(member, plan);
  const born = generation === 0 || loadsWeights(planned) ? {} : { generation };
  return Array.from({ length: replicas }, (_, replica) => ({
    ...{ id, replica, kind, listens, publicAddress, metricsAddress, resources, secrets, bundle, program, settings },
    fingerprint: settings === null ? fingerprint(bundle, { ...rest, ...around, ...born }) : fingerprint(null, { id, resources }),
  }));
}

/** A gateway outlives its plan, for the sake of the connections of users: it is told what changes (see `GatewaySettings`). Null for all else. */
export function settingsOf({ planned }: Pick<PlannedMember, 'planned'>, { ingress }: Plan): Json {
  if (!('kind' in planned) || planned.kind !== 'gateway') return null;
  return { balancing: planned.options.balancing ?? null, ingress: ingress as unknown as Json };
}

function programOf({ kind, program, component, models, planned }: PlannedMember, plan: Plan): MemberProgram | null {
  if (program === null) return null;
  const out = planned.egress === undefined ? [] : egressOf(planned.egress, plan);
  if (kind === 'service') return { planned: program, component, models, reaches: Object.fromEntries(out), ...egressField(planned) };
  const units = plan.units.flatMap((unit) =>
    listenersOf(unit).map(({ address }, listener) => {
      const fixedPort = unit.program?.fixedPort;
      return [address, { id: unit.id, listener, ...(fixedPort === undefined ? {} : { fixedPort }) }] as const;
    }),
  );
  const services = plan.services.map(({ id }) => [serviceAddress(id), { id, listener: 0 }] as const);
  return { planned: program, component, models, reaches: Object.fromEntries([...units, ...services, ...out]), ...egressField(planned) };
}

const egressField = ({ egress }: PlannedMember['planned']) => (egress === undefined ? {} : { egress });

/** Which listener of the egress service is this member's. */
function egressOf(address: LogicalAddress, plan: Plan) {
  return plannedMembers(plan).flatMap(({ id, listens }) => {
    const listener = listens.findIndex((candidate) => candidate.address === address);
    return listener < 0 ? [] : [[address, { id, listener }] as const];
  });
}

/** What its neighbours listen on: it learns their addresses when it starts and never again, so it goes when they change. */
function listenersAround({ program }: PlannedMember, plan: Plan): readonly (readonly string[])[] {
  const reached = new Set(Object.values(program?.neighbours ?? {}).map(({ address }) => address));
  return plan.units
    .map((unit) => unit.listens.map(({ address }) => address))
    .filter((addresses) => addresses.some((address) => reached.has(address)));
}

const fingerprint = (bundle: Bundle | null, planned: object): string =>
  createHash('sha256')
    .update(canonicalJson({ sha256: bundle?.sha256 ?? '', planned }))
    .digest('hex');

/**
 * The order in which units and services end, so that nobody loses a callee while it still works: users' entry first,
 * then what it calls, and so on; whatever no route reaches after that, services last.
 */
export function drainWaves(plan: Plan): string[][] {
  const unitOfAddress = new Map(plan.units.flatMap((unit) => unit.listens.map((listener) => [listener.address, unit.id] as const)));
  const callees = new Map(plan.units.map((unit) => [unit.id, unit.routes.map((route) => unitOfAddress.get(route.address))]));
  const seen = new Set<string>();
  const waves: string[][] = [];
  const gateway = plan.services.filter((service) => serviceAddress(service.id) === plan.ingress.gateway).map((service) => service.id);
  if (gateway.length > 0) waves.push(gateway);
  let wave = plan.units.filter((unit) => unit.ingress || unit.id === plan.ingress.unit).map((unit) => unit.id);
  while (wave.length > 0) {
    waves.push(wave);
    for (const id of wave) seen.add(id);
    wave = [...new Set(wave.flatMap((id) => callees.get(id) ?? []))].filter((id) => id !== undefined && !seen.has(id)) as string[];
  }
  const unreached = plan.units.map((unit) => unit.id).filter((id) => !seen.has(id));
  if (unreached.length > 0) waves.push(unreached);
  const services = plan.services.map((service) => service.id).filter((id) => !gateway.includes(id));
  if (services.length > 0) waves.push(services);
  return waves;
}
