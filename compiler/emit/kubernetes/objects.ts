import type { KubernetesInput, KubernetesObject } from './input.ts';

/**
 * The objects of one deployment, in the order in which they should be applied: what pods need first, pods, then what
 * watches over them. Pure.
 *
 * @throws DmasError `DMAS_EXPORT` for a plan Kubernetes has no words for, with what to change
 */
export function objectsOf(input: KubernetesInput): readonly KubernetesObject[] {
  return input.plan.units.length === 0 ? [] : [];
}
