import type { Configuration } from '../compiler/contracts/index.ts';
import { type PlanRequest, planningTraits } from '../compiler/plan/request.ts';
import type { Project } from './project.ts';
import { llmBackends, protocols, stateStores } from './registry.ts';

/**
 * What the planner needs to make a configuration of this project concrete: as a study runs it, or `live`, as it serves:
 * then models that a study replays are the real ones, and settings of their replay are left out.
 */
export function planRequest(project: Project, configuration: Configuration, live = false): PlanRequest {
  const { recording } = project;
  if (live)
    return { ...planRequest({ ...project, scenario: { ...project.scenario, config: project.live } }, served(project, configuration)) };
  const replays = Object.values(project.scenario.config.models).some(({ backend }) => backend === 'replay');
  const needed = recording !== undefined && (replays || project.scenario.config.replay !== undefined);
  return {
    ...planningTraits({ protocols, llmBackends, stateStores }),
    workflow: project.workflow,
    configuration,
    target: project.target.id,
    targetTraits: project.target.traits,
    scenario: project.scenario.config,
    name: project.scenario.name,
    replies: project.replies,
    profiles: project.profiles,
    ...(needed ? { recording: { sha256: recording.sha256, entries: recording.entries.length } } : {}),
  };
}

function served({ scenario, live }: Project, configuration: Configuration): Configuration {
  const changed = (model: string) => scenario.config.models[model]?.backend !== live.models[model]?.backend;
  const serving = Object.entries(configuration.serving).filter(([model]) => !changed(model));
  return { ...configuration, serving: Object.fromEntries(serving) };
}
