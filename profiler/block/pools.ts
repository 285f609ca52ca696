import type { Block, PoolLoad } from '../../compiler/contracts/index.ts';
import { modelOf } from '../analyze/models.ts';
import type { Forest } from '../analyze/tree.ts';

/** What a block keeps of its pools; nothing where none told its load. */
export const blockPools = (pools: readonly PoolLoad[] | undefined): Pick<Block, 'pools'> =>
  pools === undefined || pools.length === 0 ? {} : { pools };

/** Calls of each logical model per traced request. */
export function callsPerRequest(forest: Pick<Forest, 'requests'>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const node of forest.requests.flatMap(({ nodes }) => nodes)) {
    if (node.role === 'chat') counts.set(modelOf(node), (counts.get(modelOf(node)) ?? 0) + 1);
  }
  return new Map([...counts].map(([model, count]) => [model, count / forest.requests.length]));
}
