import { describe, expect, it } from 'vitest';
import { allInOne } from '../../../compiler/contracts/index.ts';
import { createSimulatedPredictor } from '../../../optimizer/predict/simulated.ts';
import { engineOf } from '../../../runtime/llm/engine/options.ts';
import { defaults, inputOf, modelCall, poisson, profileOf, skeleton, visit, workflowOf } from '../synthetic-profile.ts';

const workflow = workflowOf({ a: {} }, []);
const profile = profileOf([skeleton(visit('a', 0.1, [modelCall(300, 4000, 60)]))]);
const serving = (replicas: number, maxNumSeqs = 256) => ({ main: { replicas, options: { maxNumSeqs } } });
const slow = { prefillMsPerToken: 0.05 };

function p50(perSecond: number, replicas: number, maxNumSeqs?: number): number {
  const predict = createSimulatedPredictor(
    inputOf(workflow, profile, poisson(perSecond), {
      requests: 400,
      engines: {
        reference: serving(1),
        engineOf: (_, { options }) => engineOf({ ...slow, maxNumSeqs: Number(options.maxNumSeqs) }),
      },
    }),
  );
  return predict(allInOne(workflow, { ...defaults, serving: serving(replicas, maxNumSeqs) })).classes.default?.p50Ms.point ?? 0;
}

describe('model serving in the simulated predictor', () => {
  it('keeps the measured latency under the settings it was measured with', () => {
    expect(p50(4, 1)).toBeCloseTo(300.1, 5);
  });

  it('a second replica helps a loaded engine, and an idle one hardly', () => {
    expect(p50(4, 2)).toBeLessThan(0.75 * p50(4, 1));
    expect(p50(0.05, 2)).toBeGreaterThan(0.97 * p50(0.05, 1));
  });

  it('a smaller batch makes calls wait', () => {
    expect(p50(3, 1, 1)).toBeGreaterThan(1.2 * p50(3, 1));
  });
});
