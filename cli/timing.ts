import { availableParallelism } from 'node:os';
import type { LlmTraits } from '../compiler/contracts/index.ts';
import { startsServer } from '../compiler/plan/model-programs.ts';
import type { StudyTiming } from '../optimizer/study/input.ts';
import type { Scenario } from '../scenarios/schema.ts';
import type { Project } from './project.ts';
import { llmBackends } from './registry.ts';

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

/**
 * Clients of the closed loop that measures what the present layout can take: four per core keep every core busy while
 * answers travel. Undefined, so not measured, where a model is only pointed at: others may depend on that endpoint.
 */
export function capacityClients({ scenario }: Project): number | undefined {
  const traits: { readonly [backend: string]: LlmTraits } = Object.fromEntries(llmBackends.map((known) => [known.id, known.traits]));
  const pointedAt = Object.values(scenario.config.models).some((model) => {
    const known = traits[model.backend];
    return known === undefined || !startsServer(known, model) || model.protect !== undefined;
  });
  return pointedAt ? undefined : 4 * availableParallelism();
}
