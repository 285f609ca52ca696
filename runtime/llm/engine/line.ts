import { createScheduler, type Scheduler } from './scheduler.ts';
import type { Sequence } from './sequence.ts';
import { endOfStep, type Span, stepsOverBy, stepsUntil } from './span.ts';
import { createStep, type Step, tokensOf } from './step.ts';
import type { EngineArgs, StepBatch, StepTime } from './step-time.ts';

/** One rank, and what it works on. */
export interface Rank {
  readonly scheduler: Scheduler;
  /** Sent to it, not yet looked at; in order of arrival. */
  readonly inbox: Sequence[];
  /** The step under way and, with asynchronous scheduling, the one planned behind it. */
  current: Step;
  planned: Step;
}

/** Ranks that step together: one, or all of an expert-parallel engine. */
export interface Line {
  readonly ranks: readonly Rank[];
  /** Computes everything up to and including `ms`. */
  advanceTo(ms: number): void;
  /** End of the step under way after which something may change; undefined when nothing is under way. */
  nextEndMs(): number | undefined;
  endAfterMs(steps: number): number | undefined;
  /** `sequence` has come into the inbox of rank `rank`. */
  arrived(rank: Rank, sequence: Sequence): void;
  /** `sequence` is to go at the end of the step under way at `atMs`. */
  cancelled(rank: Rank, sequence: Sequence, atMs: number): void;
  /** Steps of a span that are over though the span is not. */
  readonly ahead: number;
  readonly boundaryMs: number;
  readonly steps: number;
  readonly busyMs: number;
}

export interface LineListener {
  /** A token that is the sequence's first or last. Times are those of the end of the step. */
  firstToken(sequence: Sequence, atMs: number): void;
  finished(sequence: Sequence, atMs: number): void;
}

