import type { PlannedUnit, Workflow } from '../contracts/index.ts';
import type { Imports } from './imports.ts';

const runtime = 'dmas-opt/runtime/agent/openai-agents';
const sdkPackage = '@openai/agents';
const needed = ['RunContext', 'Runner', 'Usage', 'setTracingDisabled'];

/**
 * The agents of an OpenAI Agents SDK application in one unit, as expressions. Every unit imports all agents: they hold
 * one another, which no bundler can cut. Each runs its own only, with the SDK the user's files import.
 */
export function openaiAgentsParts(unit: PlannedUnit, workflow: Workflow, imports: Imports): readonly string[] {
  const own = workflow.agents.filter((agent) => unit.agents.includes(agent.name));
  return own.map((agent) => {
    const local = needed.map((name) => [name, imports.of(sdkPackage, name)]);
    const sdk = local.map(([name, as]) => (name === as ? name : `${name}: ${as}`)).join(', ');
    return `await ${imports.of(runtime, 'openaiAgent')}('${agent.name}', ${imports.ofSource(agent.source)}, { ${sdk} })`;
  });
}
