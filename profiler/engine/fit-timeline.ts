import type { EngineArgs, StepBatch } from '../../runtime/llm/engine/step-time.ts';

/** One request as an engine logs it; times in milliseconds on one clock. */
export interface TimedRequest {
  readonly tokensIn: number;
  readonly tokensOut: number;
  readonly queuedMs: number;
  /** First time it was put into a step. */
  readonly scheduledMs: number;
  readonly firstTokenMs: number;
  readonly lastTokenMs: number;
}

/** Prompt tokens computed in one step. */
export interface PromptWork {
  readonly chunks: number;
  readonly tokens: number;
  readonly longest: number;
  /** Query-key pairs, as in `StepBatch.prefillPairs`. */
  readonly pairs: number;
  /** Prompts that end in the step. */
  readonly ending: number;
}

/** The time between two step ends that the log shows, during which the same sequences decode. */
export interface Stretch {
  readonly startMs: number;
  readonly endMs: number;
  readonly decodes: number;
  /** Tokens of context they attend to, all together, in the middle of the stretch. */
  readonly contextTokens: number;
  readonly contextMax: number;
  /** Prompts computed in the last step of the stretch, and in steps before it. */
  readonly prompts: readonly PromptWork[];
  /** False where nothing ran, or what ran is not known. */
  readonly known: boolean;
}

export interface Timeline {
  readonly stretches: readonly Stretch[];
  /** Per request the stretches in which it decodes: from `first` up to, not including, `end`; steps it must have taken. */
  readonly decodes: readonly { readonly first: number; readonly end: number; readonly steps: number }[];
}

/** Timestamps of one step differ by less, in ms: they are taken in one pass over the batch. */
const sameStepMs = 0.05;

/**
 * What a log says of the engine’s steps without any model of their duration: a first and a last token mark the end of a
 * step, and between two such marks the batch is known. Prompts are spread over steps as the scheduler does: first come
 * first served, up to `maxNumBatchedTokens` less the decoding sequences. Prefixes found in a cache are not in such a
 * log, nor are preemptions; stretches with them do not fit the rest.
 *
 * After `untilMs` the batch is taken as unknown, for a log that was cut there.
 */
export function readTimeline(requests: readonly TimedRequest[], args: EngineArgs, untilMs = Number.POSITIVE_INFINITY): Timeline {
  const marks = [...startsOfWork(requests), ...requests.flatMap(({ firstTokenMs, lastTokenMs }) => [firstTokenMs, lastTokenMs])];
  const ends = mergeMarks(marks).filter((mark) => mark <= untilMs);
  const indexOf = (ms: number) => lowerBound(ends, ms - sameStepMs);
  const count = ends.length - 1;
  const decodes = new Array<number>(count).fill(0);
  const context = new Array<number>(count).fill(0);
  const longest = new Array<number>(count).fill(0);
  const spans = requests.map((request) => {
    const first = indexOf(request.firstTokenMs);
    const end = indexOf(request.lastTokenMs);
    for (let j = first; j < Math.min(end, count); j++) {
      const middle = ((ends[j] ?? 0) + (ends[j + 1] ?? 0)) / 2;
      const share = (middle - request.firstTokenMs) / (request.lastTokenMs - request.firstTokenMs || 1);
      const tokens = request.tokensIn + 1 + share * (request.tokensOut - 1);
      decodes[j] = (decodes[j] ?? 0) + 1;
      context[j] = (context[j] ?? 0) + tokens;
      longest[j] = Math.max(longest[j] ?? 0, tokens);
    }
    return { first, end, steps: request.tokensOut - 1 };
  });
  const prompts = spreadPrompts(requests, ends, decodes, args.maxNumBatchedTokens);
  return {
    stretches: decodes.map((running, j) => ({
      startMs: ends[j] ?? 0,
      endMs: ends[j + 1] ?? 0,
      decodes: running,
      contextTokens: context[j] ?? 0,
      contextMax: longest[j] ?? 0,
      prompts: prompts[j] ?? [],
      known: running > 0 || (prompts[j] ?? []).length > 0,
    })),
    decodes: spans.filter(({ end }) => end <= count),
  };
}

