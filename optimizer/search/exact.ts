import { z } from 'zod';
import type { SearchCertificate } from '../../compiler/contracts/index.ts';
import { choiceCount, choicesOf, configurationOf, picksWith, replicaVectors } from '../space/choices.ts';
import { eachPartition, itemsOf } from '../space/partitions.ts';
import { spaceSize } from '../space/size.ts';
import { createBestList, cutMargin } from './best-list.ts';
import { sampleLayouts } from './random.ts';
import { defineSearchStrategy, type SearchStrategy } from './strategy.ts';

/** Evaluations and bounds together; at tens of microseconds each a few seconds. Counted, not timed: same input, same answer. */
const defaultBudget = 200_000;
/** From so many free items on, a short sampled search first gives the pruning something to compare with. */
const warmStartItems = 8;
const warmStartEvaluations = 400;

export default defineSearchStrategy({
  id: 'exact',
  title: 'Every layout, except those a bound proves worse',
  options: z.strictObject({}),
  traits: { exact: true, maxComponents: 12 },
  load: async () => exact,
});

/**
 * Depth-first branch and bound over set partitions; for each complete one all replica counts, resources, protocols and
 * serving settings. A branch is cut only when its bound is above the worst of the kept list, so the list is the true
 * best `count` under the predictor. When the budget ends first the certificate says so, with the gap between the best
 * found and the lowest bound among what was left. A bound caught above what it should be below (it was made for another
 * predictor or calibration) costs the certificate: what it cut may have been better.
 */
export const exact: SearchStrategy = {
  search(input) {
    const { space, bound, objective, evaluate, signal, ceiling = Number.POSITIVE_INFINITY } = input;
    const best = createBestList(input.count);
    const budget = input.maxEvaluations ?? defaultBudget;
    const prepared = itemsOf(space);
    let evaluated = 0;
    let steps = 0;
    let ruledOut = 0;
    let complete = true;
    let admissible = true;
    let lowestOpen = Number.POSITIVE_INFINITY;

    const spent = () => steps >= budget || signal.aborted;
    const lower = (groups: readonly (readonly string[])[], replicas?: readonly number[]) => {
      steps++;
      return bound ? bound.lower(groups, replicas) : Number.NEGATIVE_INFINITY;
    };
    const hopeless = (value: number) => value === Number.POSITIVE_INFINITY || value > Math.min(ceiling, best.threshold()) * (1 + cutMargin);
    const leaveOpen = (value: number) => {
      complete = false;
      lowestOpen = Math.min(lowestOpen, value);
    };

    if (bound && prepared.items.length > warmStartItems) {
      const sampled = sampleLayouts({ ...input, maxEvaluations: Math.min(warmStartEvaluations, Math.floor(budget / 4)) });
      for (const { configuration, prediction, objective: value } of sampled.best)
        best.add(configuration, prediction, value, input.tieBreak?.(prediction) ?? 0);
      evaluated += sampled.evaluated;
      steps += sampled.evaluated;
    }

    eachPartition(
      space,
      {
        partial: (groups) => {
          const value = lower(groups);
          if (hopeless(value)) return false;
          if (!spent()) return true;
          leaveOpen(value);
          return false;
        },
        leaf: (groups) => {
          const value = lower(groups);
          const choices = choicesOf(space, groups);
          if (hopeless(value)) {
            ruledOut += choiceCount(choices);
            return true;
          }
          const onlyReplicas = choices.replicas.every((range) => range.min === range.max);
          for (const replicas of replicaVectors(choices)) {
            const valueWith = onlyReplicas ? value : lower(groups, replicas);
            if (hopeless(valueWith)) continue;
            for (const pick of picksWith(choices, replicas)) {
              if (spent()) {
                leaveOpen(valueWith);
                return true;
              }
              const configuration = configurationOf(space, groups, choices, pick);
              const prediction = evaluate(configuration);
              evaluated++;
              steps++;
              const found = objective(prediction);
              if (valueWith > found * (1 + cutMargin)) admissible = false;
              best.add(configuration, prediction, found, input.tieBreak?.(prediction) ?? 0);
            }
          }
          return true;
        },
      },
      prepared,
    );
    const items = best.items();
    const size = spaceSize(space);
    const certificate: SearchCertificate = {
      strategy: 'exact',
      evaluated,
      pruned: complete ? Math.max(0, size - evaluated) : ruledOut,
      spaceSize: size,
      optimalUnder: complete && admissible ? 'predictor' : 'none',
      gap: !admissible ? 1 : complete ? 0 : relativeGap(items[0]?.objective, lowestOpen),
    };
    return { best: items, certificate };
  },
};

/** How much better, as a share of the best found, something unseen could be: 0 proven, 1 nothing known. */
export function relativeGap(best: number | undefined, lower: number): number {
  if (best === undefined || !Number.isFinite(lower)) return best !== undefined && lower === Number.POSITIVE_INFINITY ? 0 : 1;
  if (best <= 0) return best <= lower ? 0 : 1;
  return Math.min(1, Math.max(0, (best - lower) / best));
}
