import {
  type Access,
  hostWord,
  type MemberAccess,
  type OutsideHost,
  type Plan,
  type PlannedService,
  type PlannedUnit,
  parseOutsideHost,
  plannedModelsOf,
  type Reach,
  tapeAddress,
} from '../contracts/index.ts';
import { ingressAddress, plannedMembers } from './members.ts';

/** One thing a member calls: a logical address, or the absolute URL of something nobody deploys. */
interface Call {
  readonly at: string;
  /** The component or model that needs it. */
  readonly for: string;
}

/** What each unit and service of a plan may do. Pure: it says what `Plan` says, from the side of rights. */
export function accessOf(plan: Plan): Access {
  const members = plannedMembers(plan);
  const holder = new Map(members.flatMap((member) => member.listens.map(({ address }) => [address, member.id] as const)));
  const calls = new Map(members.map(({ id, kind, planned }) => [id, callsOf(plan, kind, planned)]));
  const reaches = new Map([...calls].map(([id, made]) => [id, reachesOf(made, holder)]));
  const outside = new Map(
    members.map(({ id, planned }) => [id, outsideOf(calls.get(id) ?? [], 'hosts' in planned ? (planned.hosts ?? []) : [])]),
  );
  const all = joined([...outside.values()].flat());
  return {
    members: members.map(({ id, kind, publicAddress, secrets, planned }): MemberAccess => {
      const through = planned.egress === undefined ? undefined : holder.get(planned.egress);
      const callers = [...reaches].filter(([, reached]) => reached.some(({ to }) => to === id)).map(([caller]) => caller);
      return {
        id,
        kind,
        reaches: reaches.get(id) ?? [],
        accepts: callers.sort(),
        public: publicAddress !== null,
        hosts: isEgress(planned) ? all : (outside.get(id) ?? []),
        ...(through === undefined ? {} : { through }),
        secrets: [...secrets].sort(),
      };
    }),
  };
}

const isEgress = (planned: PlannedUnit | PlannedService): boolean => 'kind' in planned && planned.kind === 'egress';

function callsOf(plan: Plan, kind: 'unit' | 'service', planned: PlannedUnit | PlannedService): readonly Call[] {
  const out = planned.egress === undefined ? [] : [{ at: planned.egress, for: planned.id }];
  return [...out, ...(kind === 'unit' ? callsOfUnit(plan, planned as PlannedUnit) : callsOfService(plan, planned as PlannedService))];
}

function callsOfUnit(plan: Plan, unit: PlannedUnit): Call[] {
  const models = plannedModelsOf(unit).flatMap(({ model, address, limiter }) =>
    [address, limiter ?? []].flat().map((at) => ({ at, for: model })),
  );
  const state = unit.state.address === undefined ? [] : [{ at: unit.state.address, for: 'state' }];
  return [...unit.routes.map(({ address, from }) => ({ at: address, for: from })), ...models, ...state, ...tapeOf(plan)];
}

function callsOfService(plan: Plan, { id, kind, options }: PlannedService): Call[] {
  const upstream = typeof options.upstream === 'string' ? [{ at: options.upstream, for: id }] : [];
  switch (kind) {
    case 'gateway':
      return [{ at: ingressAddress, for: id }];
    case 'model':
      return [...upstream, ...(options.backend === 'replay' ? tapeOf(plan) : [])];
    default:
      return upstream;
  }
}

/** Which tools and agents are answered from the tape is said when a plan is deployed, so everybody may ask. */
const tapeOf = ({ services }: Plan): Call[] => (services.some(({ kind }) => kind === 'tape') ? [{ at: tapeAddress, for: 'tape' }] : []);

/** A member may reach itself: the completion of a topic goes to the replica that took the request. */
function reachesOf(calls: readonly Call[], holder: ReadonlyMap<string, string>): readonly Reach[] {
  const addresses = [...new Set(calls.map(({ at }) => at))].sort();
  return addresses.flatMap((address) => {
    const to = holder.get(address);
    return to === undefined ? [] : [{ to, address }];
  });
}

function outsideOf(calls: readonly Call[], declared: readonly OutsideHost[]): readonly OutsideHost[] {
  const called = calls.flatMap(({ at, for: component }): OutsideHost[] => {
    const place = /^https?:\/\//.test(at) ? parseOutsideHost(at) : undefined;
    return place === undefined ? [] : [{ ...place, for: [component] }];
  });
  return joined([...called, ...declared]);
}

/** Each place once, with everybody who needs it. */
function joined(hosts: readonly OutsideHost[]): readonly OutsideHost[] {
  const places = new Map<string, OutsideHost>();
  for (const place of hosts) {
    const key = hostWord(place);
    places.set(key, { ...place, for: [...new Set([...(places.get(key)?.for ?? []), ...place.for])].sort() });
  }
  return [...places].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, place]) => place);
}
