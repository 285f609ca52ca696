/** A request in a slot, as far as the next step depends on it. */
export interface Running {
  /** Prompt tokens not yet computed; 0 once it produces tokens. */
  readonly promptLeft: number;
}

/**
 * How many tokens each running request gets in the next step, in the order of `running`, which is the order of admission: one for every
 * request that produces tokens, and what is left of `batchTokens` to prompts, first come first served. It is what llama.cpp's own server
 * does (`update_slots`): decodes first, then prompts until the batch is full.
 */
export function planStep(running: readonly Running[], batchTokens: number): number[] {
  let left = batchTokens - running.filter(({ promptLeft }) => promptLeft === 0).length;
  return running.map(({ promptLeft }) => {
    if (promptLeft === 0) return 1;
    const given = Math.min(promptLeft, Math.max(0, left));
    left -= given;
    return given;
  });
}

/** An idle slot, as far as the choice depends on it. */
export interface IdleSlot {
  /** What its context holds. */
  readonly held: readonly number[];
  /** Counts up with every use. */
  readonly lastUsed: number;
}

/**
 * What two beginnings must differ by to matter. Without it the few tokens every prompt begins with would push a long conversation out
 * of its slot while another slot has been unused for longer. The size of vLLM's cache blocks.
 */
const reuseBlockTokens = 16;

/**
 * The idle slot for a prompt: the one whose context shares the longest beginning with it, counted in blocks of 16 tokens, and among equals
 * the one unused for longest. `shared` is exact; at least one token is left to compute, since a reply follows from the last one.
 */
export function chooseSlot(
  slots: readonly IdleSlot[],
  prompt: readonly number[],
): { readonly index: number; readonly shared: number } | undefined {
  let best: { index: number; shared: number; blocks: number; lastUsed: number } | undefined;
  slots.forEach(({ held, lastUsed }, index) => {
    const shared = Math.min(sharedBeginning(held, prompt), prompt.length - 1);
    const blocks = Math.floor(shared / reuseBlockTokens);
    const isBetter = best === undefined || blocks > best.blocks || (blocks === best.blocks && lastUsed < best.lastUsed);
    if (isBetter) best = { index, shared, blocks, lastUsed };
  });
  return best;
}

function sharedBeginning(left: readonly number[], right: readonly number[]): number {
  const limit = Math.min(left.length, right.length);
  let index = 0;
  while (index < limit && left[index] === right[index]) index++;
  return index;
}
