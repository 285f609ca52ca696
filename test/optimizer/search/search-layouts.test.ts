import { describe, expect, it } from 'vitest';
import { type Prediction, type ScoredConfiguration, unitOf } from '../../../compiler/contracts/index.ts';
import { createAnalyticPredictor } from '../../../optimizer/predict/analytic.ts';
import { createAnalyticBound } from '../../../optimizer/predict/bound.ts';
import type { PredictorInput } from '../../../optimizer/predict/input.ts';
import { createNoWorse } from '../../../optimizer/predict/pricing.ts';
import { createSimulatedPredictor } from '../../../optimizer/predict/simulated.ts';
import { brokenLimits, metricOf, objectiveOf } from '../../../optimizer/search/objective.ts';
import { paretoFront, pickDiverse, searchLayouts, withoutDominatedProtocols } from '../../../optimizer/search/search-layouts.ts';
import type { Space } from '../../../optimizer/space/space.ts';
import {
  call,
  grpc,
  http,
  inputOf,
  poisson,
  prices,
  profileOf,
  scenario,
  skeleton,
  spaceOf,
  visit,
  workflowOf,
} from '../synthetic-profile.ts';

const { signal } = new AbortController();

function search(input: PredictorInput, space: Space, objective: object, count = 3) {
  const config = scenario({ objective }).objective;
  return searchLayouts({
    space,
    analytic: createAnalyticPredictor(input),
    boundFor: (value, within) => createAnalyticBound({ ...input, space: within, objective: value }),
    simulated: createSimulatedPredictor(input),
    objective: config,
    count,
    seed: 1,
    signal,
  });
}

/** A light front that calls a light helper; a heavy one beside them that must not share their loop. */
const workflow = workflowOf({ front: {}, helper: {}, heavy: {} }, [
  ['front', 'helper'],
  ['front', 'heavy'],
]);
const light = skeleton(visit('front', 0.5, [call(visit('helper', 0.5))]), 'light');
const heavyWork = skeleton(visit('front', 0.5, [call(visit('heavy', 60))]), 'heavy');
const input = inputOf(
  workflow,
  profileOf([light, heavyWork]),
  { light: { process: 'poisson', perSecond: 20 }, heavy: { process: 'poisson', perSecond: 9 } },
  { hostCores: 4, requests: 1200 },
);

describe('searchLayouts', () => {
  it('latency: keeps the heavy component alone and joins the chatty ones', () => {
    const { best, certificate } = search(input, spaceOf(workflow), { minimize: 'latency.p95' });
    expect(best[0]?.configuration.units.map((unit) => unit.id)).toEqual(['front+helper', 'heavy']);
    expect(certificate.optimalUnder).toBe('predictor');
    expect(best[0]?.prediction.predictor).toBe('simulated');
  });

  it('cost: one process, unless a limit on latency forbids it', () => {
    expect(search(input, spaceOf(workflow), { minimize: 'cost' }).best[0]?.configuration.units.length).toBe(1);
    const limited = search(input, spaceOf(workflow), { minimize: 'cost', slo: [{ class: 'light', metric: 'latency.p95', max: '20ms' }] });
    expect(limited.best[0]?.configuration.units.map((unit) => unit.id)).toEqual(['front+helper', 'heavy']);
  });

  it('proposes distinct partitions and never what is excluded', () => {
    const { best } = search(input, spaceOf(workflow), { minimize: 'latency.p95' });
    const partitions = best.map(({ configuration }) => configuration.units.map((unit) => unit.id).join('|'));
    expect(new Set(partitions).size).toBe(best.length);
    const excluded = best[0]?.prediction.configurationId ?? '';
    const again = searchLayouts({
      space: spaceOf(workflow),
      analytic: createAnalyticPredictor(input),
      simulated: createSimulatedPredictor(input),
      objective: scenario({ objective: { minimize: 'latency.p95' } }).objective,
      count: 3,
      seed: 1,
      signal,
      exclude: new Set([excluded]),
    });
    expect(again.best.some((scored) => scored.prediction.configurationId === excluded)).toBe(false);
  });

  it('adds replicas only where the load needs them', () => {
    const busy = workflowOf({ front: {}, worker: {} }, [['front', 'worker']]);
    const loaded = inputOf(busy, profileOf([skeleton(visit('front', 0.2, [call(visit('worker', 10))]))]), poisson(150), { requests: 1200 });
    const space = spaceOf(busy, { replicas: { front: { min: 1, max: 1 }, worker: { min: 1, max: 4 } } });
    const winner = search(loaded, space, { minimize: 'cost' }).best[0]?.configuration;
    if (!winner) throw new Error('nothing found');
    expect(unitOf(winner, 'worker').replicas).toBe(2);
    expect(unitOf(winner, 'front').replicas).toBe(1);
  });

  it('several metrics: a front, in order of the first', () => {
    const { best } = search(input, spaceOf(workflow), { minimize: ['cost', 'latency.p95'] }, 5);
    expect(best.length).toBeGreaterThan(1);
    const front = paretoFront(best, ['cost', 'latency.p95']);
    const costs = front.map(({ prediction }) => prediction.usdPer1000Requests.point);
    expect(costs).toEqual([...costs].sort((a, b) => a - b));
    const latencies = front.map(({ prediction }) => metricOf(prediction, 'latency.p95') ?? 0);
    expect(latencies).toEqual([...latencies].sort((a, b) => b - a));
    expect(front[0]?.configuration.units.length).toBe(1);
  });

  it('drops protocols that cost more in every respect, keeps trade-offs', () => {
    const dear = { protocol: 'dear', options: {} };
    const all = [...prices, { ...prices[0], protocol: 'dear', options: '{}', latencyFixedMs: 9 } as (typeof prices)[number]];
    const space = spaceOf(workflow, { protocols: { 'front->helper': [dear, http, grpc], 'front->heavy': [http, http] } });
    expect(withoutDominatedProtocols(space, createNoWorse(all)).protocols['front->helper']).toEqual([http, grpc]);
  });
});

