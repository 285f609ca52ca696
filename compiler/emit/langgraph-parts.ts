import type { PlannedUnit, Workflow } from '../contracts/index.ts';
import type { Imports } from './imports.ts';

const runtime = 'dmas-opt/runtime/agent/langgraph';

/**
 * The agents of a LangGraph.js application in one unit, as expressions: the hub runs the graph's own loop, each node
 * runs alone. Every unit imports the whole graph: it is one value, which no bundler can cut.
 */
export function langgraphParts(unit: PlannedUnit, workflow: Workflow, imports: Imports): readonly string[] {
  return workflow.agents
    .filter((agent) => unit.agents.includes(agent.name))
    .map((agent) => {
      const graph = imports.ofSource(agent.source);
      if (agent.kind !== 'langgraph-node') return `${imports.of(runtime, 'langgraphHub')}('${agent.name}', ${graph})`;
      return `${imports.of(runtime, 'langgraphNode')}('${agent.name}', ${graph})`;
    });
}
