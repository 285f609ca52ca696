import { autoscaler, disruptionBudget } from './autoscaling.ts';
import { bindingMap } from './config-maps.ts';
import { type Context, componentOf, contextOf } from './context.ts';
import type { KubernetesInput, KubernetesObject } from './input.ts';
import { networkPolicies } from './policies.ts';
import { secretTemplatesOf } from './secrets.ts';
import { publicIngress, servicesOf } from './services.ts';
import { volumeClaims } from './volumes.ts';
import { workload } from './workloads.ts';

/**
 * The objects of one deployment, in the order in which they should be applied: what pods need first, pods, then what
 * watches over them. Pure. No Secret is among them: pods refer to those that exist (see `secretTemplates`).
 *
 * @throws DmasError `DMAS_EXPORT` for a plan Kubernetes has no words for, with what to change
 */
export function objectsOf(input: KubernetesInput): readonly KubernetesObject[] {
  return objectsIn(contextOf(input));
}

export function objectsIn(context: Context): readonly KubernetesObject[] {
  const { members, pods } = context;
  const present = (objects: readonly (KubernetesObject | null)[]) => objects.filter((object) => object !== null);
  return [
    ...accounts(context),
    ...present(members.map((member) => bindingMap(context, member))),
    ...volumeClaims(context),
    ...networkPolicies(context),
    ...members.flatMap((member) => servicesOf(context, member)),
    ...pods.map((pod) => workload(context, pod)),
    ...present(pods.map((pod) => disruptionBudget(context, pod))),
    ...present(pods.map((pod) => autoscaler(context, pod))),
    ...present([publicIngress(context)]),
  ];
}

/** One Secret with empty values for each member that holds secrets, for people to fill in. */
export const secretTemplates = (input: KubernetesInput): readonly KubernetesObject[] => secretTemplatesOf(contextOf(input));

/** An account of its own for each pod, which may do nothing: what it is allowed later, nobody else is. */
function accounts(context: Context): readonly KubernetesObject[] {
  if (context.input.serviceAccount !== undefined) return [];
  return context.pods.map(({ name }) => ({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: context.metadata(name, componentOf(name, context.prefix)),
    automountServiceAccountToken: false,
  }));
}
