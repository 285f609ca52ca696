import { createHeap } from './heap.ts';
import { type BlockPool, createBlockPool } from './kv-blocks.ts';
import { contextAt, producedAfter, type Sequence } from './sequence.ts';
import type { EngineArgs, StepBatch } from './step-time.ts';

/** One step of one rank, as scheduled. Reused: valid until the step is over. */
export interface Step {
  number: number;
  readonly batch: StepBatch;
  /** Sequences whose last chunk of prompt it holds: each gets a token at its end. */
  readonly completes: Sequence[];
  /** Sequences that get their last token at its end. */
  readonly ends: Sequence[];
  /** Nothing but decodes, and nothing that changes with time alone was left undone: the next one may be its equal. */
  steady: boolean;
}

export function createStep(): Step {
  return { number: 0, batch: emptyBatch(), completes: [], ends: [], steady: false };
}

const emptyBatch = (): StepBatch => ({
  decodes: 0,
  decodeContextTokens: 0,
  decodeContextMax: 0,
  prefillChunks: 0,
  prefillTokens: 0,
  prefillContextTokens: 0,
  prefillPairs: 0,
  prefillChunkMax: 0,
  samples: 0,
});

export const tokensOf = ({ decodes, prefillTokens }: StepBatch) => decodes + prefillTokens;

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
  const pool: BlockPool = createBlockPool(args.kvBlocks, args.prefixLifetimeMs);
  /** In order of admission. */
  const running: Sequence[] = [];
  let queue: (Sequence | undefined)[] = [];
  let queueHead = 0;
  /** Preempted ones go before everybody else, the last one preempted first. */
  const preempted: Sequence[] = [];
  let waiting = 0;
  let last = 0;
  let joining: Sequence[] = [];
  let leaving: Sequence[] = [];
  let partial: Sequence | undefined;
  let preemptions = 0;
  let prefixQueryTokens = 0;
  let prefixHitTokens = 0;

  /** Of the sequences that decode: how many, the sum and maximum of context minus step, and who fills a block when. */
  let decodes = 0;
  let offsets = 0;
  let maxOffset = Number.NEGATIVE_INFINITY;
  const newBlockAt = new Int32Array(blockSize);
  const endings = createHeap<{ readonly step: number; readonly sequence: Sequence }>(
    (a, b) => a.step < b.step || (a.step === b.step && a.sequence.order < b.sequence.order),
  );

  const offsetOf = (sequence: Sequence) => sequence.length - sequence.lastPrompt;
  const blocksFor = (tokens: number) => Math.ceil(tokens / blockSize);
  /** Steps are at least 1 and offsets may be negative, hence the second remainder. */
  const phaseOf = (sequence: Sequence) => (((1 - offsetOf(sequence)) % blockSize) + blockSize) % blockSize;

  function startDecoding(sequence: Sequence): void {
    sequence.state = 'decode';
    decodes++;
    offsets += offsetOf(sequence);
    maxOffset = Math.max(maxOffset, offsetOf(sequence));
    const phase = phaseOf(sequence);
    newBlockAt[phase] = (newBlockAt[phase] as number) + 1;
    endings.push({ step: sequence.lastStep, sequence });
  }

  /** `sequence` decodes in no step after `step`. */
  function stopDecoding(sequence: Sequence, step: number): void {
    decodes--;
    offsets -= offsetOf(sequence);
    const phase = phaseOf(sequence);
    newBlockAt[phase] = (newBlockAt[phase] as number) - 1;
    sequence.blocks = blocksFor(contextAt(sequence, step)) - sequence.keyed.length;
    sequence.state = 'ended';
    if (offsetOf(sequence) === maxOffset) {
      maxOffset = Number.NEGATIVE_INFINITY;
      for (const other of running) if (other.state === 'decode') maxOffset = Math.max(maxOffset, offsetOf(other));
    }
  }

  function head(): Sequence | undefined {
    while (preempted.length > 0 && preempted[preempted.length - 1]?.state !== 'waiting') preempted.pop();
    if (preempted.length > 0) return preempted[preempted.length - 1];
    while (queueHead < queue.length && queue[queueHead]?.state !== 'waiting') queue[queueHead++] = undefined;
    if (queueHead > 1024 && queueHead * 2 > queue.length) {
      queue = queue.slice(queueHead);
      queueHead = 0;
    }
    return queue[queueHead];
  }

  function popHead(): void {
    if (preempted.length > 0) preempted.pop();
    else queue[queueHead++] = undefined;
    waiting--;
  }

  function giveBack(sequence: Sequence, nowMs: number, keep: boolean): void {
    sequence.freed = pool.release(sequence.blocks, keep);
    sequence.blocks = 0;
    pool.leave(sequence.keyed, nowMs);
    sequence.keyed = [];
  }

  /** While step `last` is planned; what is under way still counts for the victim. */
  function preempt(nowMs: number): Sequence {
    const victim = running.pop() as Sequence;
    preemptions++;
    victim.preemptions++;
    victim.freedTokens = victim.computed;
    if (victim.state === 'decode') {
      victim.freedTokens = contextAt(victim, last - 1);
      stopDecoding(victim, last - 1);
      victim.state = 'decode';
    }
    if (victim === partial) partial = undefined;
    giveBack(victim, nowMs, prefixCaching);
    if (victim.state === 'ended') return victim;
    victim.produced = producedAfter(victim, last - 1);
    victim.length = victim.tokensIn + victim.produced;
    victim.computed = 0;
    victim.state = 'waiting';
    preempted.push(victim);
    waiting++;
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
    const { batch } = step;
    batch.prefillChunks++;
    batch.prefillTokens += tokens;
    batch.prefillChunkMax = Math.max(batch.prefillChunkMax, tokens);
    batch.prefillContextTokens += sequence.computed;
    batch.prefillPairs += tokens * (sequence.computed + (tokens + 1) / 2);
    sequence.computed += tokens;
    nameBlocks(sequence, sequence.computed);
    if (sequence.computed < sequence.length) {
      sequence.state = 'prefill';
      partial = sequence;
      return;
    }
    batch.samples++;
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

  /** Full blocks of a known prefix can be found by others as soon as they are scheduled. */
  function nameBlocks(sequence: Sequence, tokens: number): void {
    if (!prefixCaching || sequence.prefix.length === 0) return;
    const full = Math.min(sequence.prefix.length, Math.floor(tokens / blockSize));
    while (sequence.keyed.length < full) {
      const block = pool.name(sequence.prefix[sequence.keyed.length] as string);
      if (!block) return;
      sequence.keyed.push(block);
      sequence.blocks--;
    }
  }

  function continuePartial(step: Step, sequence: Sequence, budget: number, nowMs: number): boolean {
    const tokens = Math.min(sequence.length - sequence.computed, budget);
    const more = blocksFor(sequence.computed + tokens) - sequence.blocks - sequence.keyed.length;
    if (more > pool.free) {
      preempt(nowMs);
      return false;
    }
    pool.take(more);
    sequence.blocks += more;
    addChunk(step, sequence, tokens);
    return true;
  }

  /** Admits the head of the queue with what is left of the step's tokens; false when there is no room. */
  function admit(step: Step, sequence: Sequence, budget: number, nowMs: number): boolean {
    const total = blocksFor(sequence.length);
    let found = 0;
    let revived = 0;
    let foundInUse = 0;
    const full = Math.floor((sequence.length - 1) / blockSize);
    if (prefixCaching) {
      const most = sequence.fixedCached === undefined ? Math.min(sequence.prefix.length, full) : 0;
      if (most > 0) ({ blocks: found, inUse: foundInUse } = pool.match(sequence.prefix, most, nowMs));
      if (sequence.freed && found === most) {
        const computed = Math.min(full, Math.floor(sequence.freedTokens / blockSize));
        revived = Math.max(0, Math.min(pool.surviving(sequence.freed), computed - found));
      }
    }
    if (total - foundInUse > pool.free) return false;
    popHead();
    if (found > 0) sequence.keyed = pool.use(sequence.prefix, found);
    if (sequence.freed) {
      pool.reclaim(sequence.freed, revived);
      sequence.freed = undefined;
    }
    sequence.blocks = revived;
    sequence.computed = Math.max((found + revived) * blockSize, Math.min(sequence.fixedCached ?? 0, sequence.length - 1));
    if (sequence.preemptions === 0) {
      sequence.scheduledMs = nowMs;
      sequence.tokensCached = sequence.computed;
      prefixQueryTokens += sequence.length;
      prefixHitTokens += sequence.computed;
    }
    const tokens = Math.min(sequence.length - sequence.computed, budget);
    const more = blocksFor(sequence.computed + tokens) - sequence.blocks - sequence.keyed.length;
    pool.take(more);
    sequence.blocks += more;
    running.push(sequence);
    addChunk(step, sequence, tokens);
    return true;
  }

  function clear(step: Step): void {
    Object.assign(step.batch, cleared);
    step.completes.length = 0;
    step.ends.length = 0;
  }

  /** Whoever gets the last token in step `last`. */
  function collectEnds(step: Step): void {
    for (let next = endings.peek(); next && next.step <= last; next = endings.peek()) {
      endings.pop();
      const { sequence } = next;
      if (sequence.state !== 'decode' || sequence.lastStep !== last) continue;
      step.ends.push(sequence);
      leaving.push(sequence);
    }
  }

  function settleLast(): void {
    const [left, joined] = [leaving, joining];
    leaving = [];
    joining = [];
    for (const sequence of left) if (sequence.state === 'decode') stopDecoding(sequence, last);
    for (const sequence of joined) if (sequence.state === 'joining') startDecoding(sequence);
  }

  return {
    enqueue: (sequence, seenMs) => {
      sequence.state = 'waiting';
      sequence.seenMs = seenMs;
      queue.push(sequence);
      waiting++;
    },
    schedule: (step, nowMs) => {
      clear(step);
      settleLast();
      last++;
      step.number = last;
      const { batch } = step;
      const need = newBlockAt[last % blockSize] as number;
      let evicted = false;
      if (need > pool.free) evicted = makeRoom(nowMs);
      else pool.take(need);
      batch.decodes = decodes;
      batch.decodeContextTokens = offsets + decodes * last;
      batch.decodeContextMax = decodes > 0 ? maxOffset + last : 0;
      batch.samples = decodes;
      let budget = maxNumBatchedTokens - decodes;
      if (partial && budget > 0) {
        const before = batch.prefillTokens;
        if (!continuePartial(step, partial, budget, nowMs)) evicted = true;
        budget -= batch.prefillTokens - before;
      }
      while (!evicted && budget > 0 && running.length < maxNumSeqs) {
        const next = head();
        const before = batch.prefillTokens;
        if (!next || !admit(step, next, budget, nowMs)) break;
        budget -= batch.prefillTokens - before;
      }
      collectEnds(step);
      step.steady = !evicted && decodes > 0 && batch.prefillChunks === 0 && partial === undefined;
    },
    repeatable: (step) => {
      if (!step.steady || step.ends.length > 0) return 0;
      while (endings.peek() && endings.peek()?.sequence.state !== 'decode') endings.pop();
      const most = (endings.peek()?.step ?? last) - last;
      const cycles = Math.min(Math.floor(pool.free / decodes), Math.floor(most / blockSize));
      let count = cycles * blockSize;
      let left = pool.free - cycles * decodes;
      while (count < most) {
        left -= newBlockAt[(last + count + 1) % blockSize] as number;
        if (left < 0) break;
        count++;
      }
      return count;
    },
    repeat: (step, count) => {
      const { batch } = step;
      pool.take(blocksAhead(count));
      last += count;
      step.number = last;
      batch.decodeContextTokens += decodes * count;
      batch.decodeContextMax += count;
      collectEnds(step);
    },
    remove: (sequence, nowMs) => {
      if (sequence.state === 'waiting') waiting--;
      else {
        const index = running.indexOf(sequence);
        if (index >= 0) running.splice(index, 1);
        if (sequence.state === 'decode') stopDecoding(sequence, last);
        if (partial === sequence) partial = undefined;
        if (index >= 0) {
          nameReply(sequence);
          giveBack(sequence, nowMs, false);
        }
      }
      sequence.state = 'gone';
    },
    blocksUsed: (ahead) => pool.size - pool.free + blocksAhead(ahead),
    get mayAdmit() {
      return waiting === 0 && running.length < maxNumSeqs;
    },
    get running() {
      return running.length;
    },
    get waiting() {
      return waiting;
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

  /** Keys beyond the prompt name blocks that the reply has filled. */
  function nameReply(sequence: Sequence): void {
    if (!sequence.cancelled) nameBlocks(sequence, sequence.tokensIn + sequence.tokensOut - 1);
  }

  function blocksAhead(count: number): number {
    let blocks = Math.floor(count / blockSize) * decodes;
    for (let index = 1; index <= count % blockSize; index++) blocks += newBlockAt[(last + index) % blockSize] as number;
    return blocks;
  }
}

const cleared = emptyBatch();
