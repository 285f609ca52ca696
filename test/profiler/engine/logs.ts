import { createRandom } from '../../../compiler/contracts/index.ts';
import type { TimedRequest } from '../../../profiler/engine/fit-timeline.ts';
import type { StepCoefficients } from '../../../runtime/llm/engine/hardware-profile.ts';
import { simulateArrivals } from '../../../runtime/llm/engine/simulate.ts';
import type { EngineArgs } from '../../../runtime/llm/engine/step-time.ts';
import { coefficientStepTime } from '../../../runtime/llm/engine/step-times.ts';

/** An engine of which everything is known. */
export interface KnownEngine {
  readonly fixedMs: number;
  readonly perPromptTokenMs: number;
  readonly perSequenceMs: number;
  readonly perContextTokenMs: number;
}

export const knownArgs: EngineArgs = {
  maxNumSeqs: 64,
  maxNumBatchedTokens: 1024,
  blockSize: 16,
  kvBlocks: 4000,
  prefixCaching: false,
  tensorParallelSize: 1,
  dataParallelSize: 1,
  expertParallel: false,
};

export function coefficientsOf({ fixedMs, perPromptTokenMs, perSequenceMs, perContextTokenMs }: KnownEngine): StepCoefficients {
  return {
    hostMs: 0,
    hostMsPerSequence: 0,
    dense: { at: [1, 1001], ms: [fixedMs, fixedMs + 1000 * perPromptTokenMs] },
    perSequence: { at: [0, 1], ms: [0, perSequenceMs] },
    decodeAttention: { fixedMs: 0, msPerSequence: 0, msPerContextToken: perContextTokenMs },
    prefillAttention: { fixedMs: 0, msPerToken: 0, msPerPair: 0 },
  };
}

export interface LogShape {
  readonly requests: number;
  readonly perSecond: number;
  readonly tokensIn: readonly [number, number];
  readonly tokensOut: readonly [number, number];
  readonly seed: number;
}

/** The log a known engine writes under Poisson arrivals, lengths uniform. */
export function logOf(engine: KnownEngine, args: EngineArgs, shape: LogShape): TimedRequest[] {
  const random = createRandom(shape.seed);
  const between = ([low, high]: readonly [number, number]) => low + random.integer(high - low + 1);
  let atMs = 0;
  const requests = Array.from({ length: shape.requests }, () => {
    atMs += random.exponential(1000 / shape.perSecond);
    return { atMs, tokensIn: between(shape.tokensIn), tokensOut: between(shape.tokensOut) };
  });
  const times = simulateArrivals({ args, stepTime: coefficientStepTime(coefficientsOf(engine)) }, requests);
  return requests.map(({ atMs: queuedMs, tokensIn, tokensOut }, index) => {
    const { queuedMs: waitedMs = 0, prefillMs = 0, totalMs = 0 } = times[index] ?? {};
    const scheduledMs = queuedMs + waitedMs;
    return { tokensIn, tokensOut, queuedMs, scheduledMs, firstTokenMs: scheduledMs + prefillMs, lastTokenMs: queuedMs + totalMs };
  });
}

/** The same as lines of a file. */
export const linesOf = (log: readonly TimedRequest[]) =>
  log
    .map(({ tokensIn, tokensOut, queuedMs, scheduledMs, firstTokenMs, lastTokenMs }) =>
      JSON.stringify({
        input_toks: tokensIn,
        output_toks: tokensOut,
        queued_ts: 5000 + queuedMs / 1000,
        scheduled_ts: 5000 + scheduledMs / 1000,
        first_token_ts: 5000 + firstTokenMs / 1000,
        last_token_ts: 5000 + lastTokenMs / 1000,
      }),
    )
    .join('\n');
