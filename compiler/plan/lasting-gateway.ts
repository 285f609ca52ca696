import type { Plan, PlannedService } from '../contracts/index.ts';
import { gatewayAddress } from './plan-deployment.ts';

/**
 * The plan of a deployment that serves people, with a gateway whether its layout needs one or not: the one address users
 * know, which stays, connections and all, while whatever is behind it is exchanged. A layout that has one keeps its own.
 */
export function withLastingGateway(plan: Plan): Plan {
  if (plan.ingress.gateway !== undefined) return plan;
  const gateway: PlannedService = {
    id: 'gateway',
    kind: 'gateway',
    replicas: 1,
    resources: { vcpu: 1, memoryMb: 256 },
    options: { unit: plan.ingress.unit, balancing: 'least-outstanding' },
  };
  const services = [...plan.services, gateway].sort((a, b) => (a.id < b.id ? -1 : 1));
  return { ...plan, services, ingress: { ...plan.ingress, gateway: gatewayAddress } };
}
