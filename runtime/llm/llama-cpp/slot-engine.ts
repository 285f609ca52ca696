import type { EvaluateOptions, LlamaContext, LlamaSequence, Token } from './peer.ts';
import { chooseSlot, planStep } from './plan-step.ts';

/** One request to the engine. Callbacks are called in the order of the tokens, between two steps. */
export interface SlotRequest {
  readonly prompt: readonly Token[];
  /** At least 1; prompt and reply must fit the context of a slot. */
  readonly tokensOut: number;
  /** The reply, decided beforehand: each token is computed as if it had been chosen, and the choice is set aside. */
  readonly given?: readonly Token[];
  readonly sampling: Pick<EvaluateOptions, 'temperature' | 'topP' | 'seed' | 'grammarEvaluationState'>;
  readonly onAdmitted?: (times: { readonly queuedMs: number; readonly tokensCached: number }) => void;
  /** One more token is there. Says whether the reply ends, before this token, which then does not count, or after it. */
  readonly onToken: (token: Token, index: number) => 'not yet' | 'before' | 'after';
  readonly onFinished: (timings: SlotTimings) => void;
  readonly onFailed: (error: unknown) => void;
}

export interface SlotTimings {
  readonly queuedMs: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
  readonly tokensCached: number;
  readonly tokensOut: number;
}

