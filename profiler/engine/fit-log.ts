import type { StepCoefficients } from '../../runtime/llm/engine/hardware-profile.ts';
import type { EngineArgs } from '../../runtime/llm/engine/step-time.ts';
import { fitByCounting } from './fit-counts.ts';
import { fitBySimulation, type SimulatedFit, type WatchedRequest } from './fit-simulate.ts';
import type { TimedRequest } from './fit-timeline.ts';

export interface LogFit {
  readonly coefficients: StepCoefficients;
  /** Relative errors of times to the first token and of decode times, absolute values. */
  readonly medianErrorShare: number;
  readonly p90ErrorShare: number;
  /** Requests that were compared. */
  readonly compared: number;
  /** Where counting steps sufficed, or the engine was run to find the coefficients. */
  readonly method: 'counted' | 'simulated';
  readonly undetermined: readonly string[];
}

export interface LogFitOptions {
  /** The log was cut: requests beyond those given were put into steps from here on. Default: the log is whole. */
  readonly untilMs?: number;
}

/** Tokens in a step from which on more tokens take longer: where reading the weights no longer hides the arithmetic. */
const knees = [1, 128, 256] as const;
/** Differences of timestamps below this are noise, in ms. */
const floorMs = 1;

/**
 * Step-time coefficients from a request log alone, for an engine whose arguments are known.
 *
 * Steps are counted first (`fitByCounting`), which is exact where every batch can be read from the log. Where sequences
 * were preempted, or found prefixes in a cache, or when the scheduler plans ahead, it is not; so the engine itself is run
 * on the requests from several first guesses, and moved until the times come out as logged (`fitBySimulation`).
 */
export function fitFromLog(requests: readonly TimedRequest[], args: EngineArgs, options: LogFitOptions = {}): LogFit {
  const { untilMs = Number.POSITIVE_INFINITY } = options;
  if (requests.length < 2) throw new RangeError('a fit needs at least two requests');
  const counted = fitByCounting(requests, args, options.untilMs);
  const watched = requests.map((request) => watch(request, untilMs));
  const starts = [...(counted ? [counted.coefficients] : []), plainStart(requests, args)];
  let best: SimulatedFit | undefined;
  for (const start of starts)
    for (const knee of knees.filter((knee) => knee === 1 || knee * 2 <= args.maxNumBatchedTokens)) {
      const fit = fitBySimulation({ groups: [watched], args, start, knee, floorMs });
      // A knee is one more choice and must earn it.
      if (!best || fit.loss < best.loss * 0.98) best = fit;
    }
  const simulated = best as SimulatedFit;
  const errors = [...simulated.firstErrors, ...simulated.decodeErrors].map(Math.abs).sort((a, b) => a - b);
  const quantile = (share: number) => errors[Math.min(errors.length - 1, Math.floor(share * errors.length))] ?? 0;
  return {
    coefficients: simulated.coefficients,
    medianErrorShare: quantile(0.5),
    p90ErrorShare: quantile(0.9),
    compared: requests.length,
    method: 'simulated',
    undetermined: [...simulated.undetermined, ...unseen(requests)],
  };
}

const watch = ({ queuedMs, firstTokenMs, lastTokenMs, tokensIn, tokensOut }: TimedRequest, untilMs: number): WatchedRequest => ({
  atMs: queuedMs,
  tokensIn,
  tokensOut,
  ...(firstTokenMs <= untilMs ? { firstMs: firstTokenMs - queuedMs } : {}),
  ...(lastTokenMs <= untilMs ? { decodeMs: lastTokenMs - firstTokenMs } : {}),
});

/** Seven tenths of the mean time per token fixed, the rest by sequences and context; prompts a hundred times faster per token. */
function plainStart(requests: readonly TimedRequest[], args: EngineArgs): StepCoefficients {
  const tokens = requests.reduce((sum, { tokensOut }) => sum + tokensOut - 1, 0);
  const decodeMs = requests.reduce((sum, { firstTokenMs, lastTokenMs }) => sum + lastTokenMs - firstTokenMs, 0);
  const spanMs = Math.max(...requests.map((r) => r.lastTokenMs)) - Math.min(...requests.map((r) => r.firstTokenMs));
  const stepMs = tokens > 0 ? decodeMs / tokens : 1;
  const together = Math.max(1, decodeMs / Math.max(1, spanMs));
  const context = requests.reduce((sum, { tokensIn, tokensOut }) => sum + tokensIn + tokensOut / 2, 0) / requests.length;
  return {
    hostMs: 0,
    hostMsPerSequence: 0,
    dense: { at: [1, args.maxNumBatchedTokens], ms: [stepMs * 0.7, stepMs * 0.7 + (stepMs / 300) * args.maxNumBatchedTokens] },
    perSequence: { at: [0, 1], ms: [0, (stepMs * 0.1) / together] },
    decodeAttention: { fixedMs: 0, msPerSequence: 0, msPerContextToken: (stepMs * 0.1) / together / context },
    prefillAttention: { fixedMs: 0, msPerToken: 0, msPerPair: 0 },
  };
}

/** What no simulation can tell, because the log does not vary in it. */
function unseen(requests: readonly TimedRequest[]): string[] {
  const prompts = new Set(requests.map(({ tokensIn }) => tokensIn));
  const [shortest, longest] = [Math.min(...prompts), Math.max(...prompts)];
  const busiest = mostTogether(requests);
  return [
    ...(prompts.size === 1 ? [`how prefill grows with the prompt: every prompt has ${shortest} tokens`] : []),
    ...(busiest === 1 ? ['what a second sequence in a step costs: no two requests ran at the same time'] : []),
    `beyond what was seen (prompts of ${shortest} to ${longest} tokens, ${busiest} at a time): extrapolated`,
    'how much of the fixed time is work of the host: time alone does not split it from reading the weights',
  ];
}

function mostTogether(requests: readonly TimedRequest[]): number {
  const marks = requests.flatMap(({ scheduledMs, lastTokenMs }) => [
    { ms: scheduledMs, by: 1 },
    { ms: lastTokenMs, by: -1 },
  ]);
  let now = 0;
  let most = 0;
  for (const { by } of marks.sort((a, b) => a.ms - b.ms || a.by - b.by)) {
    now += by;
    most = Math.max(most, now);
  }
  return most;
}
