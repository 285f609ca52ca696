import type { BlockPool } from './kv-blocks.ts';
import type { Sequence } from './sequence.ts';

/** What of a sequence's prompt is in the cache already. */
export interface CachedStart {
  /** Named blocks, from the first on. */
  readonly found: number;
  /** Blocks behind those that it gave back at its preemption, and that still hold what they held. */
  readonly revived: number;
  /** Whether blocks for the whole of its prompt are free, or found in use by others. */
  readonly fits: boolean;
}

/** What a sequence takes from the pool of blocks, names, and gives back. */
export interface SequenceBlocks {
  lookUp(sequence: Sequence, nowMs: number): CachedStart;
  /** Takes the blocks that `lookUp` has just found, and counts what they hold as computed. */
  enter(sequence: Sequence, start: CachedStart): void;
  /** Takes blocks for `tokens` more of the prompt; false when there are not as many. */
  grow(sequence: Sequence, tokens: number): boolean;
  /** Full blocks of a known prefix can be found by others as soon as they are scheduled. */
  name(sequence: Sequence, tokens: number): void;
  /** With `keep`, for the time it is admitted again. */
  giveBack(sequence: Sequence, nowMs: number, keep: boolean): void;
}

export function createSequenceBlocks(pool: BlockPool, blockSize: number, prefixCaching: boolean): SequenceBlocks {
  const blocksFor = (tokens: number) => Math.ceil(tokens / blockSize);
  return {
    lookUp: (sequence, nowMs) => {
      let found = 0;
      let revived = 0;
      let foundInUse = 0;
      if (prefixCaching) {
        // The last token is always computed: somebody has to say what follows it.
        const full = Math.floor((sequence.length - 1) / blockSize);
        const most = sequence.fixedCached === undefined ? Math.min(sequence.prefix.length, full) : 0;
        if (most > 0) ({ blocks: found, inUse: foundInUse } = pool.match(sequence.prefix, most, nowMs));
        if (sequence.freed && found === most) {
          const computed = Math.min(full, Math.floor(sequence.freedTokens / blockSize));
          revived = Math.max(0, Math.min(pool.surviving(sequence.freed), computed - found));
        }
      }
      return { found, revived, fits: blocksFor(sequence.length) - foundInUse <= pool.free };
    },
    enter: (sequence, { found, revived }) => {
      if (found > 0) sequence.keyed = pool.use(sequence.prefix, found);
      if (sequence.freed) {
        pool.reclaim(sequence.freed, revived);
        sequence.freed = undefined;
      }
      sequence.blocks = revived;
      sequence.computed = Math.max((found + revived) * blockSize, Math.min(sequence.fixedCached ?? 0, sequence.length - 1));
    },
    grow: (sequence, tokens) => {
      const more = blocksFor(sequence.computed + tokens) - sequence.blocks - sequence.keyed.length;
      if (more > pool.free) return false;
      pool.take(more);
      sequence.blocks += more;
      return true;
    },
    name: (sequence, tokens) => {
      if (!prefixCaching || sequence.prefix.length === 0) return;
      const full = Math.min(sequence.prefix.length, Math.floor(tokens / blockSize));
      while (sequence.keyed.length < full) {
        const block = pool.name(sequence.prefix[sequence.keyed.length] as string);
        if (!block) return;
        sequence.keyed.push(block);
        sequence.blocks--;
      }
    },
    giveBack: (sequence, nowMs, keep) => {
      sequence.freed = pool.release(sequence.blocks, keep);
      sequence.blocks = 0;
      pool.leave(sequence.keyed, nowMs);
      sequence.keyed = [];
    },
  };
}
