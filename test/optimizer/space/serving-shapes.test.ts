import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Configuration, canonicalJson, poolOf } from '../../../compiler/contracts/index.ts';
import { choicesOf, configurationOf, picksWith } from '../../../optimizer/space/choices.ts';
import { satisfies } from '../../../optimizer/space/satisfies.ts';
import { servingPlanCount, servingPlans } from '../../../optimizer/space/serving-plans.ts';
import { groupings, servingShapes } from '../../../optimizer/space/serving-shapes.ts';
import type { ScenarioConfig } from '../../../scenarios/schema.ts';
import { scenario, spaceOf, workflowOf } from '../synthetic-profile.ts';

const agents = ['critic', 'planner', 'coder'];
const workflow = {
  ...workflowOf({ critic: {}, planner: {}, coder: {} }, []),
  models: ['large'],
  channels: agents.map((agent) => ({
    id: `${agent}->large`,
    kind: 'model' as const,
    from: [agent],
    to: ['large'],
    patterns: ['request' as const],
    repeatable: true,
  })),
};
const models = scenario({ models: { large: {}, small: { options: { maxNumSeqs: 8 } } } }).models;

function shapesOf(search: object, fits?: Parameters<typeof servingShapes>[0]['fits']) {
  const problems: string[] = [];
  const config: ScenarioConfig = scenario({ search });
  const found = servingShapes(
    { workflow, search: config.search, today: { large: { replicas: 1, options: {} } }, models, ...(fits ? { fits } : {}) },
    (code, message) => problems.push(`${code}: ${message}`),
  );
  return { ...found, problems };
}
const pools = ({ shapes }: ReturnType<typeof shapesOf>) => shapes.map((shape) => shape.pools.map(({ id }) => id).sort());

