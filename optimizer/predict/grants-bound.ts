import { edgesOf, type Workflow } from '../../compiler/contracts/index.ts';

/**
 * Fewest rights any layout has that begins with these groups: one for each ordered pair of groups of which a member of the
 * first calls one of the second. Groups never merge, so the number only grows; what has no group yet counts nothing.
 */
export function createGrantsBound(workflow: Workflow): (groups: readonly (readonly string[])[]) => number {
  const edges = edgesOf(workflow);
  return (groups) => {
    const groupOf = new Map(groups.flatMap((group, index) => group.map((name) => [name, index] as const)));
    const pairs = new Set<number>();
    for (const { from, to } of edges) {
      const [a, b] = [groupOf.get(from), groupOf.get(to)];
      if (a !== undefined && b !== undefined && a !== b) pairs.add(a * groups.length + b);
    }
    return pairs.size;
  };
}
