import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { allInOne, type Block, onePerComponent } from '../../../compiler/contracts/index.ts';
import { calibrate, fitLogFactor, uncalibrated } from '../../../optimizer/predict/calibrate.ts';
import { createSimulatedPredictor } from '../../../optimizer/predict/simulated.ts';
import { blockOf } from '../synthetic-block.ts';
import { defaults, inputOf, poisson, randomCase } from '../synthetic-profile.ts';

describe('fitLogFactor', () => {
  it('knows nothing before the first measurement', () => {
    expect(fitLogFactor([])).toEqual(uncalibrated.latency);
  });

  it('moves most of the way with one measurement, and stays wide', () => {
    const { bias, spread } = fitLogFactor([1.3]);
    expect(bias).toBeGreaterThan(1.2);
    expect(bias).toBeLessThan(1.3);
    expect(spread).toBeGreaterThan(0.08);
  });

  it('narrows when measurements agree and widens when they do not', () => {
    const one = fitLogFactor([1.2]).spread;
    const agree = fitLogFactor([1.2, 1.21, 1.19, 1.2]).spread;
    const differ = fitLogFactor([0.8, 1.6, 1.1, 1.3]).spread;
    expect(agree).toBeLessThan(one);
    expect(differ).toBeGreaterThan(one);
    expect(fitLogFactor([1.2, 1.21, 1.19, 1.2]).bias).toBeCloseTo(1.2, 2);
  });

  it('has a shrunk bias on the right side and a positive spread, whatever is measured', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.2, max: 5, noNaN: true }), { minLength: 1, maxLength: 12 }), (ratios) => {
        const { bias, spread } = fitLogFactor(ratios);
        const mean = ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length;
        expect(Math.abs(Math.log(bias))).toBeLessThanOrEqual(Math.abs(mean) + 1e-12);
        expect(Math.log(bias) * mean).toBeGreaterThanOrEqual(0);
        expect(spread).toBeGreaterThan(0);
      }),
    );
  });
});

describe('calibrate', () => {
  const { workflow, profile } = randomCase(4, 5);
  const input = inputOf(workflow, profile, poisson(10), { requests: 800 });
  const predict = createSimulatedPredictor(input);
  const one = onePerComponent(workflow, defaults);
  const raw = predict(one).classes.default;
  if (!raw) throw new Error('no prediction');
  const measured = (factor: number): Block =>
    blockOf({
      configuration: one,
      p50Ms: raw.p50Ms.point * factor,
      p95Ms: raw.p95Ms.point * factor,
      meanMs: raw.meanMs.point * factor,
      usdPer1000: predict(one).usdPer1000Requests.point + 0.5,
      cpuMsPerRequest: predict(one).cpuMsPerRequest.point * 2,
    });

  it('recentres and rewidens predictions of layouts not measured', () => {
    const calibration = calibrate(predict, [{ configuration: one, block: measured(1.5) }]);
    const after = createSimulatedPredictor({ ...input, calibration })(allInOne(workflow, defaults));
    const before = predict(allInOne(workflow, defaults));
    const ratio = (after.classes.default?.p50Ms.point ?? 0) / (before.classes.default?.p50Ms.point ?? 1);
    expect(ratio).toBeGreaterThan(1.3);
    expect(ratio).toBeLessThanOrEqual(1.5);
    expect(after.usdPer1000Requests.point - before.usdPer1000Requests.point).toBeCloseTo(0.5, 9);
    expect(after.cpuMsPerRequest.point / before.cpuMsPerRequest.point).toBeGreaterThan(1.6);
    const measuredAgain = createSimulatedPredictor({ ...input, calibration })(one).classes.default?.p50Ms;
    expect(measuredAgain?.low ?? 0).toBeLessThan(raw.p50Ms.point * 1.5);
    expect(measuredAgain?.high ?? 0).toBeGreaterThan(raw.p50Ms.point * 1.5);
  });

  it('without measurements is the identity', () => {
    expect(calibrate(predict, [])).toEqual(uncalibrated);
  });

  it('covers the truth about as often as it says when model errors are as assumed', () => {
    // Shared error of 20 %, own errors of 8 %: the next layout must fall in the interval in about 95 % of cases.
    let inside = 0;
    let state = 12345;
    const uniform = () => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state + 0.5) / 4294967296;
    };
    const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    const rounds = 2000;
    for (let round = 0; round < rounds; round++) {
      const shared = 0.2 * normal();
      const ratio = () => Math.exp(shared + 0.08 * normal());
      const { bias, spread } = fitLogFactor([ratio(), ratio(), ratio()]);
      if (Math.abs(Math.log(ratio() / bias)) <= 1.96 * spread) inside++;
    }
    expect(inside / rounds).toBeGreaterThan(0.92);
    expect(inside / rounds).toBeLessThan(0.99);
  });
});
