import { at, type KubeObject, objectAt, objectsAt } from '../state/json.ts';
import { type LabelSelector, selects } from '../state/selectors.ts';
import { builtInKind, type World } from './world.ts';

export interface Left {
  readonly name: string;
  readonly healthy: number;
  readonly expected: number;
  readonly needed: number;
  readonly allowed: number;
}

export const isReady = (pod: KubeObject): boolean =>
  objectsAt(pod, 'status', 'conditions').some(({ type, status }) => type === 'Ready' && status === 'True');

/** What a disruption budget says at the moment. */
export function budgetOf(world: World, budget: KubeObject): Left {
  const pods = world.store
    .list(builtInKind('Pod'), budget.metadata.namespace)
    .filter((pod) => selects(objectAt(budget, 'spec', 'selector') as LabelSelector, pod.metadata.labels));
  const healthy = pods.filter((pod) => isReady(pod) && pod.metadata.deletionTimestamp === undefined).length;
  const least = at(budget, 'spec', 'minAvailable');
  const most = at(budget, 'spec', 'maxUnavailable');
  const needed = least !== undefined ? share(least, pods.length) : Math.max(0, pods.length - share(most ?? 1, pods.length));
  return { name: budget.metadata.name, healthy, expected: pods.length, needed, allowed: Math.max(0, healthy - needed) };
}

/** A number, or a percentage of a whole, rounded up as disruption budgets do. */
export const share = (value: unknown, whole: number): number =>
  typeof value === 'string' && value.endsWith('%') ? Math.ceil((Number.parseFloat(value) / 100) * whole) : Number(value);

/** What the tightest budget over a pod still allows; null where there is none. */
export function disruptionsLeft(world: World, pod: KubeObject): Left | null {
  const left = world.store
    .list(builtInKind('PodDisruptionBudget'), pod.metadata.namespace)
    .filter((budget) => selects(objectAt(budget, 'spec', 'selector') as LabelSelector, pod.metadata.labels))
    .map((budget) => budgetOf(world, budget))
    .sort((a, b) => a.allowed - b.allowed);
  return left[0] ?? null;
}
