import type { Curve, HardwareProfile, StepCoefficients } from './hardware-profile.ts';
import type { StepBatch, StepTime } from './step-time.ts';

/** A step lasts the sum of these, milliseconds times the counts of `StepBatch`. */
export interface LinearStep {
  readonly stepFixedMs: number;
  readonly prefillMsPerToken: number;
  readonly decodeMsPerSequence: number;
  /** By tokens of context that decoding sequences attend to. */
  readonly contextMsPerToken: number;
}

/** Throws a RangeError for a step that would take no time. */
export function linearStepTime({ stepFixedMs, prefillMsPerToken, decodeMsPerSequence, contextMsPerToken }: LinearStep): StepTime {
  if (!(stepFixedMs + decodeMsPerSequence > 0)) throw new RangeError('a step must take time: raise stepFixedMs');
  return {
    stepMs: ({ decodes, prefillTokens, decodeContextTokens }) =>
      stepFixedMs + decodeMsPerSequence * decodes + prefillMsPerToken * prefillTokens + contextMsPerToken * decodeContextTokens,
    decodeLine: (decodes) => ({ stepMs: stepFixedMs + decodeMsPerSequence * decodes, msPerContextToken: contextMsPerToken }),
  };
}

/** Value of a piecewise linear function; its first and last pieces go on beyond the ends. */
export function valueAt({ at, ms }: Curve, x: number): number {
  if (at.length === 1) return ms[0] as number;
  let low = 0;
  let high = at.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((at[middle] as number) <= x) low = middle;
    else high = middle;
  }
  const [x0, x1, y0, y1] = [at[low] as number, at[high] as number, ms[low] as number, ms[high] as number];
  return y0 + ((x - x0) / (x1 - x0)) * (y1 - y0);
}

/** A step of given coefficients: the sum of its parts, each by the counts it depends on. */
export function coefficientStepTime(coefficients: StepCoefficients): StepTime {
  const { hostMs, hostMsPerSequence, dense, perSequence, decodeAttention, prefillAttention, experts } = coefficients;
  const byTokens = (tokens: number) => Math.max(0, valueAt(dense, tokens)) + (experts ? Math.max(0, valueAt(experts, tokens)) : 0);
  const bySequences = (sequences: number) => (sequences > 0 ? Math.max(0, valueAt(perSequence, sequences)) : 0);
  const decodeMs = (decodes: number) => (decodes > 0 ? decodeAttention.fixedMs + decodeAttention.msPerSequence * decodes : 0);
  const stepMs = (batch: StepBatch) => {
    const { decodes, prefillTokens } = batch;
    const prefillMs =
      prefillTokens > 0
        ? prefillAttention.fixedMs +
          prefillAttention.msPerToken * prefillTokens +
          prefillAttention.msPerPair * batch.prefillPairs +
          (prefillAttention.msPerDecodeContextToken ?? 0) * batch.decodeContextTokens
        : 0;
    return (
      hostMs +
      hostMsPerSequence * (decodes + batch.prefillChunks) +
      byTokens(decodes + prefillTokens) +
      bySequences(batch.samples) +
      decodeMs(decodes) +
      decodeAttention.msPerContextToken * batch.decodeContextTokens +
      prefillMs
    );
  };
  return {
    stepMs,
    decodeLine: (decodes) => ({
      stepMs: hostMs + hostMsPerSequence * decodes + byTokens(decodes) + bySequences(decodes) + decodeMs(decodes),
      msPerContextToken: decodeAttention.msPerContextToken,
    }),
  };
}

/** Throws a RangeError when the profile says nothing about that many GPUs. */
export function stepTimeOf(profile: HardwareProfile, tensorParallelSize: number): StepTime {
  const coefficients = profile.stepsByTensorParallel[String(tensorParallelSize)];
  if (coefficients) return coefficientStepTime(coefficients);
  const known = Object.keys(profile.stepsByTensorParallel).join(', ');
  throw new RangeError(`profile ${profile.name} knows tensorParallelSize ${known}, not ${tensorParallelSize}`);
}
