import { describe, expect, it } from 'vitest';
import { allInOne } from '../../../compiler/contracts/index.ts';
import { planArrivals } from '../../../optimizer/predict/arrival-plan.ts';
import { compileProfile } from '../../../optimizer/predict/compiled-profile.ts';
import { createEventCore } from '../../../optimizer/predict/event-core.ts';
import { numericLayout } from '../../../optimizer/predict/layout.ts';
import { createSimulator } from '../../../optimizer/predict/simulated.ts';
import type { Workload } from '../../../optimizer/predict/workload.ts';
import { arrivalTimes } from '../../../profiler/load/arrivals.ts';
import { defaults, inputOf, profileOf, skeleton, visit, workflowOf } from '../synthetic-profile.ts';

const alone = workflowOf({ a: {} }, []);
const profile = profileOf([skeleton(visit('a', 20))]);
const sessions = (thinkMs: readonly number[], perSecond: number): Workload => ({
  default: { process: 'sessions', perSecond, scripts: [{ firstInput: 0, thinkMs }] },
});

describe('the predictor', () => {
  it.each([
    { process: 'gamma' as const, perSecond: 5, cv: 2 },
    {
      process: 'mmpp' as const,
      states: [
        { perSecond: 1, meanMs: 5000 },
        { perSecond: 20, meanMs: 900 },
      ] as const,
    },
    { process: 'poisson' as const, perSecond: 5 },
  ])('draws arrivals of a $process process as the load driver does', (arrivals) => {
    const compiled = compileProfile(profile, alone);
    const plan = planArrivals(compiled, { default: arrivals }, 500, 3);
    const rate = [...plan.timesMs].length / (plan.horizonMs / 1000);
    expect(rate).toBeGreaterThan(2.5);
    expect(arrivalTimes(arrivals, plan.horizonMs, 77)).not.toEqual([...plan.timesMs]);
    const again = planArrivals(compiled, { default: arrivals }, 500, 3);
    expect([...again.timesMs]).toEqual([...plan.timesMs]);
  });

  it('sends the turns of a session one after another, each its think time after the answer', () => {
    const compiled = compileProfile(profile, alone);
    const plan = planArrivals(compiled, sessions([0, 300, 0], 0.02), 60, 5);
    const layout = numericLayout(compiled, allInOne(alone, defaults), () => {
      throw new Error('nothing crosses units');
    });
    const run = createEventCore({ compiled, arrivals: plan, hostCores: 8, ingressCpuMs: 0, seed: 1 })(layout);
    const turns = plan.sessions.reduce((sum, session) => sum + session.skeletons.length, 0);
    expect(run.requests).toBeGreaterThan(turns - 4);
    expect(run.requests).toBeLessThanOrEqual(turns);
    // So few sessions hardly ever meet: turns of one follow each other by its own times.
    const starts = [...run.startMs.slice(0, run.requests)];
    const gaps = starts.map((at, i) => at - (starts[i - 1] ?? Number.NEGATIVE_INFINITY) - (run.latencyMs[i - 1] ?? 0));
    for (const thinkMs of [300, 0]) expect(gaps.filter((gap) => Math.abs(gap - thinkMs) < 1e-6).length).toBeGreaterThan(0.25 * turns);
  });

  it('offers sessions × turns, and lets a slow answer put off the next turn', () => {
    const fast = createSimulator(inputOf(alone, profile, sessions([0, 1000, 1000, 1000], 0.5), { requests: 800 }));
    const configuration = allInOne(alone, defaults);
    const { prediction, requests } = fast.run(configuration);
    expect(requests).toBeGreaterThan(600);
    expect(requests).toBeLessThan(1000);
    expect(prediction.classes.default?.p50Ms.point).toBeCloseTo(20, 0);
    // All turns at once would queue; in sessions at most as many wait as there are people.
    const crowd = inputOf(alone, profile, sessions([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 4), { requests: 800 });
    expect(createSimulator(crowd).run(configuration).prediction.feasible).toBe(true);
  });
});
