import type { Workflow } from '../compiler/contracts/index.ts';
import type { Scenario } from '../scenarios/schema.ts';

/** Tools a study must not run: those with side effects that the scenario does not allow by name. */
export function stubbedTools(workflow: Workflow, { config }: Scenario): readonly string[] {
  const allowed = new Set(config.workload.allowSideEffects);
  return workflow.tools.filter((tool) => tool.effect === 'sideEffect' && !allowed.has(tool.name)).map((tool) => tool.name);
}