/** Which prompt tokens are computed in the steps that end stretch j, from the order in which prompts were scheduled. */
function spreadPrompts(
  requests: readonly TimedRequest[],
  ends: readonly number[],
  decodes: readonly number[],
  budget: number,
): PromptWork[][] {
  const work: PromptWork[][] = decodes.map(() => []);
  const groups = new Map<number, TimedRequest[]>();
  for (const request of [...requests].sort((a, b) => a.scheduledMs - b.scheduledMs || a.queuedMs - b.queuedMs)) {
    const j = lowerBound(ends, request.firstTokenMs - sameStepMs) - 1;
    if (j >= 0 && j < decodes.length) groups.set(j, [...(groups.get(j) ?? []), request]);
  }
  let before: { readonly j: number; readonly lastScheduledMs: number; room: number } | undefined;
  for (const [j, members] of [...groups].sort(([a], [b]) => a - b)) {
    const perStep = Math.max(1, budget - (decodes[j] ?? 0));
    const chunks: { tokens: number; done: number; ends: boolean }[] = [];
    for (const request of members) {
      // It was scheduled together with prompts that ended in an earlier step: a first chunk of it was computed there.
      const early =
        before && request.scheduledMs <= before.lastScheduledMs + sameStepMs * 10 ? Math.min(before.room, request.tokensIn - 1) : 0;
      if (early > 0 && before) {
        before.room -= early;
        addChunk(work[before.j] as PromptWork[], { tokens: early, done: 0, ends: false });
      }
      chunks.push({ tokens: request.tokensIn - early, done: early, ends: true });
    }
    const steps = packed(chunks, perStep);
    work[j] = steps;
    const last = steps[steps.length - 1];
    before = { j, lastScheduledMs: Math.max(...members.map(({ scheduledMs }) => scheduledMs)), room: perStep - (last?.tokens ?? 0) };
  }
  return work;
}

/** Chunks in order, cut so that no step has more than `perStep` tokens; the last step is the fullest that can end all. */
function packed(chunks: readonly { tokens: number; done: number; ends: boolean }[], perStep: number): PromptWork[] {
  const steps: PromptWork[] = [{ chunks: 0, tokens: 0, longest: 0, pairs: 0, ending: 0 }];
  let room = perStep;
  for (const { tokens, done } of chunks) {
    for (let from = 0; from < tokens; ) {
      if (room === 0) {
        steps.push({ chunks: 0, tokens: 0, longest: 0, pairs: 0, ending: 0 });
        room = perStep;
      }
      const size = Math.min(room, tokens - from);
      addChunk(steps, { tokens: size, done: done + from, ends: from + size === tokens });
      room -= size;
      from += size;
    }
  }
  return steps;
}

function addChunk(steps: PromptWork[], chunk: { readonly tokens: number; readonly done: number; readonly ends: boolean }): void {
  const at = Math.max(0, steps.length - 1);
  const step = steps[at] ?? { chunks: 0, tokens: 0, longest: 0, pairs: 0, ending: 0 };
  steps[at] = {
    chunks: step.chunks + 1,
    tokens: step.tokens + chunk.tokens,
    longest: Math.max(step.longest, chunk.tokens),
    pairs: step.pairs + chunk.tokens * (chunk.done + (chunk.tokens + 1) / 2),
    ending: step.ending + (chunk.ends ? 1 : 0),
  };
}

/** When the engine began to work after it had nothing to do. */
function startsOfWork(requests: readonly TimedRequest[]): number[] {
  let until = Number.NEGATIVE_INFINITY;
  const starts: number[] = [];
  for (const { scheduledMs, lastTokenMs } of [...requests].sort((a, b) => a.scheduledMs - b.scheduledMs)) {
    if (scheduledMs > until + sameStepMs) starts.push(scheduledMs);
    until = Math.max(until, lastTokenMs);
  }
  return starts;
}

/** The batch of a decode step of a stretch, and of its steps with prompts in them. */
export function batchOf(stretch: Stretch, work?: PromptWork): StepBatch {
  return {
    decodes: stretch.decodes,
    decodeContextTokens: stretch.contextTokens,
    decodeContextMax: stretch.contextMax,
    prefillChunks: work?.chunks ?? 0,
    prefillTokens: work?.tokens ?? 0,
    prefillChunkMax: work?.longest ?? 0,
    prefillContextTokens: 0,
    prefillPairs: work?.pairs ?? 0,
    samples: stretch.decodes + (work?.ending ?? 0),
  };
}

function mergeMarks(times: readonly number[]): number[] {
  const merged: number[] = [];
  for (const time of [...times].sort((a, b) => a - b))
    if (time > (merged[merged.length - 1] ?? Number.NEGATIVE_INFINITY) + sameStepMs) merged.push(time);
  return merged;
}

/** The first index whose value is at least `value`. */
function lowerBound(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
