/**
 * What one engine step computes on one data-parallel rank, as the scheduler put it together. Sizes are tokens. The
 * engine reuses the object: read it, do not keep it.
 */
export interface StepBatch {
  /** Sequences that get one more token. */
  decodes: number;
  /** Tokens of KV cache those attend to, summed and the longest. */
  decodeContextTokens: number;
  decodeContextMax: number;
  /** Chunks of prompts in the step: how many, their tokens, and the tokens of KV cache before each, summed. */
  prefillChunks: number;
  prefillTokens: number;
  prefillContextTokens: number;
  /** Σ over chunks of tokens × (context before + (tokens + 1) / 2): query-key pairs under a causal mask. */
  prefillPairs: number;
  /** Tokens of the largest chunk. */
  prefillChunkMax: number;
  /** Sequences whose logits are computed: decodes, and prompts that end in this step. */
  samples: number;
}

/** How long a step takes on given hardware: operator timings, a fitted profile, or a roofline. */
export interface StepTime {
  /** Milliseconds from the start of the step to the start of the next one that depends on it. */
  stepMs(batch: StepBatch): number;
  /**
   * Where a step of nothing but `decodes` decodes is a line in the tokens of context they attend to: that line. The
   * engine then computes many such steps at once; `stepMs` must say the same.
   */
  decodeLine?(decodes: number): { readonly stepMs: number; readonly msPerContextToken: number };
  /** A step of ranks that step together, one batch each, some of them perhaps empty; absent: that of the slowest. */
  groupStepMs?(batches: readonly StepBatch[]): number;
}

/** Settings of one engine replica, under vLLM's names. */
export interface EngineArgs {
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
  /** Tokens per block of KV cache. */
  readonly blockSize: number;
  /** Blocks per data-parallel rank: from the engine's own log where there is one. */
  readonly kvBlocks: number;
  readonly prefixCaching: boolean;
  /** Blocks of a prefix nobody used for this long are given up; absent: only when their room is needed. */
  readonly prefixLifetimeMs?: number;
  readonly tensorParallelSize: number;
  /** Ranks with a scheduler and a KV cache of their own each; a request goes to the rank with the fewest waiting and running. */
  readonly dataParallelSize: number;
  /** Experts are spread over all ranks, which then step together. */
  readonly expertParallel: boolean;
  /**
   * The next step is planned while one is computed, as vLLM does since 0.14: the time between steps is hidden, and
   * whoever arrives during a step is in the second one after it. Absent: no.
   */
  readonly asyncScheduling?: boolean;
}

/** How requests are spread over the replicas of a pool. */
export const routers = ['round-robin', 'least-outstanding', 'prefix-affinity'] as const;
export type Router = (typeof routers)[number];
