/** What a model pool says of itself at one moment, all replicas together. Null: it does not say. */
export interface PoolSample {
  /** From the start of the block. */
  readonly atMs: number;
  readonly running: number;
  readonly waiting: number;
  /** Share of the KV cache in use, 0 to 1: mean over replicas. */
  readonly kvUse: number | null;
}

export interface GpuSample {
  readonly atMs: number;
  /** Per GPU, in the order of the source. Shares are 0 to 1. */
  readonly gpus: readonly {
    readonly id: string;
    readonly utilization: number | null;
    readonly memoryUsedMb: number | null;
    readonly memoryTotalMb: number | null;
    readonly powerW: number | null;
  }[];
}

/** A histogram of a block: what a cumulative one counted between its ends. Bounds are upper and inclusive. */
export interface LoadHistogram {
  readonly boundsMs: readonly number[];
  /** Not cumulative; one more than bounds, the last is what lies above. */
  readonly counts: readonly number[];
  readonly sumMs: number;
}

/** Load of one model pool over the counted stretch of one block, from the engine's own metrics. */
export interface PoolLoad {
  readonly pool: string;
  /** Logical model. */
  readonly model: string;
  /** Where the numbers come from. `simulated` engines speak vLLM's names too. */
  readonly source: 'vllm' | 'llama-cpp' | 'simulated';
  readonly replicas: number;
  readonly tokensIn: number;
  readonly tokensCached: number | null;
  readonly tokensOut: number;
  readonly preemptions: number | null;
  readonly timeToFirstTokenMs: LoadHistogram | null;
  readonly timePerOutputTokenMs: LoadHistogram | null;
  readonly queueMs: LoadHistogram | null;
  /** From the first scheduling to the first token, and from there to the last; absent where the engine does not tell them apart. */
  readonly prefillMs?: LoadHistogram | null;
  readonly decodeMs?: LoadHistogram | null;
  /** The stretch the counts and histograms cover, from the start of the block. Scrapes bound it, not the load. */
  readonly fromMs?: number;
  readonly toMs?: number;
  readonly samples: readonly PoolSample[];
  /** Empty where nothing reports the GPUs. */
  readonly gpu: readonly GpuSample[];
  /** Scrapes that failed. */
  readonly gaps: number;
}
