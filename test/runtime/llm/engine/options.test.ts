import { describe, expect, it } from 'vitest';
import { estimateProfile } from '../../../../runtime/llm/engine/estimate-profile.ts';
import { findGpu, gpus } from '../../../../runtime/llm/engine/gpus.ts';
import { findModelShape, kvBytesPerToken, modelShapes, parametersOf } from '../../../../runtime/llm/engine/model-shapes.ts';
import { engineOf } from '../../../../runtime/llm/engine/options.ts';
import { genericSmall } from '../../../../runtime/llm/engine/params.ts';
import { simulateArrivals } from '../../../../runtime/llm/engine/simulate.ts';

describe('engine options', () => {
  it('keep the numbers of generic-small', () => {
    const { args, evidence, gpu, fits } = engineOf({});
    expect(args).toMatchObject({
      maxNumSeqs: 256,
      maxNumBatchedTokens: 2048,
      kvBlocks: genericSmall.kvTokens / 16,
      asyncScheduling: false,
    });
    expect({ evidence, gpu, fits }).toEqual({ evidence: 'estimate', gpu: null, fits: true });
    expect(engineOf({ maxBatchedTokens: 512 }).args.maxNumBatchedTokens).toBe(512);
    const [one] = simulateArrivals(engineOf({}), [{ atMs: 0, tokensIn: 100, tokensOut: 2 }]);
    expect(one?.prefillMs).toBeCloseTo(2 + 1.6, 9);
  });

  it('estimate what no profile covers, and say so', () => {
    const setup = engineOf({
      profile: 'estimate',
      gpu: 'h100',
      model: 'meta-llama/Llama-3.1-8B',
      engineReplicas: 3,
      tensorParallelSize: 2,
    });
    expect(setup).toMatchObject({
      evidence: 'estimate',
      gpu: 'h100',
      gpusPerReplica: 2,
      replicas: 3,
      fits: true,
      router: 'least-outstanding',
    });
    expect(setup.args.asyncScheduling).toBe(true);
    // 80 GB × 0.9 less half of 16 GB of weights and what is computed with: about 66 GB, at 64 KB a token and GPU.
    expect(setup.args.kvBlocks * 16).toBeGreaterThan(900_000);
    expect(setup.args.kvBlocks * 16).toBeLessThan(1_100_000);
    expect(engineOf({ profile: 'estimate', gpu: 'l4', model: 'Qwen3-32B' }).fits).toMatchObject({ hasGb: 24 * 0.9 });
  });

  it('refuse what cannot be', () => {
    expect(() => engineOf({ profile: 'no-such' })).toThrow(/there is no engine profile no-such/);
    expect(() => engineOf({ profile: 'estimate' })).toThrow(/needs gpu and model/);
    expect(() => engineOf({ router: 'magic' })).toThrow(/router must be one of/);
    expect(() => engineOf({ engineReplicas: 0 })).toThrow(/engineReplicas must be a whole number/);
    expect(() => engineOf({ prefixCaching: 'yes' })).toThrow(/prefixCaching must be true or false/);
    expect(() => engineOf({ profile: 'estimate', gpu: 'abacus', model: 'Qwen3-32B' })).toThrow(/there is no GPU abacus/);
  });
});

describe('tables of models and GPUs', () => {
  it('give each model the parameters its name says', () => {
    for (const name of modelShapes.keys()) {
      // A mixture of experts tells what is active beside what there is: the larger number is all of it.
      const billions = Math.max(0, ...[...name.matchAll(/(\d+(?:\.\d+)?)B/g)].map(([, number]) => Number(number)));
      const shape = modelShapes.get(name);
      if (billions === 0 || !shape || name.includes('8x7B')) continue;
      const total = parametersOf(shape).total / 1e9;
      expect(total / billions, name).toBeGreaterThan(0.85);
      expect(total / billions, name).toBeLessThan(1.3);
    }
  });

  it('find names as they are written elsewhere', () => {
    expect(findModelShape('llama-3.1-8b-instruct')?.name).toBe('meta-llama/Llama-3.1-8B');
    expect(findModelShape('nobody/knows')).toBeUndefined();
    expect(findGpu('NVIDIA GeForce RTX 4090')).toBe('rtx4090');
    expect(findGpu('NVIDIA RTX PRO 6000 Blackwell Server Edition')).toBe('rtxpro6000');
    expect(findGpu('NVIDIA H100 80GB HBM3')).toBe('h100');
    expect(findGpu('abacus')).toBeUndefined();
  });

  it('make a roofline: decode by bandwidth, prompts by arithmetic', () => {
    const steps = (gpu: string) =>
      estimateProfile({ gpu, model: 'meta-llama/Llama-3.1-8B', tensorParallelSize: 1 }).stepsByTensorParallel['1'];
    for (const [name, { bandwidthGbPerS, bf16Tflops }] of Object.entries(gpus)) {
      const dense = steps(name)?.dense;
      // 14 GB of weights of layers; 2 × 7e9 operations a token.
      expect(dense?.ms[0], name).toBeGreaterThan(14e9 / (bandwidthGbPerS * 1e6));
      const at2048 = dense?.ms[dense.at.indexOf(2048)] ?? 0;
      expect(at2048, name).toBeGreaterThan((14e9 * 2048) / (bf16Tflops * 1e9));
    }
    expect(kvBytesPerToken(modelShapes.get('meta-llama/Llama-3.1-8B') as never, 1)).toBe(131_072);
  });
});
