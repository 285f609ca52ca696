import { kvBytesPerToken, type ModelShape, parametersOf } from './model-shapes.ts';

export interface MemoryArgs {
  readonly shape: ModelShape;
  readonly memoryGb: number;
  /** Share of a GPU's memory that the engine may use. */
  readonly utilization: number;
  readonly tensorParallelSize: number;
  /** Ranks that share the experts of a layer among them; 1: each holds all. */
  readonly expertRanks: number;
  readonly blockSize: number;
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
  readonly bytesPerWeight?: number;
  readonly bytesPerKvValue?: number;
}

export interface MemoryUse {
  readonly weightBytes: number;
  readonly activationBytes: number;
  /** What is left for the cache; below zero when it does not fit. */
  readonly kvBytes: number;
  readonly kvBlocks: number;
}

const gb = 2 ** 30;

/** CUDA context, libraries' workspaces and captured graphs: about half a gigabyte in vLLM's own start-up log. */
const contextBytes = 0.5e9;

/**
 * Memory of one GPU as vLLM divides it at start: what it may use, less weights, less the peak of a profiling run with
 * `maxNumBatchedTokens` tokens and `maxNumSeqs` sequences sampled, is KV cache.
 *
 * The peak of that run is the feed-forward block's two halves and a few hidden states per token, and the sampler's
 * copies of the logits per sequence: one in 16 bits, two in 32 and one of 64-bit indices.
 */
export function memoryUse(args: MemoryArgs): MemoryUse {
  const { shape, tensorParallelSize: tp, bytesPerWeight = 2, bytesPerKvValue = 2 } = args;
  const { layerDense, layerExperts, table } = parametersOf(shape);
  const tables = table * (shape.tiedEmbeddings ? 1 : 2);
  const parameters = (shape.layers * layerDense + tables) / tp + (shape.layers * layerExperts) / (tp * args.expertRanks);
  const weightBytes = parameters * bytesPerWeight;
  const perToken = 2 * ((2 * shape.intermediate * Math.max(1, shape.expertsPerToken)) / tp + 4 * shape.hidden);
  const activationBytes = args.maxNumBatchedTokens * perToken + args.maxNumSeqs * shape.vocab * 18 + contextBytes;
  const kvBytes = args.memoryGb * gb * args.utilization - weightBytes - activationBytes;
  const blockBytes = kvBytesPerToken(shape, tp, bytesPerKvValue) * args.blockSize;
  return { weightBytes, activationBytes, kvBytes, kvBlocks: Math.max(0, Math.floor(kvBytes / blockBytes)) };
}
