import { describe, expect, it } from 'vitest';
import { findGpu, gpus } from '../../../../runtime/llm/engine/gpus.ts';
import type { Curve } from '../../../../runtime/llm/engine/hardware-profile.ts';
import { findModelShape } from '../../../../runtime/llm/engine/model-shapes.ts';
import { engineOf } from '../../../../runtime/llm/engine/options.ts';
import { shippedProfiles } from '../../../../runtime/llm/engine/profiles/index.ts';
import { coefficientStepTime } from '../../../../runtime/llm/engine/step-times.ts';

const rising = ({ at, ms }: Curve) =>
  at.every((x, i) => i === 0 || x > (at[i - 1] ?? 0)) && ms.every((y, i) => y > 0 && (i === 0 || y >= (ms[i - 1] ?? 0)));

describe.each(shippedProfiles.map((profile) => [profile.name, profile] as const))('%s', (name, profile) => {
  it('names a GPU and a model that are known, and where it comes from', () => {
    expect(Object.keys(gpus)).toContain(findGpu(profile.gpu));
    expect(findModelShape(profile.model)).toBeDefined();
    expect(profile.source).toMatch(profile.evidence === 'measured' ? /licence/ : /not measured/);
    expect(profile.evidence === 'measured').toBe(profile.fit !== undefined);
  });

  it('is an engine that fits its GPUs and says what stands behind it, for every degree', () => {
    for (const [degree, steps] of Object.entries(profile.stepsByTensorParallel)) {
      const setup = engineOf({ profile: name, tensorParallelSize: Number(degree) });
      expect(setup.fits).toBe(true);
      expect(setup.evidence).toBe(profile.evidence);
      expect(setup.args.kvBlocks).toBeGreaterThan(500);
      expect(rising(steps.dense)).toBe(true);
      expect(rising(steps.perSequence)).toBe(true);
    }
  });
});

describe('shipped profiles', () => {
  it('have names of their own, and both kinds are there', () => {
    expect(new Set(shippedProfiles.map(({ name }) => name)).size).toBe(shippedProfiles.length);
    expect(shippedProfiles.filter(({ evidence }) => evidence === 'measured').map(({ name }) => name)).toEqual([
      'rtx4090-llama-3.1-8b',
      'rtxpro6000-qwen3-32b',
    ]);
  });

  // Over PCIe the sums of a long prompt can cost more than the second GPU saves.
  it('take less time for a long prompt with more GPUs on NVLink', () => {
    const tokens = 2048;
    const none = { decodes: 0, decodeContextTokens: 0, decodeContextMax: 0, prefillContextTokens: 0, samples: 1 };
    const prompt = { prefillChunks: 1, prefillTokens: tokens, prefillChunkMax: tokens, prefillPairs: (tokens * (tokens + 1)) / 2 };
    for (const { gpu, stepsByTensorParallel } of shippedProfiles) {
      if ((gpus[gpu]?.linkGbPerS ?? 0) < 100) continue;
      const stepMs = Object.values(stepsByTensorParallel).map((steps) => coefficientStepTime(steps).stepMs({ ...none, ...prompt }));
      expect([...stepMs].sort((a, b) => b - a)).toEqual(stepMs);
    }
  });
});
