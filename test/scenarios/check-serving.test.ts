import { describe, expect, it } from 'vitest';
import { checkServing } from '../../scenarios/check-serving.ts';
import { scenario, workflowOf } from '../optimizer/synthetic-profile.ts';

const workflow = {
  ...workflowOf({ critic: {}, planner: {} }, []),
  models: ['large', 'main'],
  channels: [
    { id: 'critic->large', kind: 'model' as const, from: ['critic'], to: ['large'], patterns: ['request' as const], repeatable: true },
    { id: 'planner->large', kind: 'model' as const, from: ['planner'], to: ['large'], patterns: ['request' as const], repeatable: true },
    { id: 'planner->main', kind: 'model' as const, from: ['planner'], to: ['main'], patterns: ['request' as const], repeatable: true },
  ],
};
const found = (search: object, workload: object = {}) =>
  checkServing({
    config: scenario({ models: { large: {}, main: {}, small: {} }, search, workload }),
    workflow,
    classes: ['default'],
    at: (path) => ({ file: path }),
  }).map(({ code, message, at, fix, didYouMean }) => [code, at?.file, didYouMean ?? fix ?? '', message].join(' | '));

const scores = { critic: { large: 0.9, small: 0.8 } };

describe('what a scenario says of serving', () => {
  it('may be anything it can do', () => {
    expect(
      found({
        serving: { large: { replicas: [1, 2] }, small: { gpu: ['l4'] } },
        pools: { large: ['shared', [['critic'], ['planner']]], small: ['dedicated'] },
        models: { critic: ['large', 'small'] },
        quality: { scores, floor: { critic: 0.7, default: 0.9 } },
      }),
    ).toEqual([]);
  });

  it('names models and agents that are there, at their place', () => {
    expect(found({ pools: { larg: ['shared'] } })[0]).toContain('DMAS_CFG_UNKNOWN_MODEL | search.pools.larg | large');
    expect(found({ pools: { main: [[['critic']]] } })[0]).toContain('DMAS_CFG_UNKNOWN_AGENT | search.pools.main.0.0.0');
    expect(found({ models: { critik: ['small'] } })[0]).toContain('DMAS_CFG_UNKNOWN_AGENT | search.models.critik | critic');
    expect(found({ quality: { scores: { critic: { tiny: 1 } } } })[0]).toContain('search.quality.scores.critic.tiny');
  });

  it('puts each agent into one pool of a model', () => {
    expect(found({ pools: { large: [[['critic', 'planner'], ['critic']]] } })[0]).toContain('"critic" stands in two pools of large');
  });

  it('says for which model a choice is where an agent asks for several', () => {
    expect(found({ models: { planner: ['small'] }, quality: { scores: { planner: { small: 1, large: 1 } } } })[0]).toContain(
      '{ large: [small] }',
    );
  });

  it('lets no cheaper model in without a measure of quality that it reaches', () => {
    expect(found({ models: { critic: ['large', 'small'] } })[0]).toContain('search.quality.scores.critic.large');
    expect(found({ models: { critic: ['small'] }, quality: { scores, floor: 0.85 } })[0]).toContain(
      'reaches the quality of 0.85: the best has 0.8',
    );
    const checked = { models: { critic: ['large', 'small'] }, quality: { rightAnswers: '95%' } };
    expect(found(checked)[0]).toContain('workload.classes.default.expect');
    expect(found(checked, { classes: { default: { expect: './right.jsonl' } } })).toEqual([]);
  });
});
