import type { StepCoefficients } from '../../runtime/llm/engine/hardware-profile.ts';
import type { EngineArgs, StepBatch } from '../../runtime/llm/engine/step-time.ts';
import { coefficientStepTime } from '../../runtime/llm/engine/step-times.ts';
import { fitPositive } from './fit-solve.ts';
import { fitSteps, type StepFit, type StepObservation } from './fit-steps.ts';
import { batchOf, readTimeline, type Stretch, type TimedRequest, type Timeline } from './fit-timeline.ts';

export interface CountedFit extends StepFit {
  /** Stretches of time between marks in the log, and how many of them the fit could not use. */
  readonly stretches: number;
  readonly unused: number;
}

/**
 * Step-time coefficients from a request log without a model of the scheduler.
 *
 * First and last tokens mark ends of steps, and between two marks the batch is known (`readTimeline`); what is not known
 * is how many steps lie between. A request that got n tokens after its first took n steps, so
 * n = Σ over its stretches (duration − time for prompts) / (time of a decode step), which four coefficients must satisfy
 * for all requests at once. With those, the number of steps of each stretch can be rounded to a whole one, and all
 * coefficients follow from a linear regression of durations on batches (`fitSteps`); twice, to correct roundings.
 * Undefined where the log shows too little.
 */
export function fitByCounting(requests: readonly TimedRequest[], args: EngineArgs, untilMs?: number): CountedFit | undefined {
  const timeline = readTimeline(requests, args, untilMs);
  let stepMs = coefficientStepTime(firstGuess(timeline)).stepMs;
  let fit: StepFit | undefined;
  let used: StepObservation[] = [];
  for (let round = 0; round < 3; round++) {
    used = observationsOf(timeline, stepMs);
    if (used.length < 2) break;
    fit = fitSteps(used);
    stepMs = coefficientStepTime(fit.coefficients).stepMs;
  }
  const stretches = timeline.stretches.filter(({ known }) => known).length;
  return fit && { ...fit, stretches, unused: stretches - used.length };
}

/** Fixed time, time per sequence, per token of context and per prompt token, from the number of tokens each request got. */
function firstGuess(timeline: Timeline): StepCoefficients {
  const busy = timeline.stretches.filter(({ known }) => known);
  const tokens = timeline.decodes.reduce((sum, { steps }) => sum + steps, 0);
  const decodeMs = timeline.decodes.reduce(
    (sum, { first, end }) => sum + (timeline.stretches[end - 1]?.endMs ?? 0) - (timeline.stretches[first]?.startMs ?? 0),
    0,
  );
  const meanMs = tokens > 0 ? decodeMs / tokens : 1;
  const mean = (of: (stretch: Stretch) => number) => busy.reduce((sum, stretch) => sum + of(stretch), 0) / Math.max(1, busy.length);
  const decodes = Math.max(
    1,
    mean((stretch) => stretch.decodes),
  );
  const start = [
    meanMs * 0.7,
    (meanMs * 0.1) / decodes,
    (meanMs * 0.2) /
      Math.max(
        1,
        mean((stretch) => stretch.contextTokens),
      ),
    meanMs / 500,
  ];
  const { values } = fitPositive((parameters) => stepResiduals(timeline, parameters), start);
  const [fixed = 0, perSequence = 0, perContextToken = 0, perPromptToken = 0] = values;
  return {
    hostMs: 0,
    hostMsPerSequence: 0,
    dense: { at: [0, 1], ms: [fixed, fixed + perPromptToken] },
    perSequence: { at: [0, 1], ms: [0, Math.max(0, perSequence - perPromptToken)] },
    decodeAttention: { fixedMs: 0, msPerSequence: 0, msPerContextToken: perContextToken },
    prefillAttention: { fixedMs: 0, msPerToken: 0, msPerPair: 0 },
  };
}

/** For each request the steps that its stretches should have had, against those they had, as a share; far ones count less. */
function stepResiduals({ stretches, decodes }: Timeline, parameters: readonly number[]): number[] {
  const [fixed = 0, perSequence = 0, perContextToken = 0, perPromptToken = 0] = parameters;
  const total = [0];
  const firsts: number[] = [];
  for (const stretch of stretches) {
    const stepMs = fixed + perSequence * stretch.decodes + perContextToken * stretch.contextTokens;
    const promptMs = stretch.prompts.reduce((sum, { tokens }) => sum + tokens, 0) * perPromptToken;
    const durationMs = stretch.endMs - stretch.startMs;
    total.push((total[total.length - 1] ?? 0) + (durationMs - promptMs) / stepMs);
    // Nothing decodes, so the steps are those of the prompts.
    const alone = stretch.known && stretch.decodes === 0;
    if (alone) firsts.push(soft((fixed * stretch.prompts.length + promptMs) / durationMs - 1));
  }
  return [
    ...decodes.filter(({ steps }) => steps > 0).map(({ first, end, steps }) => soft(((total[end] ?? 0) - (total[first] ?? 0)) / steps - 1)),
    ...firsts,
  ];
}

/** Grows like a square root beyond a tenth, so that what cannot be explained (preemptions, cached prefixes) does not decide. */
const soft = (error: number) => (Math.abs(error) <= 0.1 ? error : Math.sign(error) * Math.sqrt(0.1 * (2 * Math.abs(error) - 0.1)));

/** A stretch of so many decode steps cannot be counted to within one: then it stays out. */
const countable = 40;

/** Each stretch as an observation with a whole number of steps, the one nearest to what the coefficients say. */
function observationsOf(timeline: Timeline, stepMs: (batch: StepBatch) => number): StepObservation[] {
  return timeline.stretches.flatMap((stretch): StepObservation[] => {
    const durationMs = stretch.endMs - stretch.startMs;
    if (!stretch.known || durationMs <= 0) return [];
    const prompts = stretch.prompts.map((work) => batchOf(stretch, work));
    const left = durationMs - prompts.reduce((sum, batch) => sum + stepMs(batch), 0);
    const decode = batchOf(stretch);
    const count = stretch.decodes === 0 ? 0 : Math.round(left / stepMs(decode));
    if (count < 0 || count > countable || count + prompts.length === 0) return [];
    return [
      { ms: durationMs, steps: [...prompts.map((batch) => ({ batch, count: 1 })), ...(count > 0 ? [{ batch: decode, count }] : [])] },
    ];
  });
}
