import { describe, expect, it } from 'vitest';
import { readOperatorTables } from '../../../profiler/engine/operator-timings.ts';
import type { ModelShape } from '../../../runtime/llm/engine/model-shapes.ts';
import type { StepBatch } from '../../../runtime/llm/engine/step-time.ts';
import { operatorStepTime, paddingTo } from '../../../runtime/llm/engine/step-times-operators.ts';

const file = (name: string, lines: readonly string[]) => ({ path: `${name}.csv`, text: `${lines.join('\n')}\n` });

/** Attention as it would be if it were 1 µs a chunk, 0.01 a pair, 2 µs a decode and 0.001 a token of its context. */
function attention(): string[] {
  const rows = ['prefill_chunk,kv_prefill,n_decode,kv_decode,time_us'];
  for (const pc of [0, 16, 64, 256])
    for (const kp of pc === 0 ? [0] : [0, 64, 512])
      for (const n of [0, 1, 4, 16])
        for (const kd of n === 0 ? [0] : [16, 1024]) {
          if (pc === 0 && n === 0) continue;
          rows.push([pc, kp, n, kd, (pc > 0 ? 1 : 0) + 0.01 * pc * (kp + pc / 2) + 2 * n + 0.001 * n * kd].join(','));
        }
  return rows;
}

const files = {
  attention: file('attention', attention()),
  dense: file('dense', [
    'layer,tokens,time_us',
    ...[1, 8, 256].flatMap((tokens) => [
      `embedding,${tokens},5`,
      `final_layernorm,${tokens},1`,
      `layernorm,${tokens},3`,
      `qkv_proj,${tokens},${10 + tokens}`,
    ]),
  ]),
  perSequence: file('per_sequence', ['layer,sequences,time_us', 'lm_head,1,100', 'lm_head,16,115', 'sampler,1,10', 'sampler,16,25']),
};

const shape: ModelShape = {
  aliases: [],
  layers: 10,
  hidden: 1000,
  heads: 8,
  kvHeads: 8,
  headDim: 64,
  intermediate: 4000,
  experts: 0,
  expertsPerToken: 0,
  vocab: 1000,
  tiedEmbeddings: false,
};
const common = {
  shape,
  link: { bandwidthGbPerS: 1, latencyNs: 1000 },
  captureSizes: [1, 2, 4, 8],
  expertRanks: 1,
  expertParallel: false,
  hostMs: 0,
};
const batch = (over: Partial<StepBatch>): StepBatch => ({
  decodes: 0,
  decodeContextTokens: 0,
  decodeContextMax: 0,
  prefillChunks: 0,
  prefillTokens: 0,
  prefillContextTokens: 0,
  prefillPairs: 0,
  prefillChunkMax: 0,
  samples: 0,
  ...over,
});

