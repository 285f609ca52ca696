import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Configuration, componentsOf, edgesOf, type Plan, unitId, type Workflow } from '../../../compiler/contracts/index.ts';
import { baselineConfiguration } from '../../../compiler/plan/baseline.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';
import { diffPlans, printPlan } from '../../../compiler/plan/print.ts';
import { newsroom, planRequest, scenario } from '../support.ts';

let workflow: Workflow;
beforeAll(async () => {
  workflow = await newsroom();
});

const laidOut = (given: object = {}) => baselineConfiguration(workflow, scenario(given)).configuration;
function planned(configuration: Configuration, given: object = {}): Plan {
  const { plan, problems } = planDeployment(planRequest(workflow, configuration, given));
  if (plan === undefined) throw new Error(problems.map((problem) => problem.message).join('\n'));
  return plan;
}
const refused = (configuration: Configuration, given: object = {}) => {
  const { plan, problems } = planDeployment(planRequest(workflow, configuration, given));
  expect(plan).toBeUndefined();
  return problems.map(({ code, message }) => `${code} ${message}`);
};

const grouped = {
  baseline: {
    layout: [['desk', 'editor', 'listener'], ['draft', 'facts', 'style', 'merge', 'pipeline'], ['checker'], ['archive', 'counter']],
  },
};

describe('a plan', () => {
  it('prints as a tree', async () => {
    await expect(printPlan(planned(laidOut()))).toMatchFileSnapshot('../../golden/compiler/newsroom.one-per-agent.plan.txt');
    await expect(printPlan(planned(laidOut(grouped)))).toMatchFileSnapshot('../../golden/compiler/newsroom.grouped.plan.txt');
  });

  it('has a route for exactly the pairs that are apart, and listeners for exactly the routes', () => {
    const components = componentsOf(workflow).filter((name) => name !== 'checker');
    const layout = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: components.length, maxLength: components.length });
    fc.assert(
      fc.property(layout, fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 6, maxLength: 6 }), (choice, replicas) => {
        const groups = [0, 1, 2, 3, 4]
          .map((group) => components.filter((_, index) => choice[index] === group))
          .filter((group) => group.length > 0);
        const base = laidOut();
        const units = [...groups, ['checker']].map((members, index) => ({
          id: unitId(members),
          components: members,
          replicas: replicas[index] ?? 1,
          resources: { vcpu: 1, memoryMb: 256 },
        }));
        const plan = planned({ ...base, units });
        const home = new Map(units.flatMap((unit) => unit.components.map((name) => [name, unit.id] as const)));
        const wanted = edgesOf(workflow).filter((edge) => home.get(edge.from) !== home.get(edge.to));
        const routes = plan.units.flatMap((unit) => unit.routes.map((route) => ({ ...route, unit: unit.id })));
        expect(routes.map(({ channel, from, to }) => `${channel} ${from} ${to}`).sort()).toEqual(
          wanted.map(({ channel, from, to }) => `${channel} ${from} ${to}`).sort(),
        );
        for (const route of routes) {
          expect(home.get(route.from)).toBe(route.unit);
          expect(plan.units.find((unit) => unit.id === home.get(route.to))?.listens.map((each) => each.address)).toContain(route.address);
        }
        const used = new Set(routes.map((route) => route.address));
        expect(plan.units.flatMap((unit) => unit.listens).every((each) => used.has(each.address))).toBe(true);
        // The same layout, written down in another order, is the same plan to the byte.
        const reversed = { ...base, units: [...units].reverse().map((unit) => ({ ...unit, components: [...unit.components].reverse() })) };
        expect(JSON.stringify(planned(reversed))).toBe(JSON.stringify(plan));
      }),
      { numRuns: 60 },
    );
  });

  it('merges listeners of equal options, and separates those that differ', () => {
    const unix = { protocol: 'http-json', options: { transport: 'unix' } };
    const base = laidOut();
    const mixed = {
      ...base,
      channels: { ...base.channels, 'editor->checker': unix, 'desk->editor': { protocol: 'http-json', options: { transport: 'tcp' } } },
    };
    const plan = planned(mixed);
    const listens = (id: string) => plan.units.find((unit) => unit.id === id)?.listens.map((each) => each.address);
    expect(listens('checker')).toEqual(['unit://checker/http-json?transport=unix']);
    expect(listens('editor')).toEqual(['unit://editor/http-json']);
    expect(diffPlans(planned(base), plan)).toEqual(['editor->checker: http-json -> http-json(transport=unix)']);
  });

  it('gives a unit the secrets of its own agents and models only', () => {
    const plan = planned(laidOut(), {
      models: { main: { backend: 'openai-compatible', url: 'https://models.example/v1', secret: 'MODEL_KEY' } },
    });
    const secrets = Object.fromEntries(plan.units.map((unit) => [unit.id, unit.secrets]));
    expect(secrets.editor).toEqual(['ARCHIVE_KEY', 'MODEL_KEY']);
    expect(secrets.archive).toEqual(['ARCHIVE_TOKEN']);
    expect(Object.entries(secrets).filter(([, names]) => names.length > 0).length).toBe(2);
    expect(plan.units.find((unit) => unit.id === 'editor')?.models.main?.address).toBe('https://models.example/v1');
    expect(plan.services.map((service) => service.kind)).toEqual(['state']);
  });

  it('puts a gateway before several replicas of the ingress, and keeps sessions on theirs', () => {
    const base = laidOut();
    const two = { ...base, units: base.units.map((unit) => (unit.id === 'desk' ? { ...unit, replicas: 2 } : unit)) };
    const plan = planned(two);
    expect(plan.ingress.gateway).toBe('service://gateway');
    expect(plan.services.find((service) => service.id === 'gateway')?.options).toEqual({ unit: 'desk', balancing: 'session' });
    // A store that several processes share keeps sessions for all of them.
    const shared = planned(two, { state: { store: 'file' } });
    expect(shared.services.find((service) => service.id === 'gateway')?.options.balancing).toBe('least-outstanding');
    expect(shared.services.some((service) => service.kind === 'state')).toBe(false);
    expect(planned(base).ingress.gateway).toBeUndefined();
  });

  it('hosts shared state only when several processes need it', () => {
    const together = laidOut({ baseline: { layout: [['listener', 'counter']] } });
    expect(planned(together).services.map((service) => service.kind)).toEqual(['model']);
    const replicated = {
      ...together,
      units: together.units.map((unit) => (unit.id === 'counter+listener' ? { ...unit, replicas: 2 } : unit)),
    };
    expect(planned(replicated).services.map((service) => service.kind)).toEqual(['model', 'state']);
  });

  it('hands scripted replies and serving options to the model service', () => {
    const base = laidOut();
    const serving = { main: { replicas: 3, options: { maxNumSeqs: 8 } } };
    const request = planRequest(
      workflow,
      { ...base, serving },
      { models: { main: { backend: 'simulated', model: 'small', options: { maxNumSeqs: 2 } } } },
    );
    const { plan } = planDeployment({ ...request, replies: { main: [{ text: 'hello' }] } });
    const service = plan?.services.find((candidate) => candidate.kind === 'model');
    expect(service).toMatchObject({ id: 'model-main', replicas: 1 });
    expect(service?.options).toEqual({
      backend: 'simulated',
      model: 'small',
      maxNumSeqs: 8,
      engineReplicas: 3,
      replies: [{ text: 'hello' }],
    });
  });
});

