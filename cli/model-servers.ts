import { DmasError, type LlmTraits, type Problem } from '../compiler/contracts/index.ts';
import { startsServer } from '../compiler/plan/model-programs.ts';
import { findExecutable } from '../runtime/targets/process/program.ts';
import type { Project } from './project.ts';
import { llmBackends } from './registry.ts';

const traitsOf: { readonly [backend: string]: LlmTraits } = Object.fromEntries(llmBackends.map(({ id, traits }) => [id, traits]));

/** Model servers that cannot be started here, because their program is not: told once, before every layout fails with it. */
export function checkModelServers({ scenario, target }: Pick<Project, 'scenario' | 'target'>): readonly Problem[] {
  if (target.traits.programs !== 'command') return [];
  return Object.entries(scenario.config.models).flatMap(([name, model]) => {
    const traits = traitsOf[model.backend];
    const [file] = traits?.program?.command ?? [];
    if (traits === undefined || file === undefined || !startsServer(traits, model)) return [];
    try {
      findExecutable(file, scenario.folder, process.env.PATH ?? '', name);
      return [];
    } catch (error) {
      if (!(error instanceof DmasError)) throw error;
      return {
        code: 'DMAS_ENV_COMMAND' as const,
        severity: 'error' as const,
        message: `models.${name}: ${file} is not in PATH, so no server of it can be started here`,
        at: { file: scenario.file, ...(scenario.places[`models.${name}.backend`] ?? scenario.places[`models.${name}`]) },
        fix: `install ${file} (see docs/${model.backend}.md), give models.${name}.url of one that runs, or take target: docker with options.image`,
      };
    }
  });
}
