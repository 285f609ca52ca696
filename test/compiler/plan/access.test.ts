import { beforeAll, describe, expect, it } from 'vitest';
import { grantsOf, type Plan, type Workflow } from '../../../compiler/contracts/index.ts';
import { standingMembers } from '../../../compiler/emit/standing.ts';
import { accessOf } from '../../../compiler/plan/access.ts';
import { baselineConfiguration } from '../../../compiler/plan/baseline.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';
import { newsroom, planRequest, scenario } from '../support.ts';

let workflow: Workflow;
beforeAll(async () => {
  workflow = await newsroom();
});

function planned(given: object): Plan {
  const { configuration } = baselineConfiguration(workflow, scenario(given));
  const { plan, problems } = planDeployment(planRequest(workflow, configuration, given));
  if (plan === undefined) throw new Error(JSON.stringify(problems));
  return plan;
}
const theirs = { main: { backend: 'openai-compatible', url: 'https://models.example/v1', secret: 'MODEL_KEY' } };

describe('what a layout allows', () => {
  it('is one right for every route, on the side of the caller and of the callee', () => {
    const plan = planned({});
    const { members } = accessOf(plan);
    const of = (id: string) => members.find((member) => member.id === id);
    for (const unit of plan.units) {
      const called = plan.units.filter(({ listens }) =>
        listens.some(({ address }) => unit.routes.some((route) => route.address === address)),
      );
      for (const { id } of called) expect(of(id)?.accepts).toContain(unit.id);
      const reached = of(unit.id)?.reaches.map(({ to }) => to) ?? [];
      expect(reached.filter((to) => plan.units.some(({ id }) => id === to)).sort()).toEqual(called.map(({ id }) => id).sort());
    }
    expect(members.filter((member) => member.public).map(({ id }) => id)).toEqual([plan.ingress.unit]);
  });

  it('reaches an outside host only from the units that use it, which alone hold its key', () => {
    const { members } = accessOf(planned({ models: theirs }));
    const using = members.filter(({ hosts }) => hosts.length > 0);
    expect(using.length).toBeGreaterThan(0);
    expect(using.length).toBeLessThan(members.length);
    for (const { hosts } of using) expect(hosts).toEqual([{ host: 'models.example', port: 443, for: ['main'] }]);
    expect(members.filter(({ secrets }) => secrets.includes('MODEL_KEY'))).toEqual(using);
  });

  it('is less where everything shares one process', () => {
    const together = accessOf(planned({ models: theirs, baseline: { layout: 'all-in-one' } }));
    const apart = accessOf(planned({ models: theirs }));
    expect(grantsOf(together)).toBeLessThan(grantsOf(apart));
  });
});

describe('members that stand by themselves', () => {
  it('are told the names of what they call and of nothing else', () => {
    const plan = planned({});
    const standing = {
      deploymentId: 'd',
      hostOf: (id: string) => `${id}.local`,
      otlpEndpoints: [],
      samplingRatio: 0,
      queueLimit: 8,
      drainMs: 100,
      stateDir: '/state',
    };
    const members = standingMembers(plan, [], standing);
    const portAt = new Map(members.flatMap(({ id, ports }) => ports.map(({ address, port }) => [address, { host: `${id}.local`, port }])));
    for (const { id, binding } of members) {
      const reaches = accessOf(plan).members.find((member) => member.id === id)?.reaches ?? [];
      expect(binding?.names).toEqual(Object.fromEntries(reaches.map(({ address }) => [address, portAt.get(address)])));
    }
  });
});
