import { describe, expect, it } from 'vitest';
import { fitFromTimings } from '../../../profiler/engine/fit-timings.ts';
import { readOperatorTables } from '../../../profiler/engine/operator-timings.ts';
import { findModelShape, type ModelShape } from '../../../runtime/llm/engine/model-shapes.ts';
import { coefficientStepTime } from '../../../runtime/llm/engine/step-times.ts';
import { timingsOf } from './timings.ts';

const shape = findModelShape('Llama-3.2-1B')?.shape as ModelShape;
const table = (path: string, text: string) => ({ path, text });
const read = (files: ReturnType<typeof timingsOf>) =>
  readOperatorTables(1, {
    attention: table('tp1-attention.csv', files.attention),
    dense: table('tp1-dense.csv', files.dense),
    perSequence: table('tp1-per_sequence.csv', files.perSequence),
  });
const link = { bandwidthGbPerS: 16, latencyNs: 10_000 };

describe('coefficients from operator timings', () => {
  const fit = fitFromTimings({ tables: read(timingsOf()), shape, link, captureSizes: [], hostMs: 0.4, kvTokens: 2 ** 18 });
  const { stepMs } = coefficientStepTime(fit.coefficients);

  it('give the time of a step that the operators give, to within the error said', () => {
    // Per layer and token 2 µs over 100 µs, twice 3 µs for norms; 40 µs once; 900 µs + 2 µs per sequence; attention 5 + 0.02 n kv + 1e-4 pairs µs.
    const layers = (us: number) => (shape.layers * us) / 1000;
    const decode = layers(100 + 2 * 16 + 6 + 5 + 0.02 * 16 * 1024) + 0.04 + 0.932 + 0.4;
    const batch = {
      decodes: 16,
      decodeContextTokens: 16 * 1024,
      decodeContextMax: 1024,
      prefillChunks: 0,
      prefillTokens: 0,
      prefillChunkMax: 0,
      prefillContextTokens: 0,
      prefillPairs: 0,
      samples: 16,
    };
    expect(stepMs(batch) / decode).toBeCloseTo(1, 1);
    const prefill = layers(100 + 2 * 512 + 6 + 5 + 1e-4 * ((512 * 513) / 2)) + 0.04 + 0.902 + 0.4;
    const chunk = { prefillChunks: 1, prefillTokens: 512, prefillChunkMax: 512, prefillPairs: (512 * 513) / 2, samples: 1 };
    const none = { decodes: 0, decodeContextTokens: 0, decodeContextMax: 0, prefillContextTokens: 0 };
    expect(stepMs({ ...none, ...chunk }) / prefill).toBeCloseTo(1, 1);
    expect(fit.medianErrorShare).toBeLessThan(0.02);
    expect(fit.p90ErrorShare).toBeLessThan(0.05);
  });

  it('are few', () => {
    expect(fit.coefficients.dense.at.length).toBeLessThanOrEqual(6);
    expect(fit.coefficients.perSequence.at.length).toBeLessThanOrEqual(6);
  });

  it('say that work of the host is not in them where none was given', () => {
    expect(fit.undetermined.join('\n')).not.toContain('work of the host');
    const without = fitFromTimings({ tables: read(timingsOf()), shape, link, captureSizes: [], hostMs: 0, kvTokens: 2 ** 18 });
    expect(without.undetermined.join('\n')).toContain('work of the host');
  });

  it('leave out batches that no memory holds', () => {
    const small = fitFromTimings({ tables: read(timingsOf()), shape, link, captureSizes: [], hostMs: 0, kvTokens: 2000 });
    expect(small.compared).toBeLessThan(fit.compared);
    expect(() => fitFromTimings({ tables: read(timingsOf()), shape, link, captureSizes: [], hostMs: 0, kvTokens: 1 })).toThrow(
      'no batch of at most',
    );
  });
});
