/**
 * What an engine does with its time and memory. Durations are milliseconds, sizes are tokens.
 *
 * One step lasts `stepFixedMs + prefillMsPerToken × prompt tokens computed in it + decodeMsPerSequence × sequences
 * that get one more token + contextMsPerToken × tokens those sequences attend to`.
 */
export interface EngineParams {
  /** Every step pays this: reading the weights once, launching kernels, scheduling. */
  readonly stepFixedMs: number;
  readonly prefillMsPerToken: number;
  readonly decodeMsPerSequence: number;
  /** Reading the KV cache of one token of context in a decode step. */
  readonly contextMsPerToken: number;
  /** Most sequences in the running batch. */
  readonly maxNumSeqs: number;
  /** Most tokens computed in one step, decodes and prompt chunks together. At least `maxNumSeqs`. */
  readonly maxBatchedTokens: number;
  /** Tokens of KV cache, in whole blocks. */
  readonly kvTokens: number;
  /** Tokens of prompt prefixes kept for reuse; 0 turns the prefix cache off. */
  readonly prefixCacheTokens: number;
}

/**
 * `generic-small`: a model of about three billion parameters on one data-centre GPU. **Computed from published sizes,
 * not measured on an engine.** Where each number comes from:
 *
 * - `stepFixedMs`: 3.2 GB of 8-bit weights read at 3.35 TB/s (H100 SXM data sheet) is 0.96 ms; one more millisecond
 *   for launching and scheduling is an assumption.
 * - `prefillMsPerToken`: 2 × 3.2e9 FLOP at an assumed 400 TFLOP/s is 0.016 ms.
 * - `decodeMsPerSequence`: sampling and bookkeeping, an assumption.
 * - `contextMsPerToken`: 28 layers × 2 × 8 KV heads × 128 × 2 bytes (Llama 3.2 3B model card) is 114,688 bytes, at
 *   3.35 TB/s 3.4e-5 ms.
 * - `maxNumSeqs`, `maxBatchedTokens`: the defaults of vLLM's `SchedulerConfig` outside large GPUs.
 * - `kvTokens`: 30 GB left for the cache at that size per token; `prefixCacheTokens`: the same memory.
 */
export const genericSmall: EngineParams = {
  stepFixedMs: 2,
  prefillMsPerToken: 0.016,
  decodeMsPerSequence: 0.01,
  contextMsPerToken: 0.000034,
  maxNumSeqs: 256,
  maxBatchedTokens: 2048,
  kvTokens: 262_144,
  prefixCacheTokens: 262_144,
};

/** Throws a RangeError naming the first parameter that cannot work. */
export function checkEngineParams(params: EngineParams): void {
  for (const [name, value] of Object.entries(params) as [keyof EngineParams, number][]) {
    if (!Number.isFinite(value) || value < 0) throw new RangeError(`${name} must be a number of at least 0, not ${value}`);
  }
  for (const name of ['maxNumSeqs', 'maxBatchedTokens', 'kvTokens'] as const) {
    if (!Number.isInteger(params[name]) || params[name] < 1) throw new RangeError(`${name} must be a whole number of at least 1`);
  }
  // Otherwise a step could not give every running sequence its token, and sequences would overtake each other.
  if (params.maxBatchedTokens < params.maxNumSeqs) throw new RangeError('maxBatchedTokens must be at least maxNumSeqs');
  if (params.stepFixedMs + params.decodeMsPerSequence <= 0) throw new RangeError('a step must take time: raise stepFixedMs');
}