describe('objective', () => {
  const estimate = (point: number, width = 0.1) => ({
    point,
    low: point * (1 - width),
    high: point * (1 + width),
    level: 0.95,
    n: 0,
    provenance: 'modelled' as const,
  });
  const prediction = (p50: number, p95: number, usd = 1, feasible = true): Prediction => ({
    configurationId: `${p50}-${p95}-${usd}`,
    predictor: 'simulated',
    classes: { default: { p50Ms: estimate(p50), p95Ms: estimate(p95), meanMs: estimate(p50) } },
    utilization: {},
    feasible,
    usdPer1000Requests: estimate(usd),
    cpuMsPerRequest: estimate(5),
  });

  it('reads metrics, p90 between p50 and p95, p99 no better than p95', () => {
    const one = prediction(10, 20);
    expect(metricOf(one, 'latency.p50')).toBeCloseTo(10);
    expect(metricOf(one, 'cpu')).toBeCloseTo(0.005);
    expect(metricOf(one, 'latency.p90') ?? 0).toBeGreaterThan(10);
    expect(metricOf(one, 'latency.p90') ?? 0).toBeLessThan(20);
    expect(metricOf(one, 'latency.p99')).toBeCloseTo(20);
    expect(metricOf(one, 'errorRate')).toBeNull();
  });

  it('is infinite only when a limit is broken at the optimistic end, or the load cannot be carried', () => {
    const { objective } = scenario({ objective: { minimize: 'cost', slo: [{ metric: 'latency.p95', max: '20ms' }] } });
    expect(objectiveOf(prediction(10, 21), objective)).toBe(1);
    expect(objectiveOf(prediction(10, 23), objective)).toBe(Number.POSITIVE_INFINITY);
    expect(brokenLimits(prediction(10, 23), objective)).toEqual(['latency.p95 of default']);
    expect(objectiveOf(prediction(1, 2, 1, false), objective)).toBe(Number.POSITIVE_INFINITY);
  });

  it('spends no trial on twins', () => {
    const scored = (p50: number, p95: number, usd: number, unit: string): ScoredConfiguration => ({
      configuration: {
        schemaVersion: 1,
        units: [{ id: unit, components: [unit], replicas: 1, resources: { vcpu: 1, memoryMb: 1 } }],
        channels: {},
        serving: {},
      },
      prediction: prediction(p50, p95, usd),
      objective: usd,
    });
    const first = scored(10, 20, 1, 'a');
    const twin = scored(10.01, 20.01, 1, 'b');
    const other = scored(12, 24, 1.2, 'c');
    expect(pickDiverse([first, twin, other], [], 2)).toEqual([first, other]);
  });
});
