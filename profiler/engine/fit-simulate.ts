import type { StepCoefficients } from '../../runtime/llm/engine/hardware-profile.ts';
import { simulateArrivals } from '../../runtime/llm/engine/simulate.ts';
import type { EngineArgs } from '../../runtime/llm/engine/step-time.ts';
import { coefficientStepTime } from '../../runtime/llm/engine/step-times.ts';
import { fitPositive } from './fit-solve.ts';

/** What a request looked like from where it was watched; times in ms from its arrival there. */
export interface WatchedRequest {
  readonly atMs: number;
  readonly tokensIn: number;
  readonly tokensCached?: number;
  readonly tokensOut: number;
  /** To the first token; undefined when it is not to be compared. */
  readonly firstMs?: number;
  /** From the first token to the last; undefined when it is not to be compared. */
  readonly decodeMs?: number;
}

export interface SimulatedFit {
  readonly coefficients: StepCoefficients;
  /** Time of every request outside the engine: connection, front end, tokenizer. */
  readonly overheadMs: number;
  /** (simulated − observed) / observed, of times to the first token and of decode times. */
  readonly firstErrors: readonly number[];
  readonly decodeErrors: readonly number[];
  /** Mean loss, to compare engine arguments by. */
  readonly loss: number;
  readonly undetermined: readonly string[];
}

export interface SimulatedFitOptions {
  /** Groups of requests that had an engine for themselves, one after the other. */
  readonly groups: readonly (readonly WatchedRequest[])[];
  readonly args: EngineArgs;
  readonly start: StepCoefficients;
  /**
   * Tokens in a step from which on each takes another time than below; 1 where all take the same. Seen from outside, the
   * time below is fitted; from a log it is none, as where reading the weights hides the arithmetic.
   */
  readonly knee: number;
  /** Where requests were watched from outside: a first value for the time outside the engine. */
  readonly overheadMs?: number;
  /** Times shorter than this are compared as if they were this long: the noise of the clock that took them. */
  readonly floorMs: number;
  readonly rounds?: number;
}

/** Names of what is fitted, in the order of the parameters. */
const names = [
  'the fixed time of a step',
  'the time per sequence in a step',
  'the time per token of context of a decoding sequence',
  'the time per prompt token',
  'the fixed time of a step with prompt tokens in it',
  'the time of attention within a prompt',
  'the time of a request outside the engine',
  'the time per token in a step of few tokens',
] as const;

/**
 * Improves coefficients by running the engine: requests with their arrivals go through a simulated one, and the
 * coefficients are moved until times to the first token and decode times come out as observed. So queueing, preemption
 * and admission need not be read from the log; they follow. What few coefficients a log can tell are the six of a
 * step and, seen from outside, the time of a request outside the engine.
 */
export function fitBySimulation(options: SimulatedFitOptions): SimulatedFit {
  const { groups, args, floorMs, knee } = options;
  const outside = options.overheadMs !== undefined;
  const start = parametersOf(options.start, groups.flat());
  const errorsOf = (parameters: readonly number[]) => {
    const simulated = simulateGroups(groups, args, coefficientsOf(parameters, knee, args.maxNumBatchedTokens));
    return compare(groups, simulated, outside ? (parameters[6] ?? 0) : 0, floorMs);
  };
  const residuals = (parameters: readonly number[]) => {
    const { first, decode } = errorsOf(parameters);
    return [...first, ...decode].map(soft);
  };
  const free = outside && knee > 1;
  const begin = [...start, ...(outside ? [Math.max(0.1, options.overheadMs ?? 0)] : []), ...(free ? [(start[3] ?? 0) / 4] : [])];
  const fit = fitPositive(residuals, begin, { stride: 0.01, leastNoise, rounds: options.rounds ?? 12 });
  const { first, decode } = errorsOf(fit.values);
  return {
    coefficients: coefficientsOf(fit.values, knee, args.maxNumBatchedTokens),
    overheadMs: outside ? (fit.values[6] ?? 0) : 0,
    firstErrors: first,
    decodeErrors: decode,
    loss: fit.residuals.reduce((sum, value) => sum + value * value, 0) / Math.max(1, fit.residuals.length),
    undetermined: fit.logErrors.flatMap((error, k) => (error > unknownBeyond ? [`${names[k] ?? ''}: ${saidOf(error)}`] : [])),
  };
}

/** Times of a real engine scatter by that share at least: in the log that is explained best, the errors left are 1.3 %. */
const leastNoise = 0.01;

