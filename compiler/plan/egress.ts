import { hostWord, type LogicalAddress, type Plan, type PlannedService } from '../contracts/index.ts';
import { accessOf } from './access.ts';
import { egressAddress } from './members.ts';

/** What the egress service is told. */
export interface EgressOptions {
  /** Unit or service id → what it may reach outside, as `host:port`. Each has a listener of its own. */
  readonly callers: { readonly [id: string]: readonly string[] };
  /** Private networks that the names among them may stand for. */
  readonly networks: readonly string[];
}

const egressId = 'egress';

/**
 * The same plan with one service through which everything goes that leaves the deployment, and with the address of its
 * own listener for each member that calls outside. What a plan has of it already is made anew, so a plan that was changed
 * can be put through again. Neither networks nor policies of a target know host names: this service is what holds a unit
 * to its own.
 *
 * A listener per caller, and not credentials: who may connect to which port is what network policies enforce, and a
 * credential would be one more secret, which whoever got hold of a unit could read.
 */
export function withEgress(plan: Plan, networks: readonly string[]): Plan {
  const bare = withoutEgress(plan);
  const calling = accessOf(bare).members.filter(({ hosts }) => hosts.length > 0);
  if (calling.length === 0) return bare;
  const callers = Object.fromEntries(calling.map(({ id, hosts }) => [id, hosts.map(hostWord)]));
  const through = <T extends { readonly id: string }>(member: T): T & { readonly egress?: LogicalAddress } =>
    callers[member.id] === undefined ? member : { ...member, egress: egressAddress(member.id) };
  const egress: PlannedService = {
    id: egressId,
    kind: 'egress',
    replicas: 1,
    // It passes bytes on; what a deployment pays for it is the same for every layout.
    resources: { vcpu: 0.25, memoryMb: 128 },
    options: { callers, networks: [...networks] },
  };
  const services = [...bare.services.map(through), egress].sort((a, b) => (a.id < b.id ? -1 : 1));
  return { ...bare, units: bare.units.map(through), services };
}

function withoutEgress(plan: Plan): Plan {
  const direct = <T extends { readonly egress?: LogicalAddress }>({ egress: _, ...member }: T) => member;
  return { ...plan, units: plan.units.map(direct), services: plan.services.filter(({ kind }) => kind !== 'egress').map(direct) };
}
