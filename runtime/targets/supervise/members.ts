import { createHash } from 'node:crypto';
import {
  type Bundle,
  canonicalJson,
  fail,
  type LogicalAddress,
  type Plan,
  type PlannedListener,
  type PlannedService,
  type PlannedUnit,
  type Resources,
} from '../../../compiler/contracts/index.ts';
import type { MemberProgram } from './program.ts';

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
  /** Equal for members that need not be replaced by each other: same code, same plan but for the replica count. */
  readonly fingerprint: string;
}

interface MemberListener {
  readonly address: LogicalAddress;
  readonly transport: 'tcp' | 'unix';
}

/** Under this address a unit that takes the application's requests listens for them. */
export const ingressAddress: LogicalAddress = 'ingress';
const serviceAddress = (id: string): LogicalAddress => `service://${id}`;
export const memberKey = (id: string, replica: number): string => `${id}/${replica}`;
/** For people, in messages. */
export const memberName = (member: Pick<Member, 'kind' | 'id' | 'replica'>): string =>
  `${member.kind} ${member.id} replica ${member.replica}`;

/** A name for files and containers made from an id. */
export const fileName = (id: string): string => id.replace(/[^\w.+~-]/g, '_');

/**
 * Everything a plan asks to be run, services first.
 * @throws DmasError DMAS_DEPLOY_FAILED when a unit or service has no bundle
 */
export function membersOf(plan: Plan, bundles: readonly Bundle[]): Member[] {
  const bundleOf = (id: string) =>
    bundles.find((bundle) => bundle.id === id) ?? fail('DMAS_DEPLOY_FAILED', `There is no bundle for ${id}, which the plan needs.`);
  const services = plan.services.flatMap((service) => serviceMembers(service, plan, service.program ? null : bundleOf(service.id)));
  return [...services, ...plan.units.flatMap((unit) => unitMembers(unit, plan, unit.program ? null : bundleOf(unit.id)))];
}

function unitMembers(unit: PlannedUnit, plan: Plan, bundle: Bundle | null): Member[] {
  const { replicas, ...rest } = unit;
  const listens = listenersOf(unit);
  if (unit.ingress) listens.push({ address: ingressAddress, transport: 'tcp' });
  return copies(replicas, {
    id: unit.id,
    kind: 'unit',
    listens,
    publicAddress: unit.ingress && !plan.ingress.gateway ? ingressAddress : null,
    metricsAddress: null,
    resources: unit.resources,
    secrets: unit.secrets,
    bundle,
    program: programOf(unit, plan),
    fingerprint: fingerprint(bundle, bundle === null ? { ...rest, around: listenersAround(unit, plan) } : rest),
  });
}

function programOf({ program, agents, toolServers, models }: PlannedUnit, plan: Plan): MemberProgram | null {
  if (program === undefined) return null;
  const units = plan.units.flatMap((unit) =>
    listenersOf(unit).map(({ address }, listener) => {
      const fixedPort = unit.program?.fixedPort;
      return [address, { id: unit.id, listener, ...(fixedPort === undefined ? {} : { fixedPort }) }] as const;
    }),
  );
  const services = plan.services.map(({ id }) => [serviceAddress(id), { id, listener: 0 }] as const);
  const reaches = Object.fromEntries([...units, ...services]);
  return { planned: program, component: [...agents, ...toolServers][0] ?? '', models, reaches };
}

/** What its neighbours listen on: it learns their addresses when it starts and never again, so it goes when they change. */
function listenersAround({ program }: PlannedUnit, plan: Plan): readonly (readonly string[])[] {
  const reached = new Set(Object.values(program?.neighbours ?? {}).map(({ address }) => address));
  return plan.units
    .map((unit) => unit.listens.map(({ address }) => address))
    .filter((addresses) => addresses.some((address) => reached.has(address)));
}

function serviceMembers(service: PlannedService, plan: Plan, bundle: Bundle | null): Member[] {
  const { replicas, ...rest } = service;
  const address = serviceAddress(service.id);
  return copies(replicas, {
    id: service.id,
    kind: 'service',
    listens: [{ address, transport: 'tcp' }],
    publicAddress: plan.ingress.gateway === address ? address : null,
    metricsAddress: service.kind === 'model' ? address : null,
    resources: service.resources,
    secrets: service.secrets ?? [],
    bundle,
    program: service.program ? { planned: service.program, component: service.id, models: {}, reaches: {} } : null,
    fingerprint: fingerprint(bundle, rest),
  });
}

const listenersOf = (unit: PlannedUnit): MemberListener[] =>
  unit.listens
    // Components of one process meet in memory: nothing to bind.
    .filter((listener) => listener.protocol !== 'inproc')
    .map((listener) => ({ address: listener.address, transport: transportOf(listener) }));

const copies = (replicas: number, member: Omit<Member, 'replica'>): Member[] =>
  Array.from({ length: replicas }, (_, replica) => ({ ...member, replica }));

const transportOf = (listener: PlannedListener): 'tcp' | 'unix' => (listener.options.transport === 'unix' ? 'unix' : 'tcp');

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
