import { findGpu, gpus } from './gpus.ts';
import type { Curve, HardwareProfile, StepCoefficients } from './hardware-profile.ts';
import { findModelShape, kvBytesPerToken, parametersOf } from './model-shapes.ts';

export interface EstimateArgs {
  readonly gpu: string;
  readonly model: string;
  readonly tensorParallelSize: number;
  /** Ranks that share the experts; 1 without expert parallelism. */
  readonly expertRanks?: number;
  readonly bytesPerWeight?: number;
}

/**
 * What share of the data sheet's rate is reached, between what LLMServingSim's operator timings show on an RTX 4090
 * (Llama-3.1-8B) and on an RTX PRO 6000 (half of Qwen3-32B), in that order.
 */
const reached = {
  /** Reading weights in a step of one token: 0.93, 0.87. */
  memory: 0.9,
  /** Matrix products of 2048 tokens: 1.0, 0.79. */
  compute: 0.85,
  /** Reading the KV cache of 64 sequences: 0.80, 0.84. */
  attentionMemory: 0.8,
  /** Attention of a prompt of 2048 tokens: 0.62, 0.39. */
  attentionCompute: 0.5,
};

/** Small kernels of a layer at one token, norms, rotation, activation, attention's own start: 19 and 20 µs there. */
const layerOverheadMs = 0.02;
/** One message between GPUs of a machine, NVLink or PCIe: order of magnitude. */
const linkLatencyMs = 0.01;

/**
 * Step times from a roofline: each part of a step takes as long as the larger of its memory traffic and its arithmetic, at
 * the shares of the data sheet's rates that engines reach. No measurement of this model on this GPU is behind it.
 *
 * @throws RangeError for a GPU or model that is in no table
 */
export function estimateProfile({
  gpu,
  model,
  tensorParallelSize: tp,
  expertRanks = 1,
  bytesPerWeight = 2,
}: EstimateArgs): HardwareProfile {
  const gpuName = findGpu(gpu);
  const hardware = gpuName === undefined ? undefined : gpus[gpuName];
  if (!gpuName || !hardware) throw new RangeError(`there is no GPU ${gpu}; known: ${Object.keys(gpus).join(', ')}`);
  const found = findModelShape(model);
  if (!found) throw new RangeError(`the shape of model ${model} is not known`);
  const { name, shape } = found;
  const bytesPerMs = hardware.bandwidthGbPerS * 1e6;
  const flopPerMs = (bytesPerWeight === 1 ? hardware.fp8Tflops : hardware.bf16Tflops) * 1e9;
  const { layerDense, feedForward, table } = parametersOf(shape);

  const productMs = (parameters: number, tokens: number) =>
    Math.max((parameters * bytesPerWeight) / (bytesPerMs * reached.memory), (2 * parameters * tokens) / (flopPerMs * reached.compute));
  /** Two sums over all ranks per layer, each of a hidden state per token. */
  const linkMs = (tokens: number) =>
    tp === 1 ? 0 : 2 * (linkLatencyMs + (2 * ((tp - 1) / tp) * tokens * shape.hidden * 2) / (hardware.linkGbPerS * 1e6));
  const layerMs = (tokens: number) => productMs(layerDense / tp, tokens) + layerOverheadMs + linkMs(tokens);
  const expertsMs = (tokens: number) => {
    const chosen = shape.experts * (1 - (1 - shape.expertsPerToken / shape.experts) ** tokens);
    const local = Math.max(1, chosen / expertRanks);
    return productMs((local * feedForward) / tp, (tokens * shape.expertsPerToken) / (local * expertRanks));
  };
  const curve = (of: (x: number) => number): Curve => ({ at: points, ms: points.map(of) });
  const kvBytes = kvBytesPerToken(shape, tp);
  const coefficients: StepCoefficients = {
    hostMs: 0,
    hostMsPerSequence: 0,
    dense: curve((tokens) => shape.layers * layerMs(tokens)),
    perSequence: curve((sequences) => productMs(table / tp, sequences)),
    decodeAttention: { fixedMs: 0, msPerSequence: 0, msPerContextToken: kvBytes / (bytesPerMs * reached.attentionMemory) },
    prefillAttention: {
      fixedMs: 0,
      msPerToken: 0,
      msPerPair: (4 * shape.layers * (shape.heads / tp) * shape.headDim) / (hardware.bf16Tflops * 1e9 * reached.attentionCompute),
    },
    ...(shape.experts > 0 ? { experts: curve((tokens) => shape.layers * expertsMs(tokens)) } : {}),
  };
  return {
    schemaVersion: 1,
    name: `estimate:${gpuName}:${name}`,
    gpu: gpuName,
    model: name,
    evidence: 'estimate',
    source: `roofline over data sheet (${hardware.source}) and model shape; not measured`,
    stepsByTensorParallel: { [String(tp)]: coefficients },
  };
}

/** Where the curves bend is between these; a line in between is off by a few per cent at most. */
const points = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192, 16384];
