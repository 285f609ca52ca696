import { beforeAll, describe, expect, it } from 'vitest';
import { type Configuration, type Plan, poolId, type ServingConfiguration, type Workflow } from '../../../compiler/contracts/index.ts';
import { baselineConfiguration } from '../../../compiler/plan/baseline.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';
import { serviceId } from '../../../compiler/plan/service-id.ts';
import { withRecorders } from '../../../compiler/plan/tape.ts';
import { allocatedUsdPerHour } from '../../../optimizer/predict/pricing.ts';
import { gpuUsdPerHour } from '../../../profiler/block/money.ts';
import { llmTraits, newsroom, planRequest, scenario } from '../support.ts';

let workflow: Workflow;
beforeAll(async () => {
  workflow = await newsroom();
});

const backends = { ...llmTraits, engine: { deployed: true, provenance: 'measured' as const } };

function planned(serving: Configuration['serving'], models: object = {}): Plan {
  const given = { models: { main: { backend: 'simulated', ...models } } };
  const configuration = { ...baselineConfiguration(workflow, scenario(given)).configuration, serving };
  const { plan, problems } = planDeployment({ ...planRequest(workflow, configuration, given), llmTraits: backends });
  if (plan === undefined) throw new Error(problems.map((problem) => problem.message).join('\n'));
  return plan;
}
const served = (plan: Plan) => plan.services.filter(({ kind }) => kind === 'model' || kind === 'router');
const bindingsOf = (plan: Plan) => plan.units.flatMap(({ models }) => Object.values(models));
const callers = () => [...new Set(workflow.channels.filter(({ kind }) => kind === 'model').flatMap(({ from }) => from))];

describe('pools of model servers', () => {
  it('hold all replicas in one process where the backend can', () => {
    const plan = planned({ main: { replicas: 3, options: { router: 'round-robin' } } }, { options: { maxNumSeqs: 8 } });
    expect(served(plan)).toMatchObject([
      { id: 'model-main', replicas: 1, options: { engineReplicas: 3, router: 'round-robin', maxNumSeqs: 8, backend: 'simulated' } },
    ]);
    expect(bindingsOf(plan).every(({ pool, address }) => pool === 'main' && address === 'service://model-main')).toBe(true);
  });

  it('get a router in front of several replicas of any other engine, and none before one', () => {
    const plan = planned({ main: { replicas: 2, options: { router: 'prefix-affinity' } } }, { backend: 'engine' });
    expect(served(plan)).toMatchObject([
      { id: 'model-main', kind: 'model', replicas: 2 },
      { id: 'router-main', kind: 'router', replicas: 1, options: { upstream: 'service://model-main', router: 'prefix-affinity' } },
    ]);
    expect(bindingsOf(plan)[0]?.address).toBe('service://router-main');
    expect(served(planned({ main: { replicas: 1, options: {} } }, { backend: 'engine' })).map(({ id }) => id)).toEqual(['model-main']);
  });

  it('are planned only where an agent uses them, under names a host may have', () => {
    const agents = callers();
    const own = poolId('main', agents);
    const pool = (more: Partial<ServingConfiguration> = {}): ServingConfiguration => ({ replicas: 1, options: {}, ...more });
    const plan = planned({ main: pool(), [own]: pool({ model: 'main', agents, options: { maxNumSeqs: 4 } }) });
    expect(served(plan).map(({ id }) => id)).toEqual([serviceId('model', own)]);
    expect(served(plan)[0]?.id).toMatch(/^[a-z][a-z0-9-]{0,62}$/);
    expect(served(plan)[0]?.options).toMatchObject({ model: 'main', maxNumSeqs: 4 });
    expect(bindingsOf(plan)).toMatchObject([{ pool: own, address: `service://${serviceId('model', own)}` }]);
    const recorded = withRecorders(plan, { content: 'full', ignore: [] });
    const recorder = recorded.services.find(({ options }) => options.backend === 'recording');
    expect(recorder).toMatchObject({ options: { target: 'main', upstream: `service://${serviceId('model', own)}` } });
    expect(bindingsOf(recorded)[0]?.address).toBe(`service://${recorder?.id}`);
    expect(serviceId('model', 'main@a+b')).not.toBe(serviceId('model', 'main@a~b'));
    expect(serviceId('model', `main@${'x'.repeat(40)}+y`).length).toBeLessThanOrEqual(63);
  });

  it('cost the same in a plan and in a prediction: replicas, tensor and data parallel', () => {
    const prices = { ...scenario().prices, gpuHourUsd: { h200: 4 }, vcpuHourUsd: 0, memoryGbHourUsd: 0 };
    const cases: [ServingConfiguration['options'], number, number][] = [
      [{ gpu: 'h200' }, 1, 4],
      [{ gpu: 'h200', tensorParallelSize: 2, dataParallelSize: 2 }, 3, 48],
      [{ gpu: 'h200', engineReplicas: 2 }, 3, 24],
      [{ gpu: 'h200', gpus: 8 }, 2, 64],
      [{ gpu: 'NVIDIA H200' }, 2, 8],
      [{ tensorParallelSize: 2 }, 2, 0],
      [{ gpu: 'unheard-of' }, 2, 0],
    ];
    for (const [options, replicas, usd] of cases) {
      for (const backend of ['simulated', 'engine']) {
        const serving = { main: { replicas, options } };
        const plan = planned(serving, { backend });
        const configuration = { ...baselineConfiguration(workflow, scenario()).configuration, serving };
        expect([backend, gpuUsdPerHour(plan, prices)]).toEqual([backend, usd]);
        expect(allocatedUsdPerHour(configuration, prices)).toBe(usd);
      }
    }
  });
});
