import { type Configuration, canonicalJson, type Plan, type Prediction } from '../compiler/contracts/index.ts';
import { planDeployment } from '../compiler/plan/plan-deployment.ts';
import type { AskedTotals, Room } from '../runtime/targets/target.ts';
import { planRequest } from './planning.ts';
import type { Project } from './project.ts';

type Predict = (configuration: Configuration) => Prediction;

/** Keeps layouts that the target has no room for out of a search. */
export interface RoomForSearch {
  /** For ranking: what its units and model servers ask for together; microseconds. Whatever this refuses does not fit. */
  quickly(predict: Predict): Predict;
  /** For the shortlist: the layout as it would be deployed. */
  exactly(predict: Predict): Predict;
  /** The first reason anything was refused for; null: everything fitted. */
  reason(): string | null;
}

/** Without a room everything fits. */
export function roomForSearch(project: Project, room: Room | null): RoomForSearch {
  let first: string | null = null;
  if (room === null) return { quickly: (predict) => predict, exactly: (predict) => predict, reason: () => null };
  const servers = new Map<string, AskedTotals>();
  const judged = (why: (configuration: Configuration) => string | null) => (predict: Predict) => (configuration: Configuration) => {
    const prediction = predict(configuration);
    if (!prediction.feasible) return prediction;
    const reason = why(configuration);
    first ??= reason;
    return reason === null ? prediction : { ...prediction, feasible: false };
  };
  const planned = (configuration: Configuration) => planDeployment(planRequest(project, configuration)).plan;
  /** Model servers follow from how models are served and chosen, whatever the units are. */
  const serversOf = (configuration: Configuration): AskedTotals => {
    const { serving, modelChoice } = configuration;
    const key = canonicalJson({ serving, modelChoice: modelChoice ?? {} });
    const known = servers.get(key) ?? serversIn(planned(configuration));
    servers.set(key, known);
    return known;
  };
  return {
    quickly: judged((configuration) => room.refusesTotals(sum(unitsOf(configuration), serversOf(configuration)))),
    exactly: judged((configuration) => {
      const plan = planned(configuration);
      return plan === undefined ? null : room.refuses(plan);
    }),
    reason: () => first,
  };
}

const nothing: AskedTotals = { pods: 0, vcpu: 0, memoryMb: 0, gpus: 0 };

const sum = (a: AskedTotals, b: AskedTotals): AskedTotals => ({
  pods: a.pods + b.pods,
  vcpu: a.vcpu + b.vcpu,
  memoryMb: a.memoryMb + b.memoryMb,
  gpus: a.gpus + b.gpus,
});

const unitsOf = ({ units }: Configuration): AskedTotals =>
  units.reduce(
    (total, { replicas, resources: { vcpu, memoryMb } }) =>
      sum(total, { pods: replicas, vcpu: replicas * vcpu, memoryMb: replicas * memoryMb, gpus: 0 }),
    nothing,
  );

const serversIn = (plan: Plan | undefined): AskedTotals =>
  (plan?.services ?? [])
    .filter(({ kind }) => kind === 'model')
    .reduce(
      (total, { replicas, resources: { vcpu, memoryMb }, program }) =>
        sum(total, { pods: replicas, vcpu: replicas * vcpu, memoryMb: replicas * memoryMb, gpus: replicas * (program?.gpus ?? 0) }),
      nothing,
    );
