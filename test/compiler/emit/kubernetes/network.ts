import type { KubernetesObject } from '../../../../compiler/emit/kubernetes/input.ts';

type Labels = { readonly [label: string]: string };
interface Selector {
  readonly matchLabels?: Labels;
}
interface Rule {
  readonly from?: readonly { readonly podSelector?: Selector }[];
  readonly to?: readonly { readonly podSelector?: Selector; readonly namespaceSelector?: Selector }[];
  readonly ports?: readonly { readonly port: number; readonly protocol: string }[];
}
interface PolicySpec {
  readonly podSelector: Selector;
  readonly policyTypes: readonly string[];
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
}

const matches = ({ matchLabels = {} }: Selector, labels: Labels) =>
  Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
const opens = ({ ports }: Rule, port: number) => ports === undefined || ports.some((each) => each.port === port && each.protocol === 'TCP');

/**
 * Whether policies let one pod of the namespace call a TCP port of another, as the documentation of NetworkPolicy has it: a pod that any
 * policy selects is isolated in that direction, and what is allowed is the union; both ends must allow it.
 */
export function mayCall(objects: readonly KubernetesObject[], from: Labels, to: Labels, port: number): boolean {
  const specs = objects.filter(({ kind }) => kind === 'NetworkPolicy').map(({ spec }) => spec as PolicySpec);
  const of = (labels: Labels, type: string) => specs.filter((spec) => spec.policyTypes.includes(type) && matches(spec.podSelector, labels));
  const out = of(from, 'Egress');
  const into = of(to, 'Ingress');
  const leaves = out.length === 0 || out.some((spec) => spec.egress?.some((rule) => opens(rule, port) && aims(rule.to, to)));
  const enters = into.length === 0 || into.some((spec) => spec.ingress?.some((rule) => opens(rule, port) && aims(rule.from, from)));
  return leaves && enters;
}

function aims(peers: Rule['to'], labels: Labels): boolean {
  if (peers === undefined || peers.length === 0) return true;
  return peers.some((peer) => peer.podSelector !== undefined && !('namespaceSelector' in peer) && matches(peer.podSelector, labels));
}
