import type { EffectPolicy } from '../compiler/contracts/index.ts';
import { decideEffects, type EffectDecision, effectPolicy } from '../compiler/plan/effects.ts';
import type { Project } from './project.ts';

const inputOf = ({ workflow, scenario, recording }: Project) => ({
  workflow,
  config: scenario.config,
  recorded: new Set(
    (recording?.entries ?? [])
      .filter(({ kind, reply }) => (kind === 'tool' || kind === 'agent') && reply.content !== undefined)
      .map(({ target }) => target),
  ),
});

/** How every tool and external agent is answered while a study measures, and why. */
export const effectsOf = (project: Project): readonly EffectDecision[] => decideEffects(inputOf(project));

/** The same as the units of a study are told it. */
export const studyEffects = (project: Project): { readonly policy: EffectPolicy; readonly stubbedTools: readonly string[] } =>
  effectPolicy(inputOf(project));

/** While a recording is made: as in a study without a cassette, and what runs is written down. */
export function recordingEffects(project: Project): { readonly policy: EffectPolicy; readonly stubbedTools: readonly string[] } {
  const { replay: _, ...config } = project.scenario.config;
  const { policy, stubbedTools } = effectPolicy({ workflow: project.workflow, config, recorded: new Set() });
  const { content, ignore } = project.scenario.config.record;
  return { policy: { ...policy, record: { content, ignore } }, stubbedTools };
}