describe('operator timings', () => {
  const { stepMs } = operatorStepTime({ tables: readOperatorTables(1, files), ...common });

  it('add up: layers, attention, ends, sampling, tokens padded to a captured size', () => {
    // 3 decodes are computed as 4: 10 × (2 × 3 + 10 + 4) + (5 + 1) + attention 10 × 3 × (2 + 0.001 × 100) + head and sampler at 3.
    const expected = 10 * (6 + 14) + 6 + 10 * 3 * 2.1 + (110 + 2 * 2);
    expect(stepMs(batch({ decodes: 3, decodeContextTokens: 300, decodeContextMax: 100, samples: 3 }))).toBeCloseTo(expected / 1000, 9);
  });

  it('follow pairs, not tokens, where a step holds several chunks', () => {
    const attentionUs = (over: Partial<StepBatch>) => (stepMs(batch(over)) * 1000 - 10 * (16 + (over.prefillTokens ?? 0)) - 6) / 10;
    const one = { prefillChunks: 1, prefillTokens: 128, prefillPairs: 128 * (64 + 64), prefillChunkMax: 128 };
    expect(attentionUs(one)).toBeCloseTo(1 + 0.01 * 128 * 128, 6);
    // Two chunks of 64 that begin their prompts have a quarter of the pairs of 128 tokens after 64 others.
    const two = { prefillChunks: 2, prefillTokens: 128, prefillPairs: 2 * 64 * 32, prefillChunkMax: 64 };
    expect(attentionUs(two)).toBeCloseTo(1 + 0.01 * 2 * 64 * 32, 6);
    expect(attentionUs({ ...two, decodes: 2, decodeContextTokens: 200, decodeContextMax: 100 }) - 20 / 10).toBeCloseTo(
      1 + 40.96 + 2 * 2.1,
      6,
    );
  });

  it('look up what decodes add at the largest chunk, not at all tokens of the prompt', () => {
    // As a kernel does that launches blocks of the largest chunk for every sequence: 0.05 µs a decode and token of the chunk more.
    const rows = attention().map((row, index) => {
      if (index === 0) return row;
      const [pc = 0, kp = 0, n = 0, kd = 0, us = 0] = row.split(',').map(Number);
      return [pc, kp, n, kd, us + 0.05 * pc * n].join(',');
    });
    const launched = operatorStepTime({ tables: readOperatorTables(1, { ...files, attention: file('attention', rows) }), ...common });
    // Two chunks of 64 that begin their prompts, beside two sequences that decode.
    const two = { prefillChunks: 2, prefillTokens: 128, prefillPairs: 2 * 64 * 32, prefillChunkMax: 64 };
    const beside = batch({ ...two, decodes: 2, decodeContextTokens: 200, decodeContextMax: 100 });
    expect(((launched.stepMs(beside) - stepMs(beside)) * 1000) / 10).toBeCloseTo(0.05 * 64 * 2, 6);
    const one = { prefillChunks: 1, prefillTokens: 128, prefillPairs: 128 * 64, prefillChunkMax: 128 };
    const besideOne = batch({ ...one, decodes: 2, decodeContextTokens: 200, decodeContextMax: 100 });
    expect(((launched.stepMs(besideOne) - stepMs(besideOne)) * 1000) / 10).toBeCloseTo(0.05 * 128 * 2, 6);
  });

  it('sum over tensor-parallel ranks by the link, and bring the logits together', () => {
    const tp2 = operatorStepTime({ tables: readOperatorTables(2, files), ...common });
    const one = batch({ prefillChunks: 1, prefillTokens: 256, prefillPairs: 256 * 128, prefillChunkMax: 256, samples: 1 });
    // 512,000 bytes: a ring takes 2 × (1 + 256) µs, reading all of it 768 µs. Logits: 1 µs + 1,000 bytes.
    expect((tp2.stepMs(one) - stepMs(one)) * 1000).toBeCloseTo(10 * 2 * 514 + 1 + 1, 6);
  });

  it('time experts by what ranks bring together and the distinct experts that chooses', () => {
    const experts = file('moe', [
      'tokens,activated_experts,time_us',
      ...[1, 100].flatMap((t) => [1, 8].map((e) => `${t},${e},${t + 10 * e}`)),
    ]);
    const tables = readOperatorTables(1, { ...files, experts });
    const moe = { ...shape, experts: 8, expertsPerToken: 2 };
    const one = batch({ decodes: 1, decodeContextTokens: 100, decodeContextMax: 100, samples: 1 });
    const single = operatorStepTime({ tables, ...common, shape: moe });
    expect((single.stepMs(one) - stepMs(one)) * 1000).toBeCloseTo(10 * (1 + 10 * 2), 6);
    const two = operatorStepTime({ tables, ...common, shape: moe, expertRanks: 2, expertParallel: true });
    // Two tokens choose 8 × (1 − 0.75²) = 3.5 experts, half of them here, with half the work; hidden states go there and back.
    const group = two.groupStepMs?.([one, batch({})]) ?? 0;
    expect((group - stepMs(one)) * 1000).toBeCloseTo(10 * (1 + 10 * 1.75 + 2 * (1 + 2)), 6);
  });

  it('pad up to the next captured size and not beyond the last', () => {
    expect([1, 3, 4, 5, 8, 9].map(paddingTo([1, 2, 4, 8]))).toEqual([1, 4, 4, 8, 8, 9]);
    expect(paddingTo([])(7)).toBe(7);
  });

  it('say where a table is wrong', () => {
    const broken = (text: string) => () => readOperatorTables(1, { ...files, dense: { path: 'p/dense.csv', text } });
    expect(broken('layer,time_us\nqkv,1')).toThrow(/p\/dense.csv:1: no column tokens/);
    expect(broken('layer,tokens,time_us\nqkv,1,2\nqkv,2,x')).toThrow(/p\/dense.csv:3: time_us is "x"/);
    expect(broken('layer,tokens,time_us\n')).toThrow(/no rows/);
    expect(broken('layer,tokens,time_us\na,1,2\nb,2,2')).toThrow(/no size at which every operator was measured/);
  });
});
