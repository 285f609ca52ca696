import type { LogicalAddress } from '../../contracts/index.ts';
import type { StandingMember } from '../standing.ts';
import { type Context, componentOf } from './context.ts';
import type { KubernetesObject } from './input.ts';
import { namedPorts } from './ports.ts';

/** Where users call the application inside the cluster: port of the balanced Service of the entry. */
export const publicPort = 80;

/**
 * Services of a member: a headless one, whose name callers look up for one address per ready replica, since they balance by
 * themselves over connections that live long; and one with an address of its own for whoever balances nothing: users, and
 * programs of others, which are told one address once.
 */
export function servicesOf(context: Context, member: StandingMember): readonly KubernetesObject[] {
  const ports = namedPorts(member).map(({ name, port, appProtocol }) => ({ name, port, targetPort: name, appProtocol }));
  const component = componentOf(context.nameOf(member.id), context.prefix);
  const { selector } = context.podOf(member.id);
  const service = (name: string, spec: object): KubernetesObject => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: context.metadata(name, component),
    spec: { ...spec, selector },
  });
  const headless = service(context.peersOf(member.id), {
    clusterIP: 'None',
    ...(onCycle(context, member.id) ? { publishNotReadyAddresses: true } : {}),
    ...(ports.length === 0 ? {} : { ports }),
  });
  const door = namedPorts(member).find(({ address }) => address === member.publicAddress);
  const balanced = [
    ...(door === undefined ? [] : [{ name: 'http', port: publicPort, targetPort: door.name, appProtocol: 'http' }]),
    ...(isToldToPrograms(context, member) ? ports : []),
  ];
  const found = member.ports.length > 0 || context.podOf(member.id).sticky;
  return [...(found ? [headless] : []), ...(balanced.length === 0 ? [] : [service(context.balancedOf(member.id), { ports: balanced })])];
}

/**
 * Whether a member waits for itself, along who calls whom: replicas are ready once they know their callees. On such a circle
 * nobody would ever be the first, so there names are published before readiness; callers pass over whoever refuses.
 */
export function onCycle({ accessOf }: Pick<Context, 'accessOf'>, id: string): boolean {
  const seen = new Set<string>();
  const next = [id];
  for (let at = next.pop(); at !== undefined; at = next.pop()) {
    for (const { to } of accessOf(at).reaches) {
      if (to === id) return true;
      if (seen.has(to)) continue;
      seen.add(to);
      next.push(to);
    }
  }
  return false;
}

/** Whether a program of others is told where this member is. */
function isToldToPrograms({ members }: Context, { ports }: StandingMember): boolean {
  const told = new Set<LogicalAddress>(
    members.flatMap(({ program, models, planned }) =>
      program === null
        ? []
        : [
            ...Object.values(program.neighbours).map(({ address }) => address),
            ...Object.keys(program.models).flatMap((model) => models[model]?.address ?? []),
            ...(planned.egress === undefined ? [] : [planned.egress]),
          ],
    ),
  );
  return ports.some(({ address }) => told.has(address));
}

/** The way in from outside the cluster, where a host name is given. */
export function publicIngress(context: Context): KubernetesObject | null {
  const { publish } = context.input;
  const door = context.members.find(({ publicAddress }) => publicAddress !== null);
  if (publish === undefined || door === undefined) return null;
  const { host, className, tlsSecret } = publish;
  const name = context.nameOf(door.id);
  const backend = { service: { name, port: { name: 'http' } } };
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: context.metadata(name, componentOf(name, context.prefix)),
    spec: {
      ...(className === undefined ? {} : { ingressClassName: className }),
      ...(tlsSecret === undefined ? {} : { tls: [{ hosts: [host], secretName: tlsSecret }] }),
      rules: [{ host, http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }],
    },
  };
}
