import { describe, expect, it } from 'vitest';
import { createRandom, fromPartition } from '../../../compiler/contracts/index.ts';
import { createAnalyticPredictor } from '../../../optimizer/predict/analytic.ts';
import { waitMs } from '../../../optimizer/predict/queueing.ts';
import { createSimulatedPredictor, createSimulator } from '../../../optimizer/predict/simulated.ts';
import { call, defaults, exponentials, inputOf, poisson, prices, profileOf, skeleton, visit, workflowOf } from '../synthetic-profile.ts';

const single = workflowOf({ a: {} }, []);
const oneUnit = fromPartition(single, [['a']], defaults);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const relative = (value: number, truth: number) => Math.abs(value / truth - 1);

/** One visit per skeleton with exactly exponential quantiles, so that the sample carries no luck of its own. */
const exponentialWork = (n: number, meanMs: number) =>
  Array.from({ length: n }, (_, i) => skeleton(visit('a', -Math.log(1 - (i + 0.5) / n) * meanMs)));

describe('queueing formulas', () => {
  it('are exact for M/M/1 and M/D/1', () => {
    for (const rho of [0.1, 0.5, 0.9]) {
      expect(waitMs(rho, 1, 2, 1)).toBeCloseTo((rho / (1 - rho)) * 2, 10);
      expect(waitMs(rho, 1, 2, 0.5)).toBeCloseTo(((rho / (1 - rho)) * 2) / 2, 10);
    }
  });

  it('give responses within 3 % of Erlang C for several servers', () => {
    for (const servers of [2, 4, 8]) {
      for (const rho of [0.6, 0.8, 0.9]) expect(relative(1 + waitMs(rho, servers, 1, 1), 1 + erlangWait(servers, rho))).toBeLessThan(0.03);
    }
  });
});

