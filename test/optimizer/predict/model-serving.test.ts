import { describe, expect, it } from 'vitest';
import { allInOne } from '../../../compiler/contracts/index.ts';
import { poolSetup } from '../../../optimizer/predict/engine-setup.ts';
import { createSimulatedPredictor } from '../../../optimizer/predict/simulated.ts';
import { defaults, inputOf, modelCall, poisson, profileOf, skeleton, visit, workflowOf } from '../synthetic-profile.ts';

const workflow = workflowOf({ a: {} }, []);
/** About what the engine says of a call among the others at four a second. */
const measuredMs = 900;
const profileAt = (ms: number) => profileOf([skeleton(visit('a', 0.1, [modelCall(ms, 4000, 60)]))]);
const serving = (replicas: number, maxNumSeqs = 256) => ({ main: { replicas, options: { maxNumSeqs } } });

function p50(perSecond: number, replicas: number, maxNumSeqs?: number, ms = measuredMs): number {
  const predict = createSimulatedPredictor(
    inputOf(workflow, profileAt(ms), poisson(perSecond), {
      requests: 400,
      engines: {
        reference: { serving: serving(1) },
        setupOf: (_, { replicas: count, options }) => poolSetup({ prefillMsPerToken: 0.05, ...options }, count),
      },
    }),
  );
  return predict(allInOne(workflow, { ...defaults, serving: serving(replicas, maxNumSeqs) })).classes.default?.p50Ms.point ?? 0;
}

describe('model serving in the simulated predictor', () => {
  it('keeps the measured latency under the settings it was measured with', () => {
    expect(p50(4, 1)).toBeCloseTo(measuredMs + 0.1, 5);
  });

  it('a second replica helps a loaded engine, and an idle one hardly', () => {
    expect(p50(4, 2)).toBeLessThan(0.75 * p50(4, 1));
    expect(p50(0.05, 2)).toBeGreaterThan(0.97 * p50(0.05, 1));
  });

  it('a smaller batch makes calls wait', () => {
    // One call alone takes 330 ms, so at three a second a server of one at a time is never idle; with a batch it takes 1.4 s.
    expect(p50(3, 1, 1, 1400)).toBeGreaterThan(1.2 * p50(3, 1, 256, 1400));
  });
});