export function createLine(args: EngineArgs, rankCount: number, stepTime: StepTime, listener: LineListener): Line {
  const ranks = Array.from(
    { length: rankCount },
    (): Rank => ({ scheduler: createScheduler(args), inbox: [], current: createStep(), planned: createStep() }),
  );
  const pipelined = args.asyncScheduling ?? false;
  const [only] = ranks;
  const batches = new Array<StepBatch>(rankCount);
  let span: Span | undefined;
  /** A planned step waits behind the one under way. */
  let hasPlanned = false;
  let boundaryMs = 0;
  let steps = 0;
  let busyMs = 0;
  let cancellations: { readonly rank: Rank; readonly sequence: Sequence }[] = [];

  function plan(which: 'current' | 'planned'): boolean {
    let any = false;
    for (const rank of ranks) {
      rank.scheduler.schedule(rank[which], boundaryMs);
      if (tokensOf(rank[which].batch) > 0) any = true;
    }
    return any;
  }

  function durationMs(): number {
    if (rankCount === 1) return stepTime.stepMs((only as Rank).current.batch);
    for (let index = 0; index < rankCount; index++) batches[index] = (ranks[index] as Rank).current.batch;
    return stepTime.groupStepMs?.(batches) ?? Math.max(...batches.map((batch) => (tokensOf(batch) > 0 ? stepTime.stepMs(batch) : 0)));
  }

  /** From the boundary on: what was planned, else what can be planned now. False when there is nothing to do. */
  function start(): boolean {
    let has = hasPlanned;
    hasPlanned = false;
    if (has) for (const rank of ranks) [rank.current, rank.planned] = [rank.planned, rank.current];
    else has = plan('current');
    if (!has) return false;
    if (pipelined) hasPlanned = plan('planned');
    span = spanOfCurrent();
    return true;
  }

  function spanOfCurrent(): Span {
    if (only && rankCount === 1 && stepTime.decodeLine) {
      const { current, planned } = only;
      const lastPlanned = pipelined ? planned : current;
      const alike = !pipelined || (hasPlanned && planned.batch.decodes === current.batch.decodes && current.batch.prefillChunks === 0);
      const more = alike ? only.scheduler.repeatable(lastPlanned) : 0;
      if (more > 0) {
        const { decodes, decodeContextTokens } = current.batch;
        const line = stepTime.decodeLine(decodes);
        const made: Span = {
          baseMs: boundaryMs,
          stepMs: line.stepMs,
          contextMsPerToken: line.msPerContextToken,
          decodes,
          contextTokens: decodeContextTokens,
          steps: 1 + more,
          done: 0,
        };
        const next = only.inbox[0];
        if (next && only.scheduler.mayAdmit) made.steps = Math.min(made.steps, stepsUntil(made, next.atMs));
        return made;
      }
    }
    return { baseMs: boundaryMs, stepMs: durationMs(), contextMsPerToken: 0, decodes: 0, contextTokens: 0, steps: 1, done: 0 };
  }

  function complete(ended: Span): void {
    const endMs = endOfStep(ended, ended.steps);
    seeArrivals(ended);
    busyMs += endMs - boundaryMs;
    boundaryMs = endMs;
    steps += ended.steps;
    span = undefined;
    if (ended.steps > 1 && only) {
      const more = ended.steps - 1;
      only.scheduler.repeat(pipelined ? only.planned : only.current, more);
      if (pipelined) only.current.number += more;
    }
    for (const { rank, sequence } of cancellations) if (sequence.state !== 'gone') rank.scheduler.remove(sequence, boundaryMs);
    cancellations = [];
    for (const rank of ranks) {
      const { completes, ends } = rank.current;
      for (const sequence of completes) {
        if (sequence.state === 'gone' || sequence.firstTokenMs >= 0) continue;
        sequence.firstTokenMs = boundaryMs;
        listener.firstToken(sequence, boundaryMs);
      }
      for (const sequence of ends) {
        if (sequence.state === 'gone') continue;
        rank.scheduler.remove(sequence, boundaryMs);
        listener.finished(sequence, boundaryMs);
      }
    }
  }

  /** Whoever arrived in one of the steps of a span is seen at the end of that step. */
  function seeArrivals(ended: Span): void {
    const endMs = endOfStep(ended, ended.steps);
    for (const rank of ranks) {
      let count = 0;
      for (const sequence of rank.inbox) {
        if (sequence.atMs > endMs) break;
        count++;
        ended.done = 0;
        if (sequence.state === 'arriving') rank.scheduler.enqueue(sequence, endOfStep(ended, stepsUntil(ended, sequence.atMs)));
      }
      if (count > 0) rank.inbox.splice(0, count);
    }
  }

  /** Nothing is under way: the next arrival is seen when it comes. */
  function wake(ms: number): boolean {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const rank of ranks) {
      while (rank.inbox[0] && rank.inbox[0].state !== 'arriving') rank.inbox.shift();
      if (rank.inbox[0]) nextMs = Math.min(nextMs, rank.inbox[0].atMs);
    }
    if (nextMs > ms || nextMs === Number.POSITIVE_INFINITY) return false;
    boundaryMs = Math.max(boundaryMs, nextMs);
    for (const rank of ranks) {
      while (rank.inbox[0] && rank.inbox[0].atMs <= boundaryMs) {
        const sequence = rank.inbox.shift() as Sequence;
        if (sequence.state === 'arriving') rank.scheduler.enqueue(sequence, boundaryMs);
      }
    }
    return true;
  }

  return {
    ranks,
    advanceTo: (ms) => {
      for (;;) {
        if (!span && !start() && !(wake(ms) && start())) return;
        if (!span) return;
        span.done = stepsOverBy(span, ms);
        if (span.done < span.steps) return;
        complete(span);
      }
    },
    nextEndMs: () => span && endOfStep(span, span.steps),
    endAfterMs: (count) => span && endOfStep(span, Math.min(span.steps, span.done + count)),
    arrived: (rank, sequence) => {
      rank.inbox.push(sequence);
      if (span && span.steps > 1 && rank.scheduler.mayAdmit) span.steps = Math.min(span.steps, stepsUntil(span, sequence.atMs));
    },
    cancelled: (rank, sequence, atMs) => {
      if (sequence.state === 'arriving') {
        sequence.state = 'gone';
        return;
      }
      cancellations.push({ rank, sequence });
      if (span) span.steps = Math.min(span.steps, stepsUntil(span, atMs));
    },
    get ahead() {
      return span?.done ?? 0;
    },
    get boundaryMs() {
      return boundaryMs;
    },
    get steps() {
      return steps + (span?.done ?? 0);
    },
    get busyMs() {
      return busyMs + (span ? endOfStep(span, span.done) - span.baseMs : 0);
    },
  };
}