describe('simulated and analytic predictors against queueing theory', () => {
  it('M/M/1: mean and p95 of the response', () => {
    const workMs = 5;
    for (const rho of [0.5, 0.7]) {
      const input = inputOf(single, profileOf(exponentialWork(500, workMs)), poisson((rho * 1000) / workMs), { requests: 60_000 });
      const truth = workMs / (1 - rho);
      const simulated = createSimulatedPredictor(input)(oneUnit).classes.default;
      expect(relative(simulated?.meanMs.point ?? 0, truth)).toBeLessThan(0.08);
      expect(relative(simulated?.p95Ms.point ?? 0, truth * Math.log(20))).toBeLessThan(0.1);
      const analytic = createAnalyticPredictor(input)(oneUnit).classes.default;
      expect(relative(analytic?.meanMs.point ?? 0, truth)).toBeLessThan(0.08);
      expect(relative(analytic?.p95Ms.point ?? 0, truth * Math.log(20))).toBeLessThan(0.3);
    }
  });

  it('M/D/1: mean of the response', () => {
    const workMs = 4;
    for (const rho of [0.3, 0.6, 0.8]) {
      const input = inputOf(single, profileOf([skeleton(visit('a', workMs))]), poisson((rho * 1000) / workMs), { requests: 60_000 });
      const truth = workMs + (rho * workMs) / (2 * (1 - rho));
      expect(relative(createSimulatedPredictor(input)(oneUnit).classes.default?.meanMs.point ?? 0, truth)).toBeLessThan(0.05);
      expect(relative(createAnalyticPredictor(input)(oneUnit).classes.default?.meanMs.point ?? 0, truth)).toBeLessThan(0.01);
    }
  });

  it('tandem of two M/M/1 queues: the response is the sum (Burke)', () => {
    const workflow = workflowOf({ a: {}, b: {} }, [['a', 'b']]);
    const random = createRandom(3);
    const first = exponentials(random, 4000, 3);
    const second = exponentials(random, 4000, 4);
    const work = first.map((cpu, i) => skeleton(visit('a', cpu, [call(visit('b', second[i] as number))])));
    const free = prices.map((price) => ({ ...price, latencyFixedMs: 0, latencyPerKbMs: 0, cpuFixedMs: 0, cpuPerKbMs: 0 }));
    const perSecond = 150;
    const input = inputOf(workflow, profileOf(work), poisson(perSecond), { prices: free, requests: 60_000 });
    const split = fromPartition(workflow, [['a'], ['b']], defaults);
    const [a, b] = [mean(first), mean(second)];
    const truth = a / (1 - (perSecond * a) / 1000) + b / (1 - (perSecond * b) / 1000);
    expect(relative(createSimulatedPredictor(input)(split).classes.default?.meanMs.point ?? 0, truth)).toBeLessThan(0.08);
    expect(relative(createAnalyticPredictor(input)(split).classes.default?.meanMs.point ?? 0, truth)).toBeLessThan(0.12);
  });

  it('a slot held during nested work is the bottleneck, not the event loop', () => {
    const limited = workflowOf({ a: { concurrency: 1 } }, []);
    const heldMs = 10;
    const input = inputOf(limited, profileOf([skeleton(visit('a', 0, [], heldMs))]), poisson(60), { requests: 40_000 });
    // M/D/1 with the slot as server.
    const truth = heldMs + (0.6 * heldMs) / (2 * 0.4);
    const simulation = createSimulator(input).run(oneUnit);
    expect(relative(simulation.prediction.classes.default?.meanMs.point ?? 0, truth)).toBeLessThan(0.06);
    expect(simulation.slotWaitMsPerRequest.a ?? 0).toBeGreaterThan(6);
    expect(Math.max(...Object.values(simulation.prediction.utilization))).toBe(0);
  });

  it('processor sharing: more busy loops than cores slow all down, as in M/M/1-PS', () => {
    // Very many replicas on one core: each job has a loop of its own, the core is shared.
    const workMs = 5;
    const rho = 0.6;
    const input = inputOf(single, profileOf(exponentialWork(500, workMs)), poisson((rho * 1000) / workMs), {
      requests: 60_000,
      hostCores: 1,
    });
    const many = { ...oneUnit, units: oneUnit.units.map((unit) => ({ ...unit, replicas: 200 })) };
    expect(relative(createSimulatedPredictor(input)(many).classes.default?.meanMs.point ?? 0, workMs / (1 - rho))).toBeLessThan(0.08);
  });

  it('calls load beyond capacity infeasible, below it feasible', () => {
    const at = (perSecond: number) => {
      const input = inputOf(single, profileOf([skeleton(visit('a', 10))]), poisson(perSecond));
      return [createAnalyticPredictor(input)(oneUnit).feasible, createSimulatedPredictor(input)(oneUnit).feasible];
    };
    expect(at(90)).toEqual([true, true]);
    expect(at(110)).toEqual([false, false]);
  });

  it('closed loop: throughput obeys the response time law', () => {
    const closed = { default: { process: 'closed', clients: 4, thinkMs: 36 } } as const;
    const input = inputOf(single, profileOf([skeleton(visit('a', 4))]), closed, { requests: 4000 });
    const prediction = createSimulatedPredictor(input)(oneUnit);
    const responseMs = prediction.classes.default?.meanMs.point ?? 0;
    const utilization = Object.values(prediction.utilization)[0] ?? 0;
    expect(relative(utilization, (4 * 4) / (36 + responseMs))).toBeLessThan(0.03);
    const analytic = createAnalyticPredictor(input)(oneUnit);
    expect(relative(Object.values(analytic.utilization)[0] ?? 0, utilization)).toBeLessThan(0.1);
  });
});

function erlangWait(servers: number, rho: number): number {
  const load = servers * rho;
  let term = 1;
  let sum = 1;
  for (let k = 1; k < servers; k++) {
    term *= load / k;
    sum += term;
  }
  const last = (term * load) / servers / (1 - rho);
  return last / (sum + last) / (servers * (1 - rho));
}
