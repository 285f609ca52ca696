/**
 * Paged KV memory of one rank. Blocks nobody uses are kept in the order they were freed, and taken from the oldest end,
 * so that what they hold is given up least recently used first. Blocks without a name are handled in runs, not one by one.
 */
export interface BlockPool {
  readonly size: number;
  /** Blocks nobody uses: empty ones, and those that hold something which may be given up. */
  readonly free: number;
  /** The caller has made sure that there are as many. @throws Error where it has not */
  take(count: number): void;
  /** Gives nameless blocks back; the last ones are given up first. With `keep`, they may be asked for again with `reclaim`. */
  release(count: number, keep: boolean): FreedRun | undefined;
  /** How many of a freed run are still there, from its first block on. */
  surviving(run: FreedRun): number;
  /** Takes the first `count` of a run back into use; the rest of it becomes ordinary free blocks. */
  reclaim(run: FreedRun, count: number): void;
  /** How many of the first keys are held, and how many of those blocks somebody uses at present. */
  match(keys: readonly string[], most: number, nowMs: number): { readonly blocks: number; readonly inUse: number };
  /** Takes a use of the first `count` keys, all of which are held. */
  use(keys: readonly string[], count: number): KeyedBlock[];
  /** Names a block in use. Undefined where the key is held already: the block then stays nameless. */
  name(key: string): KeyedBlock | undefined;
  /** Ends one use of each, the last first, so that a prefix outlives what extends it. */
  leave(blocks: readonly KeyedBlock[], nowMs: number): void;
}

interface Node {
  previous: Node;
  next: Node;
  /** Blocks in the run; 1 for a named block. */
  count: number;
  block: KeyedBlock | undefined;
  /** Somebody may ask for the run again: nothing is added to it. */
  kept: boolean;
}

export interface KeyedBlock {
  readonly key: string;
  uses: number;
  usedMs: number;
  node: Node | undefined;
}

export type FreedRun = Node;

export function createBlockPool(size: number, lifetimeMs = Number.POSITIVE_INFINITY): BlockPool {
  const held = new Map<string, KeyedBlock>();
  const list = {} as Node;
  list.previous = list;
  list.next = list;
  list.count = 0;
  let free = 0;

  function append(count: number, block: KeyedBlock | undefined): Node {
    const node: Node = { previous: list.previous, next: list, count, block, kept: false };
    list.previous.next = node;
    list.previous = node;
    free += count;
    return node;
  }

  function unlink(node: Node): void {
    node.previous.next = node.next;
    node.next.previous = node.previous;
    free -= node.count;
    node.count = 0;
  }

  function forget(block: KeyedBlock): void {
    held.delete(block.key);
    if (block.node) block.node.block = undefined;
    block.node = undefined;
  }

  append(size, undefined);

  return {
    size,
    get free() {
      return free;
    },
    take: (count) => {
      if (count > free) throw new Error(`internal error: ${count} KV blocks taken where ${free} are free`);
      let left = count;
      while (left > 0) {
        const node = list.next;
        if (node.block) forget(node.block);
        if (node.count > left) {
          node.count -= left;
          free -= left;
          return;
        }
        left -= node.count;
        unlink(node);
      }
    },
    release: (count, keep) => {
      if (count === 0) return undefined;
      const last = list.previous;
      if (!keep && last !== list && !last.block && !last.kept) {
        last.count += count;
        free += count;
        return undefined;
      }
      const node = append(count, undefined);
      node.kept = keep;
      return keep ? node : undefined;
    },
    surviving: (run) => run.count,
    reclaim: (run, count) => {
      if (run.count === 0) return;
      run.kept = false;
      run.count -= count;
      free -= count;
      if (run.count === 0) unlink(run);
    },
    match: (keys, most, nowMs) => {
      let blocks = 0;
      let inUse = 0;
      while (blocks < most) {
        const block = held.get(keys[blocks] as string);
        if (!block) break;
        if (block.uses === 0 && nowMs - block.usedMs > lifetimeMs) {
          forget(block);
          break;
        }
        if (block.uses > 0) inUse++;
        blocks++;
      }
      return { blocks, inUse };
    },
    use: (keys, count) => {
      const blocks: KeyedBlock[] = [];
      for (let index = 0; index < count; index++) {
        const block = held.get(keys[index] as string) as KeyedBlock;
        if (block.node) {
          unlink(block.node);
          block.node = undefined;
        }
        block.uses++;
        blocks.push(block);
      }
      return blocks;
    },
    name: (key) => {
      if (held.has(key)) return undefined;
      const block: KeyedBlock = { key, uses: 1, usedMs: 0, node: undefined };
      held.set(key, block);
      return block;
    },
    leave: (blocks, nowMs) => {
      for (let index = blocks.length - 1; index >= 0; index--) {
        const block = blocks[index] as KeyedBlock;
        block.uses--;
        block.usedMs = nowMs;
        if (block.uses === 0) block.node = append(1, block);
      }
    },
  };
}
