import type { PlannedUnit, Workflow } from '../contracts/index.ts';
import { kitExports } from '../frontends/langgraph/fields.ts';
import type { Framework } from './frameworks.ts';
import type { Imports } from './imports.ts';
import { printLiteral } from './literal.ts';

const runtime = 'dmas-opt/runtime/agent/langgraph';

/** Stands for `placementOf` in an entry. */
const placementPlaceholder = 'langgraph';

/**
 * The agents of a LangGraph.js application in one unit, as expressions: the hub runs the graph's own loop, each node
 * runs alone. Every unit imports the whole graph: it is one value, which no bundler can cut.
 */
function partsOf(unit: PlannedUnit, workflow: Workflow, imports: Imports): readonly string[] {
  const hub = workflow.entry.kind === 'agent' ? workflow.entry.agent : '';
  const local = (name: string) => imports.of('@langchain/langgraph', name);
  const kit = () => `{ ${kitExports.map((name) => (local(name) === name ? name : `${name}: ${local(name)}`)).join(', ')} }`;
  // Imported before the user's module, which may make its model client while it is loaded.
  const models = Object.keys(unit.models).length > 0 ? `, ${imports.of(`${runtime}/model-environment`, 'modelEnvironment')}` : '';
  return workflow.agents
    .filter((agent) => unit.agents.includes(agent.name))
    .map((agent) => {
      const graph = imports.ofSource(agent.source);
      if (agent.kind !== 'langgraph-node')
        return `${imports.of(runtime, 'langgraphHub')}('${agent.name}', ${graph}, ${kit()}, '@dmas-opt:${placementPlaceholder}'${models})`;
      return `${imports.of(runtime, 'langgraphNode')}('${agent.name}', '${hub}', ${graph}, ${kit()}${models})`;
    });
}

/** Where the hub finds its nodes: by unit, its own under ''. */
function placementOf({ agents, routes }: PlannedUnit): { readonly units: { readonly [unit: string]: readonly string[] } } {
  const units: { [unit: string]: string[] } = { '': [...agents] };
  for (const { to, address } of routes) {
    const unit = /^unit:\/\/([^/]+)\//.exec(address)?.[1];
    if (unit === undefined) continue;
    units[unit] ??= [];
    if (!units[unit].includes(to)) units[unit].push(to);
  }
  return { units };
}

export const langgraphFramework: Framework = {
  parts: partsOf,
  // The contract of the hub is the same for every graph.
  entry: ({ name }, imports) => `${imports.of(runtime, 'langgraphContract')}('${name}')`,
  values: (unit) => ({ [placementPlaceholder]: printLiteral(placementOf(unit), '  ') }),
};
