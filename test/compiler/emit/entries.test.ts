import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { printLiteral } from '../../../compiler/emit/literal.ts';
import { emitServiceEntry } from '../../../compiler/emit/service-entry.ts';
import { emitUnitEntry } from '../../../compiler/emit/unit-entry.ts';
import { baselineConfiguration } from '../../../compiler/plan/baseline.ts';
import { planDeployment } from '../../../compiler/plan/plan-deployment.ts';
import { newsroom, planRequest, scenario } from '../support.ts';

describe('generated entries', () => {
  it('read as a person would write them', async () => {
    const workflow = await newsroom();
    const layout = [
      { components: ['desk', 'editor', 'merge'], replicas: 2 },
      ['archive', 'counter'],
      ['draft', 'facts', 'style', 'pipeline'],
    ];
    const { configuration } = baselineConfiguration(workflow, scenario({ baseline: { layout } }));
    const { plan, problems } = planDeployment(planRequest(workflow, configuration));
    if (plan === undefined) throw new Error(JSON.stringify(problems));
    const entries = [
      ...plan.units.map((unit) => emitUnitEntry(unit, workflow, plan.application, plan.ingress)),
      ...plan.services.map((service) => emitServiceEntry(service, plan)),
    ];
    await expect(entries.join('\n')).toMatchFileSnapshot('../../golden/compiler/newsroom.entries.ts.txt');
  });

  it('print any JSON as a literal of the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const wanted = JSON.parse(JSON.stringify(value));
        expect(new Function(`return (${printLiteral(value)});`)()).toEqual(wanted);
      }),
    );
  });
});
