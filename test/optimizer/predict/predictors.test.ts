import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allInOne, configurationId, fromPartition, onePerComponent } from '../../../compiler/contracts/index.ts';
import { createAnalyticPredictor } from '../../../optimizer/predict/analytic.ts';
import { createSimulatedPredictor, createSimulator } from '../../../optimizer/predict/simulated.ts';
import {
  call,
  defaults,
  inputOf,
  modelCall,
  poisson,
  prices,
  pricing,
  profileOf,
  randomCase,
  send,
  skeleton,
  visit,
  workflowOf,
} from '../synthetic-profile.ts';

const chain = workflowOf({ a: {}, b: {} }, [['a', 'b']]);
const apart = onePerComponent(chain, defaults);
const together = allInOne(chain, defaults);

describe('predictors on requests whose latency is known', () => {
  const both = (input: Parameters<typeof createAnalyticPredictor>[0]) => [createAnalyticPredictor(input), createSimulatedPredictor(input)];

  it('an idle hop costs its measured price, and nothing in-process', () => {
    const input = inputOf(chain, profileOf([skeleton(visit('a', 1, [call(visit('b', 2, [], 3), 2048, 4096)]))]), poisson(0.5));
    for (const predict of both(input)) {
      expect(predict(together).classes.default?.p50Ms.point).toBeCloseTo(6, 1);
      expect(predict(apart).classes.default?.p50Ms.point).toBeCloseTo(6 + 1 + 0.01 * 6, 1);
      expect(predict(apart).cpuMsPerRequest.point).toBeCloseTo(3 + 0.4 + 0.005 * 6, 5);
      expect(predict(together).cpuMsPerRequest.point).toBeCloseTo(3, 5);
    }
  });

  it('parallel calls: the longest counts on separate loops, the sum on one loop', () => {
    const workflow = workflowOf({ a: {}, b: {}, c: {} }, [
      ['a', 'b'],
      ['a', 'c'],
    ]);
    const free = prices.map((price) => ({ ...price, latencyFixedMs: 0, latencyPerKbMs: 0, cpuFixedMs: 0, cpuPerKbMs: 0 }));
    const input = inputOf(workflow, profileOf([skeleton(visit('a', 1, [call(visit('b', 10)), call(visit('c', 7))]))]), poisson(0.5), {
      prices: free,
    });
    for (const predict of both(input)) {
      expect(predict(onePerComponent(workflow, defaults)).classes.default?.p50Ms.point).toBeCloseTo(11, 0);
      expect(predict(allInOne(workflow, defaults)).classes.default?.p50Ms.point).toBeCloseTo(18, 0);
    }
  });

  it('waiting on timers overlaps on one loop', () => {
    const workflow = workflowOf({ a: {}, b: {}, c: {} }, [
      ['a', 'b'],
      ['a', 'c'],
    ]);
    const input = inputOf(
      workflow,
      profileOf([skeleton(visit('a', 1, [call(visit('b', 0, [], 10)), call(visit('c', 0, [], 7))]))]),
      poisson(0.5),
    );
    for (const predict of both(input)) expect(predict(allInOne(workflow, defaults)).classes.default?.p50Ms.point).toBeCloseTo(11, 1);
  });

  it('a caller does not wait for one-way work', () => {
    const input = inputOf(chain, profileOf([skeleton(visit('a', 1, [send(visit('b', 0, [], 50))]))]), poisson(0.5));
    for (const predict of both(input)) expect(predict(together).classes.default?.p50Ms.point).toBeCloseTo(1, 1);
  });

  it('a topic entry is complete when all its work is done', () => {
    const topic = {
      ...chain,
      entry: { kind: 'topic', publish: 'in', complete: 'out' } as const,
      topics: [{ name: 'in', message: {}, delivery: 'broadcast' as const, publishers: [], subscribers: ['a'] }],
    };
    const input = inputOf(topic, profileOf([skeleton(visit('a', 1, [send(visit('b', 0, [], 50))]))]), poisson(0.5));
    for (const predict of both(input)) expect(predict(together).classes.default?.p50Ms.point).toBeCloseTo(51, 0);
  });

  it('model calls stay what they were, and tokens are billed in every layout', () => {
    const tokens = { ...pricing, models: { main: { inputPerMillionUsd: 1, outputPerMillionUsd: 10 } } };
    const input = inputOf(chain, profileOf([skeleton(visit('a', 1, [modelCall(500, 1000, 100)]))]), poisson(1), { pricing: tokens });
    for (const predict of both(input)) {
      expect(predict(together).classes.default?.p50Ms.point).toBeCloseTo(501, 0);
      const allocated = (1 * pricing.vcpuHourUsd + 0.25 * pricing.memoryGbHourUsd) / 3.6;
      expect(predict(together).usdPer1000Requests.point).toBeCloseTo(allocated + 1000 * (1000 + 1000) * 1e-6, 6);
    }
  });

  it('a busy component slows its neighbours down when they share a loop, not on a host with room when apart', () => {
    const workflow = workflowOf({ a: {}, b: {} }, []);
    const skeletons = [skeleton(visit('a', 0.5), 'light'), skeleton(visit('b', 40), 'heavy')];
    const workload = { light: { process: 'poisson', perSecond: 20 }, heavy: { process: 'poisson', perSecond: 15 } } as const;
    const input = inputOf(workflow, profileOf(skeletons), workload, { hostCores: 2 });
    for (const predict of both(input)) {
      const shared = predict(fromPartition(workflow, [['a', 'b']], defaults)).classes.light?.meanMs.point ?? 0;
      const alone = predict(fromPartition(workflow, [['a'], ['b']], defaults)).classes.light?.meanMs.point ?? 0;
      expect(shared).toBeGreaterThan(15);
      expect(alone).toBeLessThan(1);
    }
  });

  it('the same seed gives the same prediction, in any order of asking', () => {
    const { workflow, profile } = randomCase(5, 7);
    const input = inputOf(workflow, profile, poisson(40));
    const first = createSimulatedPredictor(input);
    const second = createSimulatedPredictor(input);
    const one = onePerComponent(workflow, defaults);
    const all = allInOne(workflow, defaults);
    const a = [first(one), first(all)];
    const b = [second(all), second(one)].reverse();
    expect(a).toEqual(b);
    expect(a[0]?.configurationId).toBe(configurationId(one));
  });

  it('simulated and analytic agree within the band where loops are not busy', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 7 }), fc.integer({ min: 1, max: 1000 }), (n, seed) => {
        const { workflow, profile } = randomCase(n, seed, 40);
        const input = inputOf(workflow, profile, poisson(10), { requests: 1200 });
        const [analytic, simulated] = both(input);
        for (const configuration of [onePerComponent(workflow, defaults), allInOne(workflow, defaults)]) {
          const a = analytic?.(configuration).classes.default?.meanMs.point ?? 0;
          const s = simulated?.(configuration).classes.default?.meanMs.point ?? 1;
          expect(Math.abs(Math.log(a / s))).toBeLessThan(0.25);
        }
      }),
      { numRuns: 25 },
    );
  });

  it('half the work is less latency, and only for what is scaled', () => {
    const input = inputOf(chain, profileOf([skeleton(visit('a', 4, [call(visit('b', 0, [], 20)), modelCall(10)]))]), poisson(5));
    const simulator = createSimulator(input);
    const at = (whatIf: Parameters<typeof simulator.run>[1]) => simulator.run(apart, whatIf).prediction.classes.default?.meanMs.point ?? 0;
    const base = at({});
    expect(base - at({ components: { b: 0.5 } })).toBeCloseTo(10, 0);
    expect(base - at({ models: { main: 0.5 } })).toBe(0);
    expect(base - at({ edges: { 'a->b': 0.5 } })).toBeGreaterThan(0.4);
    expect(at({ edges: { 'a->c': 0.5 } })).toBe(base);
  });

  it('replicas relieve a busy unit', () => {
    const workflow = workflowOf({ a: {} }, []);
    const input = inputOf(workflow, profileOf([skeleton(visit('a', 10))]), poisson(90));
    const one = fromPartition(workflow, [['a']], defaults);
    const two = { ...one, units: one.units.map((unit) => ({ ...unit, replicas: 2 })) };
    for (const predict of both(input)) {
      const [alone, pair] = [predict(one), predict(two)].map((prediction) => prediction.classes.default?.meanMs.point ?? 0);
      expect(alone).toBeGreaterThan(2 * (pair ?? 0));
      expect(Object.values(predict(two).utilization)[0]).toBeCloseTo(0.45, 1);
    }
  });
});
