import { createDecodeSet } from './decode-set.ts';
import { createBlockPool } from './kv-blocks.ts';
import { contextAt, producedAfter, type Sequence } from './sequence.ts';
import { createSequenceBlocks } from './sequence-blocks.ts';
import { addPromptChunk, clearStep, type Step } from './step.ts';
import type { EngineArgs } from './step-time.ts';
import { createWaitingQueue } from './waiting-queue.ts';

/**
 * What one rank computes in each step, as vLLM's V1 scheduler decides it: first everything in the batch in order of
 * admission, a token for each that decodes and the next chunk of a prompt that was cut; then whoever waits, first come
 * first served, as long as tokens of the step, slots and blocks for the whole prompt are left. Blocks are taken as they
 * are filled. Where one is lacking, the sequence admitted last gives all of its own back and is computed again later.
 */
export interface Scheduler {
  enqueue(sequence: Sequence, seenMs: number): void;
  /** Plans the next step; its batch has no tokens when there is nothing to do. */
  schedule(step: Step, nowMs: number): void;
  /** How many more steps just like `step`, the last one planned, could follow it. */
  repeatable(step: Step): number;
  /** Plans `count` more of them; `step` becomes the last. */
  repeat(step: Step, count: number): void;
  /** Gives up everything of a sequence whose last token is out or that was cancelled. */
  remove(sequence: Sequence, nowMs: number): void;
  /** Blocks in use once `ahead` more equal steps are planned. */
  blocksUsed(ahead: number): number;
  /** Whoever arrives now can at best be admitted at the next step; false: only after something else has changed. */
  readonly mayAdmit: boolean;
  readonly running: number;
  readonly waiting: number;
  readonly preemptions: number;
  readonly prefixQueryTokens: number;
  readonly prefixHitTokens: number;
  readonly kvBlocks: number;
}

