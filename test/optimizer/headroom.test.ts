import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Configuration, fromPartition, onePerComponent } from '../../compiler/contracts/index.ts';
import { computeHeadroom, idleMs } from '../../optimizer/headroom.ts';
import { createAnalyticPredictor } from '../../optimizer/predict/analytic.ts';
import { allocatedUsdPerHour } from '../../optimizer/predict/pricing.ts';
import { eachPartition } from '../../optimizer/space/partitions.ts';
import type { Space } from '../../optimizer/space/space.ts';
import { blockOf } from './synthetic-block.ts';
import {
  call,
  defaults,
  inputOf,
  modelCall,
  poisson,
  pricing,
  profileOf,
  randomCase,
  send,
  skeleton,
  spaceOf,
  visit,
  workflowOf,
} from './synthetic-profile.ts';

const workflow = workflowOf({ a: {}, b: {}, c: {} }, [
  ['a', 'b'],
  ['b', 'c'],
]);
const profile = profileOf([skeleton(visit('a', 2, [call(visit('b', 3, [call(visit('c', 5))]))]))]);
const baseline = onePerComponent(workflow, defaults);
const perSecond = 10;
const unitUsdPer1000 = (configuration: Configuration) => allocatedUsdPerHour(configuration, pricing) / (perSecond * 3.6);

function headroom(p50Ms: number, options: { space?: Space; minimize?: string[]; extraUsd?: number; margin?: number } = {}) {
  return computeHeadroom({
    profile,
    baseline: blockOf({
      configuration: baseline,
      p50Ms,
      perSecond,
      usdPer1000: unitUsdPer1000(baseline) + (options.extraUsd ?? 0),
      cpuMsPerRequest: 12,
    }),
    baselineConfiguration: baseline,
    pricing,
    space: options.space ?? spaceOf(workflow),
    objective: { minimize: options.minimize ?? ['cost'], margin: options.margin ?? 0.03 },
  });
}

describe('headroom', () => {
  it('bounds latency by the own work, cost by one process where nothing forbids it', () => {
    const found = headroom(20);
    expect(found.latency.default).toEqual({ baselineMs: 20, boundMs: 10, savingShare: 0.5 });
    expect(found.cost.savingShare).toBeCloseTo(2 / 3, 9);
    expect(found.worthwhile).toBe(true);
    expect(found.sentence).toBe(
      'At most 50 % of latency and 67 % of cost could be saved by any layout; 20 % of latency is communication and 10 % is queueing.',
    );
  });

  it('keeps what no layout changes: model calls, parallel branches, services and tokens', () => {
    expect(idleMs(visit('a', 1, [call(visit('b', 4)), call(visit('c', 9)), modelCall(7)]))).toBe(10);
    expect(idleMs(visit('a', 1, [send(visit('b', 4))]))).toBe(1);
    expect(idleMs(visit('a', 1, [send(visit('b', 4))]), true)).toBe(5);
    const units = unitUsdPer1000(baseline);
    expect(headroom(20, { extraUsd: units }).cost.savingShare).toBeCloseTo(1 / 3, 9);
  });

  it('counts what must stay apart and how many replicas the load needs', () => {
    expect(headroom(20, { space: spaceOf(workflow, { apart: [['a', 'b', 'c']] }) }).cost.savingShare).toBeCloseTo(0, 9);
    expect(headroom(20, { space: spaceOf(workflow, { apart: [['a', 'b']] }) }).cost.savingShare).toBeCloseTo(1 / 3, 9);
  });

  it('says when it is not worth it', () => {
    const found = headroom(10.1, { minimize: ['latency.p95'] });
    expect(found.worthwhile).toBe(false);
    expect(found.sentence).toContain('no layout is worth a change');
    expect(headroom(10.1, { minimize: ['latency.p95', 'cost'] }).worthwhile).toBe(true);
    expect(headroom(10.1, { minimize: ['cpu'] }).worthwhile).toBe(true);
  });

  it('no layout the predictor knows beats the bound', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5 }), fc.integer({ min: 1, max: 9999 }), fc.constantFrom(5, 60), (n, seed, rate) => {
        const made = randomCase(n, seed);
        const predict = createAnalyticPredictor(inputOf(made.workflow, made.profile, poisson(rate)));
        const present = onePerComponent(made.workflow, defaults);
        const prediction = predict(present);
        const found = computeHeadroom({
          profile: made.profile,
          baseline: blockOf({
            configuration: present,
            p50Ms: prediction.classes.default?.p50Ms.point ?? 0,
            usdPer1000: prediction.usdPer1000Requests.point,
            perSecond: rate,
          }),
          baselineConfiguration: present,
          pricing,
          space: spaceOf(made.workflow),
          objective: { minimize: ['cost'], margin: 0.03 },
        });
        eachPartition(spaceOf(made.workflow), {
          leaf: (groups) => {
            const one = predict(
              fromPartition(
                made.workflow,
                groups.map((group) => [...group]),
                defaults,
              ),
            );
            if (one.feasible) {
              expect(one.usdPer1000Requests.point).toBeGreaterThanOrEqual(found.cost.boundUsdPer1000 * (1 - 1e-9));
              // The ingress share of this made-up profile is zero; quantiles of few requests are read off differently.
              expect(one.classes.default?.p50Ms.point ?? 0).toBeGreaterThanOrEqual((found.latency.default?.boundMs ?? 0) * 0.97);
            }
            return true;
          },
        });
      }),
      { numRuns: 20 },
    );
  });
});
