import { clusterNamespaceOf, type OutsideHost } from '../../contracts/index.ts';
import type { EgressOptions } from '../../plan/egress.ts';
import { type Context, componentOf, type PodGroup } from './context.ts';
import type { KubernetesObject } from './input.ts';

interface Rule {
  readonly ports: readonly { readonly protocol: 'TCP' | 'UDP'; readonly port: number }[];
  readonly peers: readonly object[];
}

/** Who needs a place that receives spans. */
const telemetry = 'telemetry';

/** Says on a policy which host names its addresses stand for: policies know addresses alone. */
const hostsAnnotation = 'dmas-opt/outside-hosts';
const remarkAnnotation = 'dmas-opt/outside-hosts-remark';
const remarks = {
  direct:
    'NetworkPolicies know addresses, not host names: these names are reached through every public address on their ports. An egress proxy, or a CNI with policies on names, closes that.',
  proxy: 'This pod alone leaves the cluster. It holds each caller, known by the port it may connect to, to the names that caller declares.',
} as const;

/**
 * Deny everything for the pods of this deployment, names of the cluster excepted, then for each pod exactly what the layout
 * needs. Pods of others in the namespace are not touched.
 */
export function networkPolicies(context: Context): readonly KubernetesObject[] {
  if (context.input.networkPolicies === false) return [];
  return [denyAll(context), allowNames(context), ...context.pods.map((pod) => policyOf(context, pod))];
}

const everyPod = ({ prefix, input }: Context) => ({ matchLabels: { 'app.kubernetes.io/instance': prefix, ...input.selectorLabels } });

function policy(
  context: Context,
  name: string,
  component: string,
  spec: object,
  annotations?: { readonly [name: string]: string },
): KubernetesObject {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: context.metadata(name, component, annotations === undefined ? {} : { annotations }),
    spec,
  };
}

const denyAll = (context: Context) =>
  policy(context, `${context.prefix}-deny-all`, 'network', { podSelector: everyPod(context), policyTypes: ['Ingress', 'Egress'] });

const dnsPorts = [
  { protocol: 'UDP', port: 53 },
  { protocol: 'TCP', port: 53 },
] as const;
/** Where NodeLocal DNSCache answers (kubernetes.io/docs/tasks/administer-cluster/nodelocaldns). */
const nodeLocalDns = '169.254.20.10/32';

/** Peers are found by name. The name server of the cluster has this label in every distribution that follows kubeadm. */
const allowNames = (context: Context) =>
  policy(context, `${context.prefix}-allow-dns`, 'network', {
    podSelector: everyPod(context),
    policyTypes: ['Egress'],
    egress: [
      {
        to: [{ ...namespace('kube-system'), podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }, { ipBlock: { cidr: nodeLocalDns } }],
        ports: dnsPorts,
      },
    ],
  });

function policyOf(context: Context, pod: PodGroup): KubernetesObject {
  const outside = outsideOf(context, pod);
  const networks = proxyNetworks(context, pod);
  const named = outside.filter((place) => isIP(place.host) === 0 && clusterPeer(place) === null);
  const annotations =
    named.length === 0
      ? undefined
      : {
          [hostsAnnotation]: named.map(({ host, port }) => `${host}:${port}`).join(','),
          [remarkAnnotation]: networks === undefined ? remarks.direct : remarks.proxy,
        };
  const spec = {
    podSelector: { matchLabels: pod.selector },
    policyTypes: ['Ingress', 'Egress'],
    ingress: rulesIn(context, pod).map(({ ports, peers }) => ({ ...(peers.length === 0 ? {} : { from: peers }), ports })),
    egress: rulesOut(context, pod, outside, networks).map(({ ports, peers }) => ({ to: peers, ports })),
  };
  return policy(context, pod.name, componentOf(pod.name, context.prefix), spec, annotations);
}

/** Callers, each on the listeners it calls; users on the door, from anywhere. The kubelet's probes need no rule. */
function rulesIn(context: Context, pod: PodGroup): Rule[] {
  const ids = new Set(pod.members.map(({ id }) => id));
  const callers = context.pods.flatMap((caller) => {
    const ports = portsReached(context, caller, ids);
    return ports.length === 0 || caller === pod ? [] : [{ peers: [peerOf(caller)], ports: tcp(ports) }];
  });
  const itself = portsReached(context, pod, ids);
  const door = pod.members.flatMap(({ ports, publicAddress }) =>
    ports.filter(({ address }) => address === publicAddress).map(({ port }) => port),
  );
  return [
    ...callers,
    ...(itself.length === 0 || pod.replicas < 2 ? [] : [{ peers: [peerOf(pod)], ports: tcp(itself) }]),
    ...(door.length === 0 ? [] : [{ peers: [], ports: tcp(door) }]),
  ];
}

