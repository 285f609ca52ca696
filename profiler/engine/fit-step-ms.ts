import type { StepCoefficients } from '../../runtime/llm/engine/hardware-profile.ts';
import type { StepBatch } from '../../runtime/llm/engine/step-time.ts';
import { curveAt } from './fit-curve.ts';

export function stepMsOf(c: StepCoefficients): (batch: StepBatch) => number {
  return (batch) =>
    c.hostMs +
    c.hostMsPerSequence * batch.samples +
    curveAt(c.dense, batch.decodes + batch.prefillTokens) +
    curveAt(c.perSequence, batch.samples) +
    (batch.decodes > 0
      ? c.decodeAttention.fixedMs +
        c.decodeAttention.msPerSequence * batch.decodes +
        c.decodeAttention.msPerContextToken * batch.decodeContextTokens
      : 0) +
    (batch.prefillChunks > 0
      ? c.prefillAttention.fixedMs + c.prefillAttention.msPerToken * batch.prefillTokens + c.prefillAttention.msPerPair * batch.prefillPairs
      : 0);
}
