import type { FreedRun, KeyedBlock } from './kv-blocks.ts';

/** One request inside the engine. */
export interface Sequence {
  readonly id: string;
  /** Order of submission. */
  readonly order: number;
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** Set by the caller; undefined: the engine's own prefix cache is asked. */
  readonly fixedCached: number | undefined;
  readonly prefix: readonly string[];
  readonly atMs: number;
  /**
   * `arriving` not yet looked at; `waiting` for admission, also after preemption; `prefill` in the batch with prompt left;
   * `joining` its last chunk is scheduled; `decode` gets a token each step; `ended` its last token is scheduled; `gone`.
   */
  state: 'arriving' | 'waiting' | 'prefill' | 'joining' | 'decode' | 'ended' | 'gone';
  cancelled: boolean;
  /** When the scheduler first looked at it: the end of the step in which it arrived. */
  seenMs: number;
  scheduledMs: number;
  firstTokenMs: number;
  tokensCached: number;
  preemptions: number;
  /** Tokens to compute before it decodes: the prompt, after a preemption also what it had produced. */
  length: number;
  /** Of those, scheduled so far. */
  computed: number;
  /** Tokens produced before its present stay in the batch. */
  produced: number;
  /** Number of the step that holds its last prompt chunk; step `lastPrompt + i` produces token `produced + 1 + i`. */
  lastPrompt: number;
  /** Number of the step that produces its last token. */
  lastStep: number;
  /** Blocks it holds alone. */
  blocks: number;
  /** Named blocks it holds, in the order of the prompt. */
  keyed: KeyedBlock[];
  /** Where its blocks were left at its last preemption. */
  freed: FreedRun | undefined;
  /** Tokens that were computed by then. */
  freedTokens: number;
}

/** Tokens in the cache after step `step`, of a sequence that decodes in it. */
export const contextAt = (sequence: Sequence, step: number) => sequence.length + step - sequence.lastPrompt;

/** Tokens produced once step `step` is over, of a sequence in the batch. */
export function producedAfter(sequence: Sequence, step: number): number {
  if (sequence.state === 'prefill' || sequence.state === 'waiting' || sequence.state === 'arriving') return sequence.produced;
  return Math.max(sequence.produced, Math.min(sequence.tokensOut, sequence.produced + 1 + step - sequence.lastPrompt));
}
