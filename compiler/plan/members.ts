import type {
  LogicalAddress,
  Plan,
  PlannedListener,
  PlannedModel,
  PlannedProgram,
  PlannedService,
  PlannedUnit,
  Resources,
} from '../contracts/index.ts';

/** A unit or a service, as whoever starts it sees it. */
export interface PlannedMember {
  readonly id: string;
  readonly kind: 'unit' | 'service';
  readonly replicas: number;
  readonly listens: readonly MemberListener[];
  /** The one of `listens` that users call, when they call this member. */
  readonly publicAddress: LogicalAddress | null;
  /** The one of `listens` under which a model server tells its load (`GET /metrics`); null for everything else. */
  readonly metricsAddress: LogicalAddress | null;
  readonly resources: Resources;
  readonly secrets: readonly string[];
  /** How what somebody else built is started; null for ours. */
  readonly program: PlannedProgram | null;
  /** The component a program is; the id of a service. */
  readonly component: string;
  /** What the agents of a unit are answered by. */
  readonly models: { readonly [model: string]: PlannedModel };
  readonly planned: PlannedUnit | PlannedService;
}

export interface MemberListener {
  readonly address: LogicalAddress;
  readonly transport: 'tcp' | 'unix';
  /** See `PlannedListener.port`. */
  readonly port?: number;
}

/** Under this address a unit that takes the application's requests listens for them. */
export const ingressAddress: LogicalAddress = 'ingress';
export const serviceAddress = (id: string): LogicalAddress => `service://${id}`;

/** Where the egress service listens for one member; see `withEgress`. */
export const egressAddress = (caller: string): LogicalAddress => `${serviceAddress('egress')}/${caller}`;

/** For whom an address of the egress service is; undefined for every other address. */
export const egressCallerOf = (address: LogicalAddress): string | undefined => {
  const root = egressAddress('');
  return address.startsWith(root) ? address.slice(root.length) : undefined;
};

/** Everything a plan asks to be run, services first. */
export const plannedMembers = (plan: Plan): readonly PlannedMember[] => [
  ...plan.services.map((service) => serviceMember(service, plan)),
  ...plan.units.map((unit) => unitMember(unit, plan)),
];

function unitMember(unit: PlannedUnit, plan: Plan): PlannedMember {
  const listens = listenersOf(unit);
  if (unit.ingress) listens.push({ address: ingressAddress, transport: 'tcp' });
  return {
    id: unit.id,
    kind: 'unit',
    replicas: unit.replicas,
    listens,
    publicAddress: unit.ingress && !plan.ingress.gateway ? ingressAddress : null,
    metricsAddress: null,
    resources: unit.resources,
    secrets: unit.secrets,
    program: unit.program ?? null,
    component: [...unit.agents, ...unit.toolServers][0] ?? '',
    models: unit.models,
    planned: unit,
  };
}

function serviceMember(service: PlannedService, plan: Plan): PlannedMember {
  const address = serviceAddress(service.id);
  return {
    id: service.id,
    kind: 'service',
    replicas: service.replicas,
    listens: service.kind === 'egress' ? egressListeners(service) : [{ address, transport: 'tcp' }],
    publicAddress: plan.ingress.gateway === address ? address : null,
    metricsAddress: service.kind === 'model' ? address : null,
    resources: service.resources,
    secrets: service.secrets ?? [],
    program: service.program ?? null,
    component: service.id,
    models: {},
    planned: service,
  };
}

const egressListeners = ({ options }: PlannedService): MemberListener[] =>
  Object.keys(options.callers ?? {})
    .sort()
    .map((caller) => ({ address: egressAddress(caller), transport: 'tcp' }));

/** Model servers that somebody else built: they take minutes to be ready, and are worth keeping. */
export const loadsWeights = (planned: PlannedUnit | PlannedService): planned is PlannedService =>
  'kind' in planned && planned.kind === 'model' && planned.program !== undefined;

/** Where a unit listens for other units. */
export const listenersOf = (unit: PlannedUnit): MemberListener[] =>
  unit.listens
    // Components of one process meet in memory: nothing to bind.
    .filter((listener) => listener.protocol !== 'inproc')
    .map((listener) => ({
      address: listener.address,
      transport: transportOf(listener),
      ...(listener.port === undefined ? {} : { port: listener.port }),
    }));

const transportOf = (listener: PlannedListener): 'tcp' | 'unix' => (listener.options.transport === 'unix' ? 'unix' : 'tcp');
