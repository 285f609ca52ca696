/** What a decoder's cost depends on, named as in a model's `config.json` on Hugging Face. */
export interface ModelShape {
  /** Other names the same shape goes by. */
  readonly aliases: readonly string[];
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Of the dense feed-forward block; with experts, of one expert. */
  readonly intermediate: number;
  /** Experts per layer and those each token goes to; 0 for a dense model. */
  readonly experts: number;
  readonly expertsPerToken: number;
  readonly vocab: number;
  readonly tiedEmbeddings: boolean;
}

type Row = readonly [
  name: string,
  layers: number,
  hidden: number,
  heads: number,
  kvHeads: number,
  headDim: number,
  intermediate: number,
  experts: number,
  expertsPerToken: number,
  vocab: number,
  tied: boolean,
  ...aliases: string[],
];

/** Source of every row: `config.json` of the repository of that name on huggingface.co. */
const rows: readonly Row[] = [
  ['meta-llama/Llama-3.2-1B', 16, 2048, 32, 8, 64, 8192, 0, 0, 128256, true, 'meta-llama/Llama-3.2-1B-Instruct'],
  ['meta-llama/Llama-3.2-3B', 28, 3072, 24, 8, 128, 8192, 0, 0, 128256, true, 'meta-llama/Llama-3.2-3B-Instruct'],
  [
    'meta-llama/Llama-3.1-8B',
    ...([32, 4096, 32, 8, 128, 14336, 0, 0, 128256, false] as const),
    'meta-llama/Llama-3.1-8B-Instruct',
    'meta-llama/Meta-Llama-3.1-8B',
    'meta-llama/Meta-Llama-3.1-8B-Instruct',
    'meta-llama/Meta-Llama-3-8B',
    'meta-llama/Meta-Llama-3-8B-Instruct',
  ],
  [
    'meta-llama/Llama-3.1-70B',
    ...([80, 8192, 64, 8, 128, 28672, 0, 0, 128256, false] as const),
    'meta-llama/Llama-3.1-70B-Instruct',
    'meta-llama/Llama-3.3-70B-Instruct',
    'meta-llama/Meta-Llama-3-70B',
  ],
  ['mistralai/Mistral-7B-v0.1', 32, 4096, 32, 8, 128, 14336, 0, 0, 32000, false, 'mistralai/Mistral-7B-Instruct-v0.2'],
  ['mistralai/Mixtral-8x7B-v0.1', 32, 4096, 32, 8, 128, 14336, 8, 2, 32000, false, 'mistralai/Mixtral-8x7B-Instruct-v0.1'],
  ['microsoft/Phi-3.5-MoE-instruct', 32, 4096, 32, 8, 128, 6400, 16, 2, 32064, false],
  ['allenai/OLMoE-1B-7B-0924', 16, 2048, 16, 16, 128, 1024, 64, 8, 50304, false, 'allenai/OLMoE-1B-7B-0924-Instruct'],
  ['microsoft/Phi-mini-MoE-instruct', 32, 4096, 32, 8, 128, 960, 16, 2, 32064, false],
  ['Qwen/Qwen2.5-7B', 28, 3584, 28, 4, 128, 18944, 0, 0, 152064, false, 'Qwen/Qwen2.5-7B-Instruct'],
  ['Qwen/Qwen2.5-14B', 48, 5120, 40, 8, 128, 13824, 0, 0, 152064, false, 'Qwen/Qwen2.5-14B-Instruct'],
  ['Qwen/Qwen2.5-32B', 64, 5120, 40, 8, 128, 27648, 0, 0, 152064, false, 'Qwen/Qwen2.5-32B-Instruct', 'Qwen/Qwen2.5-Coder-32B-Instruct'],
  ['Qwen/Qwen2.5-72B', 80, 8192, 64, 8, 128, 29568, 0, 0, 152064, false, 'Qwen/Qwen2.5-72B-Instruct'],
  ['Qwen/Qwen3-0.6B', 28, 1024, 16, 8, 128, 3072, 0, 0, 151936, true],
  ['Qwen/Qwen3-1.7B', 28, 2048, 16, 8, 128, 6144, 0, 0, 151936, true],
  ['Qwen/Qwen3-4B', 36, 2560, 32, 8, 128, 9728, 0, 0, 151936, true, 'Qwen/Qwen3-4B-Instruct-2507'],
  ['Qwen/Qwen3-8B', 36, 4096, 32, 8, 128, 12288, 0, 0, 151936, false],
  ['Qwen/Qwen3-14B', 40, 5120, 40, 8, 128, 17408, 0, 0, 151936, false],
  ['Qwen/Qwen3-32B', 64, 5120, 64, 8, 128, 25600, 0, 0, 151936, false],
  [
    'Qwen/Qwen3-30B-A3B',
    ...([48, 2048, 32, 4, 128, 768, 128, 8, 151936, false] as const),
    'Qwen/Qwen3-30B-A3B-Instruct-2507',
    'Qwen/Qwen3-30B-A3B-Thinking-2507',
    'Qwen/Qwen3-Coder-30B-A3B-Instruct',
  ],
  ['Qwen/Qwen3-235B-A22B', 94, 4096, 64, 4, 128, 1536, 128, 8, 151936, false, 'Qwen/Qwen3-235B-A22B-Instruct-2507'],
];

/** By the name of the model's repository. */
export const modelShapes: ReadonlyMap<string, ModelShape> = new Map(
  rows.map(([name, layers, hidden, heads, kvHeads, headDim, intermediate, experts, expertsPerToken, vocab, tiedEmbeddings, ...aliases]) => [
    name,
    { aliases, layers, hidden, heads, kvHeads, headDim, intermediate, experts, expertsPerToken, vocab, tiedEmbeddings },
  ]),
);

/** By repository name or alias, the owner left out or not, letter case ignored. */
export function findModelShape(name: string): { readonly name: string; readonly shape: ModelShape } | undefined {
  const wanted = name.toLowerCase();
  for (const [known, shape] of modelShapes) {
    for (const each of [known, ...shape.aliases]) {
      const lower = each.toLowerCase();
      if (lower === wanted || lower.slice(lower.indexOf('/') + 1) === wanted) return { name: known, shape };
    }
  }
  return undefined;
}

/** Parameters outside the experts, embeddings and output head apart: of one layer, and of each of the two tables. */
export function parametersOf(shape: ModelShape) {
  const { hidden, heads, kvHeads, headDim, intermediate, experts, vocab } = shape;
  const attention = hidden * headDim * (heads + 2 * kvHeads) + heads * headDim * hidden;
  const feedForward = 3 * hidden * intermediate;
  const layerDense = attention + (experts > 0 ? hidden * experts : feedForward);
  const layerExperts = experts * feedForward;
  const tables = hidden * vocab * (shape.tiedEmbeddings ? 1 : 2);
  return {
    attention,
    feedForward,
    layerDense,
    layerExperts,
    table: hidden * vocab,
    total: shape.layers * (layerDense + layerExperts) + tables,
  };
}

/** Bytes of KV cache of one token on one of `tensorParallelSize` GPUs; heads that cannot be split further are copied. */
export function kvBytesPerToken(shape: ModelShape, tensorParallelSize: number, bytesPerValue = 2): number {
  return 2 * shape.layers * Math.ceil(shape.kvHeads / tensorParallelSize) * shape.headDim * bytesPerValue;
}