function rulesOut(context: Context, pod: PodGroup, outside: readonly OutsideHost[], networks: readonly string[] = []): Rule[] {
  const callees = context.pods.flatMap((callee) => {
    if (callee === pod && pod.replicas < 2) return [];
    const ports = portsReached(context, pod, new Set(callee.members.map(({ id }) => id)));
    return ports.length === 0 ? [] : [{ peers: [peerOf(callee)], ports: tcp(ports) }];
  });
  const places = outside.map((place) => ({ peers: outsidePeers(place, networks), ports: tcp([place.port]) }));
  return [...callees, ...places, ...meshRules(context)];
}

const peerOf = ({ selector }: PodGroup) => ({ podSelector: { matchLabels: selector } });
const tcp = (ports: readonly number[]) => [...new Set(ports)].sort((a, b) => a - b).map((port) => ({ protocol: 'TCP' as const, port }));
const namespace = (name: string) => ({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } } });

/** Ports of some members that a pod calls. */
function portsReached({ accessOf, members }: Context, caller: PodGroup, callees: ReadonlySet<string>): number[] {
  const reached = caller.members.flatMap(({ id }) => accessOf(id).reaches.filter(({ to }) => callees.has(to)));
  return reached.flatMap(({ to, address }) =>
    members.filter(({ id }) => id === to).flatMap(({ ports }) => ports.filter((port) => port.address === address).map(({ port }) => port)),
  );
}

/** Private networks that names on the list of an egress service may stand for; undefined for every other pod. */
function proxyNetworks({ input }: Context, { members }: PodGroup): readonly string[] | undefined {
  const proxy = input.plan.services.find(({ id, kind }) => kind === 'egress' && members.some((member) => member.id === id));
  return proxy === undefined ? undefined : ((proxy.options as Partial<EgressOptions>).networks ?? []);
}

/** Places outside that a pod calls by itself: none of its own behind an egress service, and where its spans go. */
function outsideOf({ accessOf, input }: Context, pod: PodGroup): readonly OutsideHost[] {
  const proxies = new Set(input.plan.services.filter(({ kind }) => kind === 'egress').map(({ id }) => id));
  const hosts = pod.members.flatMap(({ id }) => {
    const { reaches, hosts } = accessOf(id);
    return !proxies.has(id) && reaches.some(({ to }) => proxies.has(to)) ? [] : hosts;
  });
  const receivers = input.otlpEndpoints.map((endpoint): OutsideHost => {
    const { hostname, port, protocol } = new URL(endpoint);
    return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || (protocol === 'https:' ? 443 : 80)), for: [telemetry] };
  });
  const all = [...hosts, ...receivers];
  return [...new Map(all.map((place) => [`${place.host}:${place.port}`, place])).values()].sort((a, b) =>
    `${a.host}:${a.port}` < `${b.host}:${b.port}` ? -1 : 1,
  );
}

/** 4 or 6 for an address, 0 for a name: no name has a colon, and none is four numbers. */
const isIP = (host: string): 0 | 4 | 6 => (host.includes(':') ? 6 : /^\d+(\.\d+){3}$/.test(host) ? 4 : 0);

/** Ranges no public address is in (RFC 1918, 6598, 3927, 4193, 4291): what lies there is the cluster, its nodes or the neighbourhood. */
const notPublic = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '169.254.0.0/16'];
const notPublic6 = ['fc00::/7', 'fe80::/10'];

function outsidePeers(place: OutsideHost, networks: readonly string[]): readonly object[] {
  const { host } = place;
  if (isIP(host) === 4) return [{ ipBlock: { cidr: `${host}/32` } }];
  if (isIP(host) === 6) return [{ ipBlock: { cidr: `${host}/128` } }];
  const inside = clusterPeer(place);
  if (inside !== null) return [inside];
  const own = networks.map((network) => ({
    ipBlock: { cidr: network.includes('/') ? network : `${network}/${isIP(network) === 6 ? 128 : 32}` },
  }));
  return [{ ipBlock: { cidr: '0.0.0.0/0', except: notPublic } }, { ipBlock: { cidr: '::/0', except: notPublic6 } }, ...own];
}

/**
 * Pods behind a Service of the cluster, by its name: `name`, `name.namespace.svc` and longer; of a receiver of telemetry, which is
 * seldom elsewhere, also `name.namespace`. A policy cannot name the Service itself.
 */
function clusterPeer({ host, for: users }: OutsideHost): object | null {
  const [, space, more] = host.split('.');
  if (space === undefined) return { podSelector: {} };
  const own = clusterNamespaceOf(host) ?? (more === undefined && users.includes(telemetry) ? space : undefined);
  return own === undefined ? null : namespace(own);
}

/** A sidecar asks its control plane for certificates and routes. */
function meshRules({ input }: Context): Rule[] {
  if (input.mesh === 'istio') return [{ peers: [namespace('istio-system')], ports: tcp([15_012]) }];
  return input.mesh === 'linkerd' ? [{ peers: [namespace('linkerd')], ports: tcp([8_080, 8_086, 8_090]) }] : [];
}
