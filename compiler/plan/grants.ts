import { type Configuration, canonicalJson, grantsOf } from '../contracts/index.ts';
import { accessOf } from './access.ts';
import { planDeployment } from './plan-deployment.ts';
import type { PlanRequest } from './request.ts';

/**
 * Number of rights of any layout of one application, exact, as the plan has it. Null for a layout that cannot be planned.
 * Layouts that differ in resources and in replicas beyond the second have the same rights, and are planned once.
 */
export function createGrantsCounter(request: Omit<PlanRequest, 'configuration'>): (configuration: Configuration) => number | null {
  const known = new Map<string, number | null>();
  return (configuration) => {
    const { units, serving, modelChoice, channels } = configuration;
    const key = canonicalJson({
      units: units.map(({ components, replicas }) => ({ components, several: replicas > 1 })),
      serving: Object.entries(serving).map(([id, { model, agents, replicas }]) => ({
        id,
        model: model ?? id,
        agents: agents ?? [],
        several: replicas > 1,
      })),
      channels: Object.entries(channels).map(([id, { protocol }]) => [id, protocol]),
      modelChoice: modelChoice ?? {},
    });
    const found = known.get(key);
    if (found !== undefined) return found;
    const { plan } = planDeployment({ ...request, configuration });
    const grants = plan === undefined ? null : grantsOf(accessOf(plan));
    known.set(key, grants);
    return grants;
  };
}