export interface SlotStats {
  readonly running: number;
  /** Without a slot, those left out for which one is free and who get it with the next step. */
  readonly waiting: number;
  /** Tokens the contexts of the slots hold, those of the last requests included. */
  readonly heldTokens: number;
  readonly capacityTokens: number;
  readonly steps: number;
  /** Time in steps. */
  readonly busyMs: number;
  /** Over all steps so far: requests that had a part in the step. */
  readonly slotSteps: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

/** A llama.cpp context with its slots, stepped one batch at a time. */
export interface SlotEngine {
  submit(request: SlotRequest): { cancel(): void };
  stats(): SlotStats;
  /** Resolves when no step is under way; nothing may be submitted after. */
  stop(): Promise<void>;
}

interface Slot {
  readonly sequence: LlamaSequence;
  lastUsed: number;
}

interface Job {
  readonly request: SlotRequest;
  readonly arrivedMs: number;
  slot: Slot | undefined;
  /** Prompt tokens computed or found. */
  computed: number;
  tokensCached: number;
  admittedMs: number;
  firstMs: number;
  lastMs: number;
  produced: number;
  iterator: AsyncGenerator<Token, void, undefined | Token> | undefined;
  cancelled: boolean;
  done: boolean;
}

/**
 * Continuous batching over the sequences of one context. Requests wait first come first served for a free slot; then each step is one
 * batch of llama.cpp, planned by `planStep`. What each sequence is to compute is handed over in one turn of the event loop, which is
 * what node-llama-cpp takes for one batch.
 */
export function createSlotEngine(context: LlamaContext, options: { readonly slots: number; readonly prefixReuse: boolean }): SlotEngine {
  const idle: Slot[] = Array.from({ length: options.slots }, () => ({ sequence: context.getSequence(), lastUsed: 0 }));
  const all = [...idle];
  const queue: Job[] = [];
  const running: Job[] = [];
  const totals = { steps: 0, busyMs: 0, slotSteps: 0, promptTokens: 0, cachedTokens: 0, outputTokens: 0 };
  let uses = 0;
  let looping: Promise<void> | undefined;
  let stopped = false;

  async function admit(): Promise<void> {
    while (idle.length > 0) {
      const job = queue.shift();
      if (job === undefined) return;
      const { prompt } = job.request;
      const held = idle.map(({ sequence, lastUsed }) => ({ held: options.prefixReuse ? sequence.contextTokens : [], lastUsed }));
      const choice = chooseSlot(held, prompt);
      if (choice === undefined) return;
      const [slot] = idle.splice(choice.index, 1);
      if (slot === undefined) return;
      job.slot = slot;
      running.push(job);
      job.admittedMs = performance.now();
      job.tokensCached = choice.shared;
      job.computed = choice.shared;
      slot.lastUsed = ++uses;
      totals.cachedTokens += choice.shared;
      totals.promptTokens += prompt.length;
      const { nextTokenIndex } = slot.sequence;
      if (nextTokenIndex > choice.shared) await slot.sequence.eraseContextTokenRanges([{ start: choice.shared, end: nextTokenIndex }]);
      job.request.onAdmitted?.({ queuedMs: job.admittedMs - job.arrivedMs, tokensCached: choice.shared });
    }
  }

  async function advance(job: Job, tokens: number): Promise<void> {
    const { request, slot } = job;
    if (slot === undefined || tokens === 0) return;
    if (job.iterator !== undefined) {
      const given = request.given?.[job.produced - 1];
      take(job, await job.iterator.next(given));
      return;
    }
    const piece = request.prompt.slice(job.computed, job.computed + tokens);
    job.computed += tokens;
    if (job.computed < request.prompt.length) return slot.sequence.evaluateWithoutGeneratingNewTokens(piece);
    job.iterator = slot.sequence.evaluate(piece, { ...request.sampling, yieldEogToken: true });
    take(job, await job.iterator.next());
  }

  /** The token a step gave; what it means for the client is told once the step is over for all. */
  function take(job: Job, result: IteratorResult<Token, void>): void {
    pending.push([job, result.done ? undefined : result.value]);
  }
  let pending: [Job, Token | undefined][] = [];

  function settle(job: Job, sampled: Token | undefined, nowMs: number): void {
    if (job.done || job.cancelled) return;
    const { request } = job;
    const token = request.given ? request.given[job.produced] : sampled;
    if (token === undefined) {
      finish(job);
      return;
    }
    const before = job.produced;
    job.produced++;
    if (before === 0) job.firstMs = nowMs;
    const ends = request.onToken(token, before);
    if (ends === 'before') job.produced--;
    else {
      job.lastMs = nowMs;
      totals.outputTokens++;
    }
    if (ends !== 'not yet' || job.produced >= request.tokensOut) finish(job);
  }

  function finish(job: Job): void {
    job.done = true;
    job.request.onFinished({
      queuedMs: job.admittedMs - job.arrivedMs,
      prefillMs: job.firstMs - job.admittedMs,
      decodeMs: Math.max(0, job.lastMs - job.firstMs),
      tokensCached: job.tokensCached,
      tokensOut: job.produced,
    });
  }

  async function release(job: Job): Promise<void> {
    running.splice(running.indexOf(job), 1);
    await job.iterator?.return();
    if (job.slot) idle.push(job.slot);
  }

  async function loop(): Promise<void> {
    for (;;) {
      await admit();
      if (running.length === 0) return;
      const shares = planStep(
        running.map((job) => ({ promptLeft: job.request.prompt.length - job.computed })),
        context.batchSize,
      );
      const startMs = performance.now();
      const failures = new Map<Job, unknown>();
      pending = [];
      const step = [...running];
      await Promise.all(step.map((job, index) => advance(job, shares[index] ?? 0).catch((error: unknown) => failures.set(job, error))));
      const nowMs = performance.now();
      totals.steps++;
      totals.busyMs += nowMs - startMs;
      totals.slotSteps += shares.filter((share) => share > 0).length;
      const order = new Map(step.map((job, index) => [job, index]));
      pending.sort(([left], [right]) => (order.get(left) ?? 0) - (order.get(right) ?? 0));
      for (const [job, token] of pending) {
        try {
          settle(job, token, nowMs);
        } catch (error) {
          failures.set(job, error);
        }
      }
      for (const job of step) {
        const error = failures.get(job);
        if (error !== undefined && !job.done) {
          job.done = true;
          job.request.onFailed(error);
        }
        if (job.done || job.cancelled) await release(job);
      }
    }
  }

  function start(): void {
    looping ??= loop()
      .catch((error: unknown) => {
        for (const job of [...running.splice(0), ...queue.splice(0)]) if (!job.done) job.request.onFailed(error);
      })
      .finally(() => {
        looping = undefined;
        if (queue.length > 0) start();
      });
  }

  return {
    submit: (request) => {
      if (stopped) throw new Error('the engine has been stopped');
      const arrivedMs = performance.now();
      const blank = { slot: undefined, computed: 0, tokensCached: 0, admittedMs: 0, firstMs: 0, lastMs: 0, produced: 0 };
      const job: Job = { request, arrivedMs, ...blank, iterator: undefined, cancelled: false, done: false };
      queue.push(job);
      start();
      return {
        cancel: () => {
          job.cancelled = true;
          const at = queue.indexOf(job);
          if (at >= 0) queue.splice(at, 1);
        },
      };
    },
    stats: () => ({
      ...totals,
      running: running.length,
      waiting: Math.max(0, queue.length - idle.length),
      heldTokens: all.reduce((sum, { sequence }) => sum + sequence.nextTokenIndex, 0),
      capacityTokens: context.contextSize * all.length,
    }),
    stop: async () => {
      stopped = true;
      queue.length = 0;
      for (const job of running) job.cancelled = true;
      await looping;
    },
  };
}
