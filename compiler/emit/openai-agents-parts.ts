import type { Agent } from '../contracts/index.ts';
import type { Framework } from './frameworks.ts';
import type { Imports } from './imports.ts';

const runtime = 'dmas-opt/runtime/agent/openai-agents';
const sdkPackage = '@openai/agents';
const needed = ['RunContext', 'Runner', 'Usage', 'setTracingDisabled'];

/**
 * An agent of an OpenAI Agents SDK application, as an expression. Every unit imports all agents: they hold one another,
 * which no bundler can cut. Each runs its own only, with the SDK the user's files import.
 */
function partOf({ name, source }: Agent, imports: Imports): string {
  const local = needed.map((each) => [each, imports.of(sdkPackage, each)]);
  const sdk = local.map(([each, as]) => (each === as ? each : `${each}: ${as}`)).join(', ');
  return `await ${imports.of(runtime, 'openaiAgent')}('${name}', ${imports.ofSource(source)}, { ${sdk} })`;
}

export const openaiAgentsFramework: Framework = {
  parts: (unit, { agents }, imports) => agents.filter(({ name }) => unit.agents.includes(name)).map((agent) => partOf(agent, imports)),
  entry: (agent, imports) => `(${partOf(agent, imports)}).ref`,
};
