import type { StudyTiming } from '../optimizer/study/input.ts';
import type { Scenario } from '../scenarios/schema.ts';

/**
 * Rounds of a study. Three pairs are the fewest that can give a verdict; beyond six the interval narrows by less than
 * a tenth per round (it goes with the root of the pairs), so the time is better spent on longer blocks.
 */
export const studyTiming = ({ config }: Scenario): StudyTiming => ({
  warmupMs: config.workload.warmup,
  durationMs: config.workload.duration,
  minRounds: 3,
  maxRounds: 6,
});
