import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Prediction } from '../../../compiler/contracts/index.ts';
import { createAnalyticPredictor } from '../../../optimizer/predict/analytic.ts';
import { createAnalyticBound } from '../../../optimizer/predict/bound.ts';
import { uncalibrated } from '../../../optimizer/predict/calibrate.ts';
import type { PredictorInput } from '../../../optimizer/predict/input.ts';
import { exact } from '../../../optimizer/search/exact.ts';
import { metricObjective } from '../../../optimizer/search/objective.ts';
import type { SearchInput } from '../../../optimizer/search/strategy.ts';
import { choicesOf, configurationOf, picksWith, replicaVectors } from '../../../optimizer/space/choices.ts';
import { eachPartition } from '../../../optimizer/space/partitions.ts';
import type { Space } from '../../../optimizer/space/space.ts';
import { grpc, http, inputOf, poisson, randomCase, scenario, spaceOf } from '../synthetic-profile.ts';

const metrics = ['cost', 'cpu', 'latency.mean', 'latency.p50', 'latency.p90', 'latency.p95', 'latency.p99'] as const;

const arbitrary = fc.record({
  n: fc.integer({ min: 2, max: 5 }),
  seed: fc.integer({ min: 1, max: 100_000 }),
  metric: fc.constantFrom(...metrics),
  perSecond: fc.constantFrom(5, 40, 120, 300),
  closed: fc.boolean(),
  maxReplicas: fc.integer({ min: 1, max: 2 }),
  protocols: fc.boolean(),
  apart: fc.boolean(),
  limitMs: fc.option(fc.integer({ min: 5, max: 60 })),
  resources: fc.boolean(),
});
type Case = typeof arbitrary extends fc.Arbitrary<infer T> ? T : never;

function build(c: Case, overrides: Partial<PredictorInput> = {}): SearchInput {
  const { workflow, profile, names } = randomCase(c.n, c.seed);
  const space: Space = spaceOf(workflow, {
    replicas: Object.fromEntries(names.map((name) => [name, { min: 1, max: c.maxReplicas }])),
    protocols: Object.fromEntries(workflow.channels.map((channel) => [channel.id, c.protocols ? [http, grpc] : [http]])),
    apart: c.apart ? [[names[0] as string, names[1] as string]] : [],
    resources: c.resources
      ? {
          [names[1] as string]: [
            { vcpu: 0.5, memoryMb: 128 },
            { vcpu: 1, memoryMb: 512 },
          ],
        }
      : {},
  });
  const workload = c.closed ? ({ default: { process: 'closed', clients: 5, thinkMs: 50 } } as const) : poisson(c.perSecond);
  const input = inputOf(workflow, profile, workload, { hostCores: 4, ...overrides });
  const objectiveConfig = scenario({
    objective: { minimize: c.metric, slo: c.limitMs === null ? [] : [{ metric: 'latency.p95', max: c.limitMs }] },
  }).objective;
  const objective = (prediction: Prediction) => metricObjective(prediction, c.metric, objectiveConfig);
  return {
    space,
    evaluate: createAnalyticPredictor(input),
    bound: createAnalyticBound({ ...input, space, objective }),
    objective,
    count: 5,
    seed: 1,
    signal: new AbortController().signal,
  };
}

function everyConfiguration(space: Space) {
  const all: { groups: string[][]; replicas: readonly number[]; configuration: ReturnType<typeof configurationOf> }[] = [];
  eachPartition(space, {
    leaf: (groups) => {
      const copy = groups.map((group) => [...group]);
      const choices = choicesOf(space, copy);
      for (const replicas of replicaVectors(choices))
        for (const pick of picksWith(choices, replicas))
          all.push({ groups: copy, replicas, configuration: configurationOf(space, copy, choices, pick) });
      return true;
    },
  });
  return all;
}

describe('analytic bound', () => {
  it('is never above the objective of any configuration below it', () => {
    fc.assert(
      fc.property(arbitrary, fc.integer(), (c, choice) => {
        const { space, bound, evaluate, objective } = build(c);
        for (const { groups, replicas, configuration } of everyConfiguration(space)) {
          const value = objective(evaluate(configuration));
          const allowed = value * (1 + 1e-9);
          expect(bound?.lower(groups)).toBeLessThanOrEqual(allowed);
          expect(bound?.lower(groups, replicas)).toBeLessThanOrEqual(allowed);
          // Forget some components: what is left is a partial partition this one completes.
          const partial = groups.map((group) => group.filter((_, i) => ((choice >> i) & 1) === 0)).filter((group) => group.length > 0);
          expect(bound?.lower(partial)).toBeLessThanOrEqual(allowed);
        }
      }),
      { numRuns: 25 },
    );
  });

  it('loses nothing: pruned and unpruned search find the same list', () => {
    fc.assert(
      fc.property(arbitrary, (c) => {
        const { bound, ...unpruned } = build(c);
        const pruned = exact.search({ ...unpruned, ...(bound ? { bound } : {}) });
        const whole = exact.search(unpruned);
        expect(pruned.best.map((scored) => scored.prediction.configurationId)).toEqual(
          whole.best.map((scored) => scored.prediction.configurationId),
        );
        expect(pruned.certificate.optimalUnder).toBe('predictor');
        expect(whole.certificate.evaluated).toBe(whole.certificate.spaceSize);
      }),
      { numRuns: 60 },
    );
  });

  it('holds for calibrated predictions, when the bound is calibrated alike; otherwise the certificate is withheld', () => {
    const c: Case = {
      n: 5,
      seed: 3,
      metric: 'latency.p50',
      perSecond: 40,
      closed: false,
      maxReplicas: 1,
      protocols: false,
      apart: false,
      limitMs: null,
      resources: false,
    };
    const factor = { bias: 0.6, spread: 0.1 };
    const calibration = { ...uncalibrated, latency: factor, n: 1 };
    const alike = build(c, { calibration });
    const { bound: _, ...whole } = alike;
    const found = exact.search(alike);
    expect(found.best.map((scored) => scored.objective)).toEqual(exact.search(whole).best.map((scored) => scored.objective));
    expect(found.certificate.optimalUnder).toBe('predictor');
    const { bound } = build(c);
    const mixed = exact.search({ ...alike, ...(bound ? { bound } : {}) });
    expect(mixed.certificate.optimalUnder).toBe('none');
  });

  it('cuts most of the tree on a larger case', () => {
    const input = build({
      n: 5,
      seed: 11,
      metric: 'cost',
      perSecond: 5,
      closed: false,
      maxReplicas: 2,
      protocols: true,
      apart: false,
      limitMs: null,
      resources: false,
    });
    const { certificate } = exact.search(input);
    expect(certificate.evaluated).toBeLessThan(0.2 * certificate.spaceSize);
    expect(certificate.evaluated + certificate.pruned).toBe(certificate.spaceSize);
  });
});
