import type { HardwareProfile } from '../hardware-profile.ts';

/** Coefficients derived from measurements; the measurements themselves are not here. */
export const rtx4090Llama318b: HardwareProfile = {
  schemaVersion: 1,
  name: 'rtx4090-llama-3.1-8b',
  gpu: 'rtx4090',
  model: 'meta-llama/Llama-3.1-8B',
  evidence: 'measured',
  source:
    'LLMServingSim 2.0 (casys-kaist, MIT licence): operator timings of vLLM 0.19 on an NVIDIA GeForce RTX 4090, bfloat16, compressed by `dmas-opt llm fit`',
  stepsByTensorParallel: {
    '1': {
      hostMs: 0,
      hostMsPerSequence: 0,
      dense: {
        at: [1, 32, 64, 160, 208, 256, 272, 384, 400, 512, 528, 640, 656, 768, 784, 896, 912, 1024, 1040, 1280, 1296, 1344, 1968, 2048],
        ms: [
          15.26, 16.93, 17.38, 20.08, 23.69, 23.9, 34.42, 35.88, 41.71, 46.43, 56.29, 60.63, 64.35, 69.13, 77.68, 80.89, 88.16, 91.15,
          101.4, 114.7, 123.4, 123.4, 179.1, 181.5,
        ],
      },
      perSequence: {
        at: [1, 32, 80, 192, 208, 256],
        ms: [1.118, 1.232, 1.276, 1.549, 1.885, 1.979],
      },
      decodeAttention: {
        fixedMs: 0.4048,
        msPerSequence: 0.005389,
        msPerContextToken: 0.0001482,
      },
      prefillAttention: {
        fixedMs: 1.244,
        msPerToken: 0,
        msPerPair: 0.000004245,
        msPerDecodeContextToken: 0.0002019,
      },
    },
  },
  fit: {
    medianErrorShare: 0.03226,
    p90ErrorShare: 0.1236,
    undetermined: [
      'work of the host between steps: operator timings do not hold it, and none was given',
      'decoding sequences of very unequal length in one step: attention was measured with equal ones',
    ],
  },
  kv: {
    '1': {
      blocks: 2588,
      blockSize: 16,
    },
  },
};