/** A standard error of more than this share: the value is not known. */
const unknownBeyond = 0.3;
const saidOf = (error: number) =>
  error > 3 ? 'nothing in the data depends on it enough to be seen' : `known to within a factor of ${Math.exp(error).toFixed(1)} only`;

/**
 * Cauchy's loss: an error of more than a few percent counts ever less. One request that the simulation admits a step too
 * early or late is off by a whole prompt of another, and must not decide.
 */
const scatter = 0.05;
const soft = (error: number) => Math.sign(error) * scatter * Math.sqrt(Math.log1p((error / scatter) ** 2));

export interface SimulatedTimes {
  readonly firstMs: number;
  readonly decodeMs: number;
}

export function simulateGroups(
  groups: readonly (readonly WatchedRequest[])[],
  args: EngineArgs,
  coefficients: StepCoefficients,
): SimulatedTimes[] {
  const stepTime = coefficientStepTime(coefficients);
  return groups.flatMap((group) => {
    const startMs = Math.min(...group.map(({ atMs }) => atMs));
    const arrivals = group.map(({ atMs, tokensIn, tokensOut, tokensCached = 0 }) => ({
      atMs: atMs - startMs,
      tokensIn,
      tokensOut,
      tokensCached,
    }));
    return simulateArrivals({ args, stepTime }, arrivals).map(({ queuedMs, prefillMs, decodeMs }) => ({
      firstMs: queuedMs + prefillMs,
      decodeMs,
    }));
  });
}

function compare(
  groups: readonly (readonly WatchedRequest[])[],
  simulated: readonly SimulatedTimes[],
  overheadMs: number,
  floorMs: number,
) {
  const first: number[] = [];
  const decode: number[] = [];
  groups.flat().forEach((request, index) => {
    const times = simulated[index];
    if (!times) return;
    if (request.firstMs !== undefined) first.push((times.firstMs + overheadMs - request.firstMs) / Math.max(floorMs, request.firstMs));
    if (request.decodeMs !== undefined && request.tokensOut > 1)
      decode.push((times.decodeMs - request.decodeMs) / Math.max(floorMs, request.decodeMs));
  });
  return { first, decode };
}

/** The six numbers of given coefficients; where one is zero a small value, so that it can grow. */
function parametersOf(
  { dense, perSequence, decodeAttention, prefillAttention, hostMs, hostMsPerSequence }: StepCoefficients,
  requests: readonly WatchedRequest[],
): number[] {
  const tokens = dense.at[dense.at.length - 1] ?? 1;
  const fixed = (dense.ms[0] ?? 0) + hostMs;
  const perToken = ((dense.ms[dense.ms.length - 1] ?? 0) - (dense.ms[0] ?? 0)) / Math.max(1, tokens - (dense.at[0] ?? 0));
  const perSequenceMs =
    ((perSequence.ms[1] ?? 0) - (perSequence.ms[0] ?? 0)) / Math.max(1, (perSequence.at[1] ?? 1) - (perSequence.at[0] ?? 0));
  const context = requests.reduce((sum, { tokensIn, tokensOut }) => sum + tokensIn + tokensOut / 2, 0) / Math.max(1, requests.length);
  return [
    Math.max(fixed, 1e-3),
    Math.max(perSequenceMs + hostMsPerSequence, fixed * 1e-3),
    Math.max(decodeAttention.msPerContextToken, (fixed * 1e-3) / context),
    Math.max(perToken + prefillAttention.msPerToken, fixed * 1e-4),
    Math.max(prefillAttention.fixedMs, fixed * 1e-2),
    Math.max(prefillAttention.msPerPair, (perToken * 1e-2) / context),
  ];
}

function coefficientsOf(parameters: readonly number[], knee: number, mostTokens: number): StepCoefficients {
  const [fixed = 0, perSequence = 0, perContextToken = 0, perPromptToken = 0, prefillFixed = 0, perPair = 0, , perToken = 0] = parameters;
  const last = Math.max(mostTokens, knee + 1);
  const bend = fixed + perToken * (knee - 1);
  const top = bend + perPromptToken * (last - knee);
  return {
    hostMs: 0,
    hostMsPerSequence: 0,
    dense: knee > 1 ? { at: [1, knee, last], ms: [fixed, bend, top] } : { at: [1, last], ms: [fixed, top] },
    perSequence: { at: [0, 1], ms: [0, perSequence] },
    decodeAttention: { fixedMs: 0, msPerSequence: 0, msPerContextToken: perContextToken },
    prefillAttention: { fixedMs: prefillFixed, msPerToken: 0, msPerPair: perPair },
  };
}
