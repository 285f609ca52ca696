import type { HardwareProfile } from '../hardware-profile.ts';

/** Coefficients derived from measurements; the measurements themselves are not here. */
export const rtxpro6000Qwen332b: HardwareProfile = {
  schemaVersion: 1,
  name: 'rtxpro6000-qwen3-32b',
  gpu: 'rtxpro6000',
  model: 'Qwen/Qwen3-32B',
  evidence: 'measured',
  source:
    'LLMServingSim 2.0 (casys-kaist, MIT licence): operator timings of vLLM 0.19 on an NVIDIA RTX PRO 6000 Blackwell Server Edition, bfloat16, compressed by `dmas-opt llm fit`; sums over two ranks computed for a link of 16 GB/s and 20 µs',
  stepsByTensorParallel: {
    '1': {
      hostMs: 0,
      hostMsPerSequence: 0,
      dense: {
        at: [1, 2, 208, 256, 272, 384, 400, 512, 528, 640, 656, 768, 784, 896, 912, 1024, 1040, 1152, 1168, 1216, 1632, 1648, 2016, 2048],
        ms: [
          42.86, 44.07, 60.8, 62.33, 73.19, 76.51, 93.15, 95.84, 118, 120.2, 134, 135.5, 154.2, 156.2, 175.9, 177.7, 193.7, 194.4, 219.4,
          219.4, 273.7, 273.7, 347.2, 347.2,
        ],
      },
      perSequence: {
        at: [1, 2, 60, 80, 112, 128, 256],
        ms: [1.061, 1.061, 1.138, 1.22, 1.22, 1.314, 1.501],
      },
      decodeAttention: {
        fixedMs: 0.8297,
        msPerSequence: 0.007364,
        msPerContextToken: 0.0001871,
      },
      prefillAttention: {
        fixedMs: 2.997,
        msPerToken: 0,
        msPerPair: 0.000008372,
        msPerDecodeContextToken: 0.0003743,
      },
    },
    '2': {
      hostMs: 0,
      hostMsPerSequence: 0,
      dense: {
        at: [1, 224, 256, 272, 384, 400, 512, 528, 640, 656, 768, 784, 896, 912, 1152, 1168, 1360, 2048],
        ms: [28.28, 55.13, 57.91, 64.63, 74.87, 85.78, 96.13, 106.5, 117.2, 126.1, 136.6, 145.6, 156.2, 167.6, 194.8, 214.9, 234.3, 345],
      },
      perSequence: {
        at: [1, 3, 60, 64, 80, 128, 144, 256],
        ms: [0.5411, 0.5411, 0.5895, 0.6277, 0.6593, 0.6593, 0.772, 0.9457],
      },
      decodeAttention: {
        fixedMs: 0.8431,
        msPerSequence: 0.005233,
        msPerContextToken: 0.00009215,
      },
      prefillAttention: {
        fixedMs: 3.121,
        msPerToken: 0,
        msPerPair: 0.000004876,
        msPerDecodeContextToken: 0.0001896,
      },
    },
  },
  fit: {
    medianErrorShare: 0.03724,
    p90ErrorShare: 0.1043,
    undetermined: [
      'work of the host between steps: operator timings do not hold it, and none was given',
      'decoding sequences of very unequal length in one step: attention was measured with equal ones',
      'sums over ranks: computed from the link, not measured',
    ],
  },
};