export function createScheduler(args: EngineArgs): Scheduler {
  const { blockSize, maxNumSeqs, maxNumBatchedTokens, prefixCaching } = args;
  const pool = createBlockPool(args.kvBlocks, args.prefixLifetimeMs);
  const blocks = createSequenceBlocks(pool, blockSize, prefixCaching);
  const queue = createWaitingQueue();
  /** In order of admission. */
  const running: Sequence[] = [];
  const decoding = createDecodeSet(blockSize, running);
  let last = 0;
  let joining: Sequence[] = [];
  let leaving: Sequence[] = [];
  let partial: Sequence | undefined;
  let preemptions = 0;
  let prefixQueryTokens = 0;
  let prefixHitTokens = 0;

  /** While step `last` is planned; what is under way still counts for the victim. */
  function preempt(nowMs: number): Sequence {
    const victim = running.pop() as Sequence;
    preemptions++;
    victim.preemptions++;
    victim.freedTokens = victim.computed;
    if (victim.state === 'decode') {
      victim.freedTokens = contextAt(victim, last - 1);
      decoding.remove(victim, last - 1);
      victim.state = 'decode';
    }
    if (victim === partial) partial = undefined;
    blocks.giveBack(victim, nowMs, prefixCaching);
    if (victim.state === 'ended') return victim;
    victim.produced = producedAfter(victim, last - 1);
    victim.length = victim.tokensIn + victim.produced;
    victim.computed = 0;
    victim.state = 'waiting';
    queue.pushPreempted(victim);
    return victim;
  }

  /** Makes room for one more token of everybody in turn; true when somebody had to go. */
  function makeRoom(nowMs: number): boolean {
    let any = false;
    for (let index = 0; index < running.length; index++) {
      const sequence = running[index] as Sequence;
      if (sequence.state !== 'decode' || contextAt(sequence, last) % blockSize !== 1 % blockSize) continue;
      while (pool.free < 1) {
        any = true;
        if (preempt(nowMs) === sequence) return true;
      }
      pool.take(1);
    }
    return any;
  }

  /** The next chunk of a prompt whose blocks are there. */
  function addChunk(step: Step, sequence: Sequence, tokens: number): void {
    addPromptChunk(step.batch, tokens, sequence.computed);
    sequence.computed += tokens;
    blocks.name(sequence, sequence.computed);
    if (sequence.computed < sequence.length) {
      sequence.state = 'prefill';
      partial = sequence;
      return;
    }
    step.batch.samples++;
    partial = undefined;
    sequence.state = 'joining';
    sequence.lastPrompt = step.number;
    sequence.lastStep = step.number + sequence.tokensOut - sequence.produced - 1;
    step.completes.push(sequence);
    if (sequence.lastStep === step.number) {
      sequence.state = 'ended';
      step.ends.push(sequence);
    } else joining.push(sequence);
  }

  function continuePartial(step: Step, sequence: Sequence, budget: number, nowMs: number): boolean {
    const tokens = Math.min(sequence.length - sequence.computed, budget);
    if (!blocks.grow(sequence, tokens)) {
      preempt(nowMs);
      return false;
    }
    addChunk(step, sequence, tokens);
    return true;
  }

  /** Admits the head of the queue with what is left of the step's tokens; false when there is no room. */
  function admit(step: Step, sequence: Sequence, budget: number, nowMs: number): boolean {
    const start = blocks.lookUp(sequence, nowMs);
    if (!start.fits) return false;
    queue.popHead();
    blocks.enter(sequence, start);
    if (sequence.preemptions === 0) {
      sequence.scheduledMs = nowMs;
      sequence.tokensCached = sequence.computed;
      prefixQueryTokens += sequence.length;
      prefixHitTokens += sequence.computed;
    }
    const tokens = Math.min(sequence.length - sequence.computed, budget);
    blocks.grow(sequence, tokens);
    running.push(sequence);
    addChunk(step, sequence, tokens);
    return true;
  }

  /** Whoever gets the last token in step `last`. */
  function collectEnds(step: Step): void {
    for (let next = decoding.takeEnding(last); next; next = decoding.takeEnding(last)) {
      step.ends.push(next);
      leaving.push(next);
    }
  }

  function settleLast(): void {
    const [left, joined] = [leaving, joining];
    leaving = [];
    joining = [];
    for (const sequence of left) if (sequence.state === 'decode') decoding.remove(sequence, last);
    for (const sequence of joined) if (sequence.state === 'joining') decoding.add(sequence);
  }

  /** Keys beyond the prompt name blocks that the reply has filled. */
  function nameReply(sequence: Sequence): void {
    if (!sequence.cancelled) blocks.name(sequence, sequence.tokensIn + sequence.tokensOut - 1);
  }

  return {
    enqueue: (sequence, seenMs) => {
      sequence.state = 'waiting';
      sequence.seenMs = seenMs;
      queue.push(sequence);
    },
    schedule: (step, nowMs) => {
      settleLast();
      last++;
      clearStep(step, last);
      const { batch } = step;
      const need = decoding.newBlocks(last);
      let evicted = false;
      if (need > pool.free) evicted = makeRoom(nowMs);
      else pool.take(need);
      // Making room may have preempted some.
      batch.decodes = decoding.size;
      batch.decodeContextTokens = decoding.contextTokens(last);
      batch.decodeContextMax = decoding.contextMax(last);
      batch.samples = batch.decodes;
      let budget = maxNumBatchedTokens - batch.decodes;
      if (partial && budget > 0) {
        const before = batch.prefillTokens;
        if (!continuePartial(step, partial, budget, nowMs)) evicted = true;
        budget -= batch.prefillTokens - before;
      }
      while (!evicted && budget > 0 && running.length < maxNumSeqs) {
        const next = queue.head();
        const before = batch.prefillTokens;
        if (!next || !admit(step, next, budget, nowMs)) break;
        budget -= batch.prefillTokens - before;
      }
      collectEnds(step);
      step.steady = !evicted && decoding.size > 0 && batch.prefillChunks === 0 && partial === undefined;
    },
    repeatable: (step) => (step.steady && step.ends.length === 0 ? decoding.stepsAlike(last, pool.free) : 0),
    repeat: (step, count) => {
      const { batch } = step;
      pool.take(decoding.newBlocksAfter(last, count));
      last += count;
      step.number = last;
      batch.decodeContextTokens += decoding.size * count;
      batch.decodeContextMax += count;
      collectEnds(step);
    },
    remove: (sequence, nowMs) => {
      if (sequence.state === 'waiting') queue.leave();
      else {
        const index = running.indexOf(sequence);
        if (index >= 0) running.splice(index, 1);
        if (sequence.state === 'decode') decoding.remove(sequence, last);
        if (partial === sequence) partial = undefined;
        if (index >= 0) {
          nameReply(sequence);
          blocks.giveBack(sequence, nowMs, false);
        }
      }
      sequence.state = 'gone';
    },
    blocksUsed: (ahead) => pool.size - pool.free + decoding.newBlocksAfter(last, ahead),
    get mayAdmit() {
      return queue.length === 0 && running.length < maxNumSeqs;
    },
    get running() {
      return running.length;
    },
    get waiting() {
      return queue.length;
    },
    get preemptions() {
      return preemptions;
    },
    get prefixQueryTokens() {
      return prefixQueryTokens;
    },
    get prefixHitTokens() {
      return prefixHitTokens;
    },
    kvBlocks: pool.size,
  };
}