describe('pools a search may choose', () => {
  it('is the pool everybody shares unless the scenario says more', () => {
    expect(pools(shapesOf({}))).toEqual([['large']]);
  });

  it('takes shared, dedicated and named groups, each once', () => {
    const found = shapesOf({ pools: { large: ['shared', 'dedicated', [['planner', 'coder']], [['coder', 'planner'], ['critic']]] } });
    expect(found.problems).toEqual([]);
    expect(pools(found)).toEqual([
      ['large'],
      ['large@coder', 'large@critic', 'large@planner'],
      ['large', 'large@coder+planner'],
      ['large@coder+planner', 'large@critic'],
    ]);
  });

  it('tries every way to group a few agents, and refuses to for many', () => {
    expect(pools(shapesOf({ pools: { large: ['every'] } }))).toHaveLength(5);
    expect(groupings(['every'], ['a', 'b', 'c', 'd', 'e'])).toHaveLength(52);
    expect(groupings(['every'], ['a', 'b', 'c', 'd', 'e', 'f'])).toEqual([[undefined]]);
  });

  it('refuses agents that do not use the model or stand in two pools', () => {
    expect(shapesOf({ pools: { large: [[['planner', 'nobody']]] } }).problems[0]).toContain('DMAS_CFG_UNKNOWN_AGENT');
    expect(shapesOf({ pools: { large: [[['planner'], ['planner', 'critic']]] } }).problems[0]).toContain('DMAS_CFG_CONTRADICTION');
  });

  it('each agent is answered by exactly one pool of the model it gets, in every plan', () => {
    const way = fc.oneof(
      fc.constantFrom('shared' as const, 'dedicated' as const, 'every' as const),
      fc
        .shuffledSubarray(agents, { minLength: 1 })
        .chain((some) =>
          fc.integer({ min: 1, max: some.length }).map((cut) => [some.slice(0, cut), some.slice(cut)].filter((group) => group.length > 0)),
        ),
    );
    fc.assert(
      fc.property(
        fc.array(way, { minLength: 1, maxLength: 3 }),
        fc.array(way, { minLength: 1, maxLength: 2 }),
        fc.subarray(agents),
        (large, small, choosers) => {
          const found = shapesOf({
            pools: { large, small },
            serving: { large: { replicas: [1, 2] } },
            models: Object.fromEntries(choosers.map((agent) => [agent, ['large', 'small']])),
            quality: { rightAnswers: 0.9 },
          });
          const space = spaceOf(workflow, {
            serving: found.shapes,
            defaults: { ...spaceOf(workflow).defaults, serving: { large: { replicas: 1, options: {} } } },
          });
          const plans = servingPlans(space);
          expect(plans.length).toBe(servingPlanCount(space));
          expect(new Set(plans.map((plan) => canonicalJson(plan as never))).size).toBe(plans.length);
          for (const plan of plans) {
            const used = agents.map((agent) => [agent, poolOf(plan as Configuration, agent, 'large')] as const);
            for (const [agent, pool] of used) {
              const setting = plan.serving[pool ?? ''];
              expect(setting?.model ?? pool).toBe(plan.modelChoice?.[agent]?.large ?? 'large');
              expect(setting?.agents === undefined || setting.agents.includes(agent)).toBe(true);
            }
            // No pool is paid for that answers nobody.
            expect(Object.keys(plan.serving).sort()).toEqual([...new Set(used.map(([, pool]) => pool))].sort());
          }
          const groups = [agents];
          const choices = choicesOf(space, groups);
          const all = [...picksWith(choices, [1])].map((pick) => configurationOf(space, groups, choices, pick));
          expect(all.flatMap((configuration) => satisfies(space, configuration))).toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('what cannot run', () => {
  const fits = (_: string, options: { readonly [option: string]: unknown }) =>
    options.gpu === 'l4' ? { needsGb: 40, hasGb: 21.6 } : (true as const);

  it('is left out before anything runs, and counted with the reason', () => {
    const found = shapesOf({ serving: { large: { gpu: ['l4', 'h100'], maxNumSeqs: [64, 128] } } }, fits);
    expect(found.problems).toEqual([]);
    expect(found.unfit).toEqual([{ model: 'large', count: 2, reason: 'gpu=l4 needs 40.0 GB of memory per GPU and has 21.6 GB' }]);
    expect(found.shapes[0]?.pools[0]?.options.map(({ options }) => options.gpu)).toEqual(['h100', 'h100']);
  });

  it('is a problem when nothing is left', () => {
    expect(shapesOf({ serving: { large: { gpu: ['l4'] } } }, fits).problems[0]).toContain('fits in memory under none of its settings');
  });
});

describe('models an agent may be answered by', () => {
  const quality = { scores: { critic: { large: 0.9, small: 0.8 }, planner: { large: 0.9, small: 0.7 } } };
  const chosen = (search: object) => shapesOf(search).shapes.map(({ modelChoice }) => modelChoice ?? {});

  it('are those that are no worse than the one it asks for, without a floor', () => {
    expect(chosen({ models: { critic: ['large', 'small'] }, quality })).toEqual([{}]);
  });

  it('are those above the floor of all or of the agent', () => {
    const both = { critic: ['large', 'small'], planner: ['large', 'small'] };
    expect(chosen({ models: both, quality: { ...quality, floor: 0.75 } })).toEqual([{}, { critic: { large: 'small' } }]);
    expect(chosen({ models: both, quality: { ...quality, floor: { critic: 0.85, default: 0.6 } } })).toEqual([
      {},
      { planner: { large: 'small' } },
    ]);
  });

  it('a model nobody asks for any more is served no longer', () => {
    const all = { critic: ['small'], planner: ['small'], coder: ['small'] };
    const found = shapesOf({ models: all, quality: { rightAnswers: 0.9 } });
    expect(pools(found)).toEqual([['small']]);
    expect(found.shapes[0]?.pools[0]?.options).toEqual([{ replicas: 1, options: { maxNumSeqs: 8 } }]);
  });
});
