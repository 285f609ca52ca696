import type { Configuration } from '../compiler/contracts/index.ts';
import { type PlanRequest, planningTraits } from '../compiler/plan/request.ts';
import type { Project } from './project.ts';
import { llmBackends, protocols, stateStores } from './registry.ts';

/** What the planner needs to make a configuration of this project concrete. */
export function planRequest(project: Project, configuration: Configuration): PlanRequest {
  return {
    ...planningTraits({ protocols, llmBackends, stateStores }),
    workflow: project.workflow,
    configuration,
    target: project.target.id,
    targetTraits: project.target.traits,
    scenario: project.scenario.config,
    name: project.scenario.name,
    replies: project.replies,
  };
}
