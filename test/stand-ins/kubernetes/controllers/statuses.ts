import { budgetOf } from '../api/disruptions.ts';
import { amountText, usedOf } from '../api/quota.ts';
import { createBySystem, writeStatus } from '../api/system.ts';
import { builtInKind, newObject, type World } from '../api/world.ts';
import { copy, objectAt, textAt } from '../state/json.ts';
import { condition } from './deployments.ts';

/** Keeps up what quotas, budgets and claims say of themselves, and gives namespaces what each has. */
export function statuses(world: World): void {
  for (const quota of world.store.list(builtInKind('ResourceQuota'))) {
    const used = Object.fromEntries(Object.entries(usedOf(world, quota)).map(([name, amount]) => [name, amountText(name, amount)]));
    writeStatus(world, quota, { hard: copy(objectAt(quota, 'spec', 'hard')), used });
  }
  for (const budget of world.store.list(builtInKind('PodDisruptionBudget'))) {
    const { healthy, expected, needed, allowed } = budgetOf(world, budget);
    const { lastUpdateTime: _unused, ...made } = condition(
      budget,
      'DisruptionAllowed',
      allowed > 0,
      allowed > 0 ? 'SufficientPods' : 'InsufficientPods',
      '',
    );
    writeStatus(world, budget, {
      currentHealthy: healthy,
      desiredHealthy: needed,
      disruptionsAllowed: allowed,
      expectedPods: expected,
      observedGeneration: budget.metadata.generation ?? 1,
      conditions: [made],
    });
  }
  for (const claim of world.store.list(builtInKind('PersistentVolumeClaim'))) {
    if (textAt(claim, 'status', 'phase') === 'Bound') continue;
    writeStatus(world, claim, {
      phase: 'Bound',
      accessModes: copy(objectAt(claim, 'spec').accessModes),
      capacity: copy(objectAt(claim, 'spec', 'resources', 'requests')),
    });
  }
  for (const { metadata } of world.store.list(builtInKind('Namespace'))) {
    const account = builtInKind('ServiceAccount');
    if (metadata.deletionTimestamp !== undefined || world.store.get(account, metadata.name, 'default')) continue;
    createBySystem(world, account, newObject(account, { name: 'default', namespace: metadata.name }, {}), 'kube-controller-manager');
  }
}