describe('what cannot be realized', () => {
  const merged = (...names: string[]) => laidOut({ baseline: { layout: [names] } });

  it('is refused with the reason', () => {
    const base = laidOut();
    const spoken = (protocol: string) => ({ ...base, channels: { ...base.channels, 'desk->editor': { protocol, options: {} } } });
    expect(refused(spoken('inproc'))).toEqual([expect.stringMatching(/^DMAS_PLAN_UNPLACEABLE channel desk->editor: inproc cannot cross/)]);
    expect(refused(spoken('smoke'))).toEqual([expect.stringContaining('there is no protocol "smoke"')]);
    expect(refused(spoken('nats'))).toEqual([expect.stringContaining('needs a broker')]);
    expect(refused(merged('checker', 'desk'))).toEqual([expect.stringContaining('must have a unit of its own')]);
    expect(refused(merged('desk', 'editor'), { search: { apart: [['desk', 'editor']] } })).toEqual([
      expect.stringContaining('must be apart'),
    ]);
    expect(refused(base, { search: { together: [['desk', 'editor']] } })).toEqual([expect.stringContaining('must be together')]);
    expect(refused({ ...base, units: base.units.slice(1) })).toEqual([expect.stringContaining('"archive" is in no unit')]);
    expect(refused({ ...base, units: base.units.map((unit) => ({ ...unit, replicas: 0 })) })).toHaveLength(base.units.length);
    expect(refused(base, { models: {} })).toEqual([expect.stringContaining('model "main" is not bound')]);
    expect(refused(base, { models: { main: { backend: 'openai-compatible' } } })).toEqual([expect.stringContaining('needs a url')]);
    expect(refused(base, { state: { store: 'clay' } })).toEqual([expect.stringContaining('no state store "clay"')]);
  });

  it('refuses a unit that has the name of a service', () => {
    const renamed: Workflow = JSON.parse(
      JSON.stringify(workflow).replaceAll('"style"', '"model-main"').replaceAll('merge->style', 'merge->model-main'),
    );
    const { configuration } = baselineConfiguration(renamed, scenario());
    expect(planDeployment(planRequest(renamed, configuration)).problems).toEqual([
      expect.objectContaining({ message: expect.stringContaining('both named "model-main"') }),
    ]);
  });

  it('refuses unix sockets where there are none', () => {
    const unix = laidOut({ baseline: { protocol: { protocol: 'http-json', options: { transport: 'unix' } } } });
    const request = planRequest(workflow, unix);
    const { plan, problems } = planDeployment({ ...request, targetTraits: { ...request.targetTraits, unixSockets: false } });
    expect(plan).toBeUndefined();
    expect(problems.every((problem) => problem.message.includes('no unix sockets'))).toBe(true);
    expect(planDeployment(request).plan).toBeDefined();
  });
});
