import { beforeAll, describe, expect, it } from 'vitest';
import type { Workflow } from '../../../compiler/contracts/index.ts';
import { baselineConfiguration } from '../../../compiler/plan/baseline.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';
import { newsroom, planRequest, scenario } from '../support.ts';

let workflow: Workflow;
beforeAll(async () => {
  workflow = await newsroom();
});

function planned(model: object) {
  const given = { models: { main: model } };
  const { configuration } = baselineConfiguration(workflow, scenario(given));
  const { plan, problems } = planDeployment(planRequest(workflow, configuration, given));
  if (plan === undefined) throw new Error(JSON.stringify(problems));
  return plan;
}
const theirs = { backend: 'openai-compatible', url: 'https://models.example/v1', secret: 'MODEL_KEY' };

describe('limits in a plan', () => {
  it('are told to the units that use the model, and counted by one service for all of them', () => {
    const plan = planned({ ...theirs, limits: { requestsPerMinute: 60, concurrency: 3, window: '2s' } });
    const limits = { requestsPerMinute: 60, concurrency: 3, windowMs: 2_000 };
    const using = plan.units.filter((unit) => unit.models.main !== undefined);
    expect(using.length).toBeGreaterThan(0);
    for (const unit of using) expect(unit.models.main).toMatchObject({ limits, limiter: 'service://limiter' });
    expect(plan.services.filter((service) => service.kind === 'limiter')).toEqual([
      expect.objectContaining({ id: 'limiter', replicas: 1, options: { limits: { main: limits } } }),
    ]);
  });

  it('cost nothing where there are none', () => {
    for (const model of [theirs, { ...theirs, limits: { window: '5s' } }]) {
      const plan = planned(model);
      expect(plan.services.some((service) => service.kind === 'limiter')).toBe(false);
      expect(JSON.stringify(plan.units)).not.toContain('limiter');
    }
  });
});
