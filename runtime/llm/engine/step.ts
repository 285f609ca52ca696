import type { Sequence } from './sequence.ts';
import type { StepBatch } from './step-time.ts';

/** One step of one rank, as scheduled. Reused: valid until the step is over. */
export interface Step {
  number: number;
  readonly batch: StepBatch;
  /** Sequences whose last chunk of prompt it holds: each gets a token at its end. */
  readonly completes: Sequence[];
  /** Sequences that get their last token at its end. */
  readonly ends: Sequence[];
  /** Nothing but decodes, and nothing that changes with time alone was left undone: the next one may be its equal. */
  steady: boolean;
}

export function createStep(): Step {
  return { number: 0, batch: emptyBatch(), completes: [], ends: [], steady: false };
}

/** Makes `step` the empty step `number`. */
export function clearStep(step: Step, number: number): void {
  step.number = number;
  Object.assign(step.batch, cleared);
  step.completes.length = 0;
  step.ends.length = 0;
}

/** Adds `tokens` more of the prompt of a sequence of which `computed` were there before. */
export function addPromptChunk(batch: StepBatch, tokens: number, computed: number): void {
  batch.prefillChunks++;
  batch.prefillTokens += tokens;
  batch.prefillChunkMax = Math.max(batch.prefillChunkMax, tokens);
  batch.prefillContextTokens += computed;
  batch.prefillPairs += tokens * (computed + (tokens + 1) / 2);
}

export const tokensOf = ({ decodes, prefillTokens }: StepBatch) => decodes + prefillTokens;

const emptyBatch = (): StepBatch => ({
  decodes: 0,
  decodeContextTokens: 0,
  decodeContextMax: 0,
  prefillChunks: 0,
  prefillTokens: 0,
  prefillContextTokens: 0,
  prefillPairs: 0,
  prefillChunkMax: 0,
  samples: 0,
});

const cleared = emptyBatch();
