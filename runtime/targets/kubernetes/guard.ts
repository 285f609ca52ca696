import type { KubernetesObject } from './cluster.ts';
import { fieldManager, labels } from './labels.ts';

/** Marks by which controllers that follow a repository, or package managers, know their objects. */
const marks: readonly { readonly who: string; readonly names: readonly string[] }[] = [
  { who: 'Argo CD', names: ['argocd.argoproj.io/instance', 'argocd.argoproj.io/tracking-id', 'argocd.argoproj.io/installation-id'] },
  { who: 'Flux', names: ['kustomize.toolkit.fluxcd.io/name', 'helm.toolkit.fluxcd.io/name'] },
  { who: 'Fleet', names: ['fleet.cattle.io/bundle-id', 'objectset.rio.cattle.io/owner-name'] },
  { who: 'Config Sync', names: ['configmanagement.gke.io/managed', 'configsync.gke.io/resource-id'] },
  { who: 'Helm', names: ['meta.helm.sh/release-name'] },
];

/** Who else looks after an object; null when it is ours alone. What somebody else looks after is never changed or removed. */
export function managedBy({ metadata }: KubernetesObject): string | null {
  const named = { ...metadata.labels, ...metadata.annotations };
  const mark = marks.find(({ names }) => names.some((name) => named[name] !== undefined));
  if (mark !== undefined) return mark.who;
  const declared = metadata.labels?.[labels.managedBy];
  if (declared === fieldManager) return null;
  if (declared !== undefined) return declared;
  const managers = [...new Set((metadata.managedFields ?? []).flatMap(({ manager }) => manager ?? []))];
  return managers.find((manager) => manager !== fieldManager) ?? 'somebody else';
}
