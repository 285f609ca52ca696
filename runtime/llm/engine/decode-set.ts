import { createHeap } from './heap.ts';
import { contextAt, type Sequence } from './sequence.ts';

/**
 * The sequences that decode, as sums: each of them gets one more token of context in every step, so what a step computes
 * and which blocks it fills follow from its number alone, and many equal steps cost no more than one.
 */
export interface DecodeSet {
  readonly size: number;
  /** Tokens all of them together have in the cache after step `step`. */
  contextTokens(step: number): number;
  /** The most any of them has. */
  contextMax(step: number): number;
  add(sequence: Sequence): void;
  /** `sequence` decodes in no step after `step`; its blocks are those it has filled by then. */
  remove(sequence: Sequence, step: number): void;
  /** Blocks that step `step` begins. */
  newBlocks(step: number): number;
  /** Blocks that `count` steps after step `step` begin. */
  newBlocksAfter(step: number, count: number): number;
  /** One of those that get their last token in step `step`, each given once; undefined when there are no more. */
  takeEnding(step: number): Sequence | undefined;
  /** How many steps after step `step` end no sequence and begin no more than `freeBlocks` blocks. */
  stepsAlike(step: number, freeBlocks: number): number;
}

/** `running` holds every sequence of the batch, those that decode among them; it is read, not changed. */
export function createDecodeSet(blockSize: number, running: readonly Sequence[]): DecodeSet {
  let decodes = 0;
  /** Sum and maximum of context minus step. */
  let offsets = 0;
  let maxOffset = Number.NEGATIVE_INFINITY;
  /** How many begin a block in steps that leave this remainder. */
  const newBlockAt = new Int32Array(blockSize);
  const endings = createHeap<{ readonly step: number; readonly sequence: Sequence }>(
    (a, b) => a.step < b.step || (a.step === b.step && a.sequence.order < b.sequence.order),
  );

  const offsetOf = (sequence: Sequence) => sequence.length - sequence.lastPrompt;
  /** Steps are at least 1 and offsets may be negative, hence the second remainder. */
  const phaseOf = (sequence: Sequence) => (((1 - offsetOf(sequence)) % blockSize) + blockSize) % blockSize;
  const newBlocks = (step: number) => newBlockAt[step % blockSize] as number;

  return {
    get size() {
      return decodes;
    },
    contextTokens: (step) => offsets + decodes * step,
    contextMax: (step) => (decodes > 0 ? maxOffset + step : 0),
    add: (sequence) => {
      sequence.state = 'decode';
      decodes++;
      offsets += offsetOf(sequence);
      maxOffset = Math.max(maxOffset, offsetOf(sequence));
      const phase = phaseOf(sequence);
      newBlockAt[phase] = (newBlockAt[phase] as number) + 1;
      endings.push({ step: sequence.lastStep, sequence });
    },
    remove: (sequence, step) => {
      decodes--;
      offsets -= offsetOf(sequence);
      const phase = phaseOf(sequence);
      newBlockAt[phase] = (newBlockAt[phase] as number) - 1;
      sequence.blocks = Math.ceil(contextAt(sequence, step) / blockSize) - sequence.keyed.length;
      sequence.state = 'ended';
      if (offsetOf(sequence) === maxOffset) {
        maxOffset = Number.NEGATIVE_INFINITY;
        for (const other of running) if (other.state === 'decode') maxOffset = Math.max(maxOffset, offsetOf(other));
      }
    },
    newBlocks,
    newBlocksAfter: (step, count) => {
      let blocks = Math.floor(count / blockSize) * decodes;
      for (let index = 1; index <= count % blockSize; index++) blocks += newBlocks(step + index);
      return blocks;
    },
    takeEnding: (step) => {
      for (let next = endings.peek(); next && next.step <= step; next = endings.peek()) {
        endings.pop();
        const { sequence } = next;
        if (sequence.state === 'decode' && sequence.lastStep === step) return sequence;
      }
      return undefined;
    },
    stepsAlike: (step, freeBlocks) => {
      while (endings.peek() && endings.peek()?.sequence.state !== 'decode') endings.pop();
      const most = (endings.peek()?.step ?? step) - step;
      const cycles = Math.min(Math.floor(freeBlocks / decodes), Math.floor(most / blockSize));
      let count = cycles * blockSize;
      let left = freeBlocks - cycles * decodes;
      while (count < most) {
        left -= newBlocks(step + count + 1);
        if (left < 0) break;
        count++;
      }
      return count;
    },
  };
}
