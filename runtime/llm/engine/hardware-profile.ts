/** A piecewise linear function through `(at[i], ms[i])`, `at` rising; its last piece goes on beyond the end. */
export interface Curve {
  readonly at: readonly number[];
  readonly ms: readonly number[];
}

/**
 * Step time of one model on one kind of GPU, per tensor-parallel degree, as a small file of coefficients. Everything is
 * milliseconds for all layers together; token and sequence counts are those of `StepBatch`.
 */
export interface StepCoefficients {
  /** What every step costs beside its operators: scheduling, launching, handing tokens out; and its part per sequence. */
  readonly hostMs: number;
  readonly hostMsPerSequence: number;
  /** Everything that depends on the number of tokens computed: projections, norms, activations, communication of ranks. */
  readonly dense: Curve;
  /** Logits and sampling, by sequences sampled. */
  readonly perSequence: Curve;
  readonly decodeAttention: { readonly fixedMs: number; readonly msPerSequence: number; readonly msPerContextToken: number };
  readonly prefillAttention: {
    readonly fixedMs: number;
    readonly msPerToken: number;
    readonly msPerPair: number;
    /** What a token of context of sequences that decode in the same step costs beyond its cost in a step of decodes alone. */
    readonly msPerDecodeContextToken?: number;
  };
  /** Mixture of experts: time of all layers' experts by tokens, at the number of experts those tokens activate. */
  readonly experts?: Curve;
}

export interface HardwareProfile {
  readonly schemaVersion: 1;
  /** File name and the word a scenario writes, e.g. `rtx4090-llama-3.1-8b`. */
  readonly name: string;
  /** Name in the table of GPUs; `cpu` or anything else for hardware that is not in it. */
  readonly gpu: string;
  /** Name in the table of model shapes. */
  readonly model: string;
  /** `estimate`: no measurement behind it. Said wherever a number that rests on it shows. */
  readonly evidence: 'measured' | 'estimate';
  /** Where the coefficients come from, for people. */
  readonly source: string;
  readonly stepsByTensorParallel: { readonly [degree: string]: StepCoefficients };
  /** KV cache of one rank where the engine logged it, per tensor-parallel degree; else it is computed from memory. */
  readonly kv?: { readonly [degree: string]: { readonly blocks: number; readonly blockSize: number } };
  /** Most engine time the fit left unexplained, as a share, and what the data could not determine. */
  readonly fit?: { readonly medianErrorShare: number; readonly p90ErrorShare: number; readonly undetermined: readonly string[] };
  /** What a probing run found of the endpoint the profile was fitted on, beside its step times. */
  readonly endpoint?: {
    /** Time of a request outside the engine: connection, HTTP, tokenizer. A client waits for it once, before the first token. */
    readonly overheadMs: number;
    /** Settings as engine arguments; absent where no limit showed. */
    readonly maxNumSeqs?: number;
    readonly maxNumBatchedTokens?: number;
  };
}
