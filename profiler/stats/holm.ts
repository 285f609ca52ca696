/**
 * Error level of each of several comparisons so that all verdicts together err with at most `alpha` (Holm 1979): the
 * smallest p-value is held against alpha/m, the next against alpha/(m-1), and so on while they are rejected; the rest
 * stay at the level where that stopped. An interval at the level given leaves out "no difference" exactly when Holm's
 * procedure rejects, so interval and verdict never disagree.
 */
export function holmLevels(pValues: readonly number[], alpha: number): readonly number[] {
  const order = pValues.map((p, index) => ({ p, index })).sort((a, b) => a.p - b.p || a.index - b.index);
  const levels = pValues.map(() => alpha);
  let left = pValues.length;
  let rejecting = true;
  for (const { p, index } of order) {
    levels[index] = alpha / left;
    if (rejecting && p <= alpha / left) left -= 1;
    else rejecting = false;
  }
  return levels;
}
