import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseScenario } from '../../scenarios/load.ts';

const parse = (text: string, environment: Record<string, string> = {}) =>
  parseScenario('/app/my-scenario/scenario.yaml', text, environment);

describe('parseScenario', () => {
  it('needs nothing but a workflow', () => {
    const { scenario, problems } = parse('workflow: ./workflow.ts\n');
    expect(problems).toEqual([]);
    expect(scenario?.name).toBe('my-scenario');
    expect(scenario?.config.target).toEqual({ kind: 'process' });
    expect(scenario?.config.baseline.protocol).toEqual({ protocol: 'http-json', options: {} });
    expect(scenario?.config.workload.classes.default?.arrivals).toEqual({ process: 'poisson', perSecond: 2 });
  });

  it('reads durations, shares and ranges into plain numbers', () => {
    const { scenario } = parse(
      'workflow: w.ts\nworkload: { duration: 2m, warmup: 250ms }\nobjective: { margin: 5% }\nsearch: { replicas: { a: [1, 3], b: 2 } }\n',
    );
    expect(scenario?.config.workload).toMatchObject({ duration: 120_000, warmup: 250 });
    expect(scenario?.config.objective.margin).toBe(0.05);
    expect(scenario?.config.search.replicas).toEqual({ a: { min: 1, max: 3 }, b: { min: 2, max: 2 } });
  });

  it('tells all problems at once, in file order, each with its place', () => {
    const { problems } = parse(
      'workflow: w.ts\nbudget: { time: -3s }\nobjective: { slo: [{ metric: latency.p42, max: 3s }], minimise: cost }\n',
    );
    expect(problems.map((problem) => [problem.code, problem.at?.line, problem.at?.column])).toEqual([
      ['DMAS_CFG_INVALID_VALUE', 2, 17],
      ['DMAS_CFG_INVALID_VALUE', 3, 30],
      ['DMAS_CFG_UNKNOWN_KEY', 3, 55],
    ]);
    expect(problems[2]?.didYouMean).toBe('minimize');
  });

  it('names the choices of a discriminated value', () => {
    const { problems } = parse('workflow: w.ts\nworkload: { classes: { a: { arrivals: { process: poison, perSecond: 1 } } } }\n');
    expect(problems).toMatchObject([
      {
        code: 'DMAS_CFG_INVALID_VALUE',
        didYouMean: 'poisson',
        allowed: ['closed', 'constant', 'poisson', 'gamma', 'mmpp', 'log', 'sessions'],
      },
    ]);
  });

  it('tells a misspelt required key once', () => {
    const { problems } = parse('workfow: w.ts\n');
    expect(problems).toMatchObject([{ code: 'DMAS_CFG_UNKNOWN_KEY', didYouMean: 'workflow', at: { line: 1, column: 1, length: 7 } }]);
  });

  it('puts values of the environment in, with their type', () => {
    const { scenario } = parse('workflow: "${env:WF}.ts"\nseed: ${env:SEED}\nname: ${env:NONE:-fallback}\n', { WF: 'a', SEED: '12' });
    expect(scenario?.config).toMatchObject({ workflow: 'a.ts', seed: 12, name: 'fallback' });
  });

  it('tells a missing variable together with other problems', () => {
    const { problems } = parse('workflow: "${env:NOPE}"\nseed: x\n');
    expect(problems.map((problem) => problem.code)).toEqual(['DMAS_CFG_MISSING_ENV', 'DMAS_CFG_INVALID_VALUE']);
    expect(problems[0]?.fix).toContain('NOPE');
  });

  it('knows where every value stands', () => {
    const { scenario } = parse('workflow: w.ts\nsearch:\n  apart:\n    - [a, b]\n');
    expect(scenario?.places['search.apart.0.1']).toEqual({ line: 4, column: 11, length: 1 });
  });

  it('never throws and never accepts what it also complains about, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const { scenario, problems } = parse(text);
        expect(scenario === undefined).toBe(problems.length > 0);
      }),
      { numRuns: 300 },
    );
  });
});
