import { describe, expect, it } from 'vitest';
import { searchStrategies } from '../../cli/registry.ts';
import { configurationId, type Prediction } from '../../compiler/contracts/index.ts';
import { createAnalyticPredictor } from '../../optimizer/predict/analytic.ts';
import { createAnalyticBound } from '../../optimizer/predict/bound.ts';
import exact from '../../optimizer/search/exact.ts';
import { metricObjective } from '../../optimizer/search/objective.ts';
import type { SearchInput } from '../../optimizer/search/strategy.ts';
import { satisfies } from '../../optimizer/space/satisfies.ts';
import { spaceSize } from '../../optimizer/space/size.ts';
import type { Space } from '../../optimizer/space/space.ts';
import { grpc, http, inputOf, poisson, randomCase, scenario, spaceOf } from '../optimizer/synthetic-profile.ts';

/** What every search strategy promises; a new one is added to this list and tested without writing a test. */
const strategies = searchStrategies;

function inputFor(overrides: Partial<SearchInput> = {}, change: (space: Space) => Partial<Space> = () => ({})): SearchInput {
  const { workflow, profile, names } = randomCase(5, 21);
  const base = spaceOf(workflow, {
    apart: [[names[0] as string, names[3] as string]],
    replicas: Object.fromEntries(names.map((name) => [name, { min: 1, max: 2 }])),
    protocols: Object.fromEntries(workflow.channels.map((channel) => [channel.id, [http, grpc]])),
  });
  const space: Space = { ...base, ...change(base) };
  const input = inputOf(workflow, profile, poisson(60), { hostCores: 4 });
  const { objective: config } = scenario({ objective: { minimize: 'latency.p95' } });
  const objective = (prediction: Prediction) => metricObjective(prediction, 'latency.p95', config);
  return {
    space,
    evaluate: createAnalyticPredictor(input),
    bound: createAnalyticBound({ ...input, space, objective }),
    objective,
    count: 6,
    seed: 3,
    signal: new AbortController().signal,
    ...overrides,
  };
}

describe.each(strategies.map((descriptor) => [descriptor.id, descriptor] as const))('search strategy %s', (id, descriptor) => {
  it('describes itself', () => {
    expect(descriptor.kind).toBe('searchStrategy');
    expect(id).toMatch(/^[a-z][a-z0-9-]*$/);
    expect(descriptor.options.parse({})).toEqual({});
    expect(descriptor.traits.maxComponents).toBeGreaterThan(0);
  });

  it('returns distinct configurations of the space, best first, with their true scores', async () => {
    const strategy = await descriptor.load();
    const input = inputFor();
    const { best, certificate } = strategy.search(input);
    expect(best.length).toBe(input.count);
    expect(new Set(best.map((scored) => configurationId(scored.configuration))).size).toBe(best.length);
    for (const { configuration, prediction, objective } of best) {
      expect(satisfies(input.space, configuration)).toEqual([]);
      expect(prediction.configurationId).toBe(configurationId(configuration));
      expect(objective).toBe(input.objective(input.evaluate(configuration)));
    }
    expect(best.map((scored) => scored.objective)).toEqual(best.map((scored) => scored.objective).sort((a, b) => a - b));
    expect(certificate.strategy).toBe(id);
    expect(certificate.spaceSize).toBe(spaceSize(input.space));
    expect(certificate.evaluated).toBeGreaterThan(0);
    expect(certificate.gap).toBeGreaterThanOrEqual(0);
    expect(certificate.gap).toBeLessThanOrEqual(1);
  });

  it('gives the same answer again', async () => {
    const strategy = await descriptor.load();
    expect(strategy.search(inputFor())).toEqual(strategy.search(inputFor()));
  });

  it('certifies optimality only when it is exact and finished', async () => {
    const strategy = await descriptor.load();
    const whole = strategy.search(inputFor()).certificate;
    expect(whole.optimalUnder).toBe(descriptor.traits.exact ? 'predictor' : 'none');
    const cut = strategy.search(inputFor({ maxEvaluations: 12 })).certificate;
    expect(cut.optimalUnder).toBe('none');
    expect(cut.evaluated).toBeLessThanOrEqual(12);
    expect(cut.gap).toBeGreaterThan(0);
  });

  it('never beats the exhaustive answer, and finds one near it', async () => {
    const strategy = await descriptor.load();
    const { bound: _, ...exhaustive } = inputFor();
    const truth = (await exact.load()).search(exhaustive).best[0]?.objective ?? 0;
    const found = strategy.search(inputFor()).best[0]?.objective ?? 0;
    expect(found).toBeGreaterThanOrEqual(truth);
    expect(found).toBeLessThanOrEqual(truth * (descriptor.traits.exact ? 1 : 1.05));
  });

  it('returns what there is when the space is smaller than asked for', async () => {
    const strategy = await descriptor.load();
    const one = inputFor({}, (space) => ({
      maxUnits: 1,
      apart: [],
      replicas: Object.fromEntries(space.components.map((name) => [name, { min: 1, max: 1 }])),
    }));
    const { best, certificate } = strategy.search(one);
    expect(best.length).toBe(1);
    expect(certificate.spaceSize).toBe(1);
  });

  it('returns nothing when no configuration keeps the limits', async () => {
    const strategy = await descriptor.load();
    const { bound: _, ...rest } = inputFor({ objective: () => Number.POSITIVE_INFINITY });
    expect(strategy.search(rest).best).toEqual([]);
  });

  it('stops when told', async () => {
    const strategy = await descriptor.load();
    const { certificate } = strategy.search(inputFor({ signal: AbortSignal.abort() }));
    expect(certificate.optimalUnder).toBe('none');
    expect(certificate.evaluated).toBeLessThan(5);
  });
});
