import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitByCounting } from '../../../profiler/engine/fit-counts.ts';
import { fitFromLog } from '../../../profiler/engine/fit-log.ts';
import { simulateGroups } from '../../../profiler/engine/fit-simulate.ts';
import { coefficientStepTime } from '../../../runtime/llm/engine/step-times.ts';
import { coefficientsOf, type KnownEngine, knownArgs, logOf } from './logs.ts';

const plain: KnownEngine = { fixedMs: 12, perPromptTokenMs: 0.06, perSequenceMs: 0.1, perContextTokenMs: 0.0003 };
const batch = (decodes: number, context: number, prompt: number) => ({
  decodes,
  decodeContextTokens: context,
  decodeContextMax: context / Math.max(1, decodes),
  prefillChunks: prompt > 0 ? 1 : 0,
  prefillTokens: prompt,
  prefillChunkMax: prompt,
  prefillContextTokens: 0,
  prefillPairs: (prompt * (prompt + 1)) / 2,
  samples: decodes + (prompt > 0 ? 1 : 0),
});

describe('step times from a request log alone', () => {
  it('are those of the engine that wrote it, whichever engine that was', () => {
    fc.assert(
      fc.property(
        fc.record({
          fixedMs: fc.double({ min: 2, max: 40, noNaN: true }),
          perPromptTokenMs: fc.double({ min: 0.01, max: 0.2, noNaN: true }),
          perSequenceMs: fc.double({ min: 0.02, max: 0.5, noNaN: true }),
          perContextTokenMs: fc.double({ min: 0.00005, max: 0.0008, noNaN: true }),
        }),
        fc.double({ min: 0.2, max: 0.7, noNaN: true }),
        fc.nat(1000),
        (engine, load, seed) => {
          // A share of what about 16 sequences in a step give.
          const stepMs = engine.fixedMs + 16 * (engine.perSequenceMs + 600 * engine.perContextTokenMs);
          const perSecond = (load * 16_000) / (stepMs * 60 + 16 * 500 * engine.perPromptTokenMs);
          const log = logOf(engine, knownArgs, { requests: 120, perSecond, tokensIn: [50, 950], tokensOut: [5, 115], seed });
          const { coefficients } = fitByCounting(log, knownArgs) ?? { coefficients: coefficientsOf(plain) };
          const [fitted, real] = [coefficientStepTime(coefficients), coefficientStepTime(coefficientsOf(engine))];
          for (const seen of [batch(1, 500, 0), batch(4, 2000, 0), batch(2, 1000, 400), batch(0, 0, 900)])
            expect(fitted.stepMs(seen) / real.stepMs(seen)).toBeCloseTo(1, 1);
        },
      ),
      { numRuns: 15, seed: 4 },
    );
  });

  it('are to within two per cent where sequences crowd and are preempted', () => {
    const tight = { ...knownArgs, kvBlocks: 700, asyncScheduling: true };
    const log = logOf(plain, tight, { requests: 120, perSecond: 20, tokensIn: [100, 900], tokensOut: [20, 200], seed: 3 });
    const fit = fitFromLog(log, tight);
    const fresh = logOf(plain, tight, { requests: 120, perSecond: 6, tokensIn: [100, 900], tokensOut: [20, 200], seed: 8 });
    const simulated = simulateGroups([fresh.map((request) => ({ ...request, atMs: request.queuedMs }))], tight, fit.coefficients);
    const sum = (of: (index: number) => number) => fresh.reduce((total, _, index) => total + of(index), 0);
    const predicted = sum((index) => (simulated[index]?.firstMs ?? 0) + (simulated[index]?.decodeMs ?? 0));
    const real = sum((index) => (fresh[index]?.lastTokenMs ?? 0) - (fresh[index]?.queuedMs ?? 0));
    expect(Math.abs(predicted / real - 1)).toBeLessThan(0.02);
    expect(fit.medianErrorShare).toBeLessThan(0.02);
  });

  it('need no more than the first half of a log for the second', () => {
    const log = logOf(plain, knownArgs, { requests: 200, perSecond: 4, tokensIn: [50, 950], tokensOut: [5, 115], seed: 5 });
    const half = log.slice(0, 100);
    const fit = fitFromLog(half, knownArgs, { untilMs: Math.max(...half.map(({ scheduledMs }) => scheduledMs)) });
    const simulated = simulateGroups([log.map((request) => ({ ...request, atMs: request.queuedMs }))], knownArgs, fit.coefficients);
    const second = log.map((_, index) => index).slice(100);
    const sum = (of: (index: number) => number) => second.reduce((total, index) => total + of(index), 0);
    const predicted = sum((index) => (simulated[index]?.firstMs ?? 0) + (simulated[index]?.decodeMs ?? 0));
    const real = sum((index) => (log[index]?.lastTokenMs ?? 0) - (log[index]?.queuedMs ?? 0));
    expect(Math.abs(predicted / real - 1)).toBeLessThan(0.02);
  });

  it('are the same from the same log', () => {
    const log = logOf(plain, knownArgs, { requests: 40, perSecond: 4, tokensIn: [50, 950], tokensOut: [5, 60], seed: 6 });
    expect(fitFromLog(log, knownArgs)).toEqual(fitFromLog(log, knownArgs));
  });
});

describe('what a log cannot tell', () => {
  const said = (shape: Parameters<typeof logOf>[2]) => fitFromLog(logOf(plain, knownArgs, shape), knownArgs).undetermined.join('\n');

  it('is named: prefill over length where every prompt has the same', () => {
    const same = said({ requests: 40, perSecond: 1, tokensIn: [400, 400], tokensOut: [5, 60], seed: 1 });
    expect(same).toContain('every prompt has 400 tokens');
    const various = said({ requests: 40, perSecond: 1, tokensIn: [40, 900], tokensOut: [5, 60], seed: 1 });
    expect(various).not.toContain('every prompt has');
  });

  it('is named: the cost of a second sequence where none came together', () => {
    const alone = said({ requests: 20, perSecond: 0.01, tokensIn: [40, 900], tokensOut: [5, 60], seed: 1 });
    expect(alone).toContain('no two requests ran at the same time');
    const together = said({ requests: 40, perSecond: 10, tokensIn: [40, 900], tokensOut: [5, 60], seed: 1 });
    expect(together).not.toContain('no two requests ran at the same time');
  });

  it('is named: context where prompts and replies are tiny', () => {
    const tiny = said({ requests: 40, perSecond: 1, tokensIn: [1, 4], tokensOut: [2, 6], seed: 1 });
    expect(tiny).toMatch(/per token of context.*(nothing in the data|within a factor)/);
  });

  it('is an error where there is next to nothing', () => {
    const [one] = logOf(plain, knownArgs, { requests: 1, perSecond: 1, tokensIn: [4, 4], tokensOut: [2, 2], seed: 1 });
    expect(() => fitFromLog(one ? [one] : [], knownArgs)).toThrow('at least two requests');
  });
});
