import { isAgentTool, isModel, isSdkAgent, isSdkHandoff, type Sdk, type SdkAgent, type SdkTool } from './sdk.ts';

/** One agent of an application, and whom it may pass work to. */
export interface AgentFacts {
  /** Name of its component. */
  readonly name: string;
  readonly agent: SdkAgent;
  /** Agents it may hand the conversation to, in declared order. */
  readonly handoffs: readonly SdkAgent[];
  /** Agents it uses as tools. */
  readonly agentTools: readonly { readonly tool: SdkTool; readonly agent: SdkAgent }[];
  /** Its own functions, under the name the workflow has them by. */
  readonly functions: readonly { readonly name: string; readonly tool: SdkTool }[];
  /** Logical model name; undefined where the agent brings a model of its own. */
  readonly model: string | undefined;
  /** Why it cannot be run here, in words; empty when it can. */
  readonly refused: readonly string[];
}

/**
 * Everything that can be reached from an agent, each agent once, itself first, in declared order.
 *
 * Which agent stands behind a tool made by `asTool` is known to the SDK alone, so such a tool is run with a runner that
 * notes the agent instead of running it. No other tool is ever run for that, and no model is asked.
 */
export async function readAgents(entry: SdkAgent, Runner: Sdk['Runner'], RunContext: Sdk['RunContext']): Promise<readonly AgentFacts[]> {
  const found = new Map<SdkAgent, AgentFacts>();
  const toolNames = new Map<string, SdkTool>();
  const visit = async (agent: SdkAgent): Promise<void> => {
    if (found.has(agent)) return;
    const name = componentName(agent.name);
    const refused: string[] = [];
    const handoffs = agent.handoffs.flatMap((each) => (isSdkHandoff(each) ? each.agent : isSdkAgent(each) ? each : []));
    const agentTools: { tool: SdkTool; agent: SdkAgent }[] = [];
    const functions: { name: string; tool: SdkTool }[] = [];
    for (const tool of agent.tools) {
      if (isAgentTool(tool)) {
        const behind = await agentBehind(tool, Runner, RunContext);
        if (behind === undefined) refused.push(`which agent its tool ${tool.name} runs cannot be found out`);
        else agentTools.push({ tool, agent: behind });
      } else if (tool.type === 'function') {
        const clash = toolNames.get(tool.name);
        const unique = clash === undefined || clash === tool ? tool.name : `${name}-${tool.name}`;
        toolNames.set(unique, tool);
        functions.push({ name: unique, tool });
      } else refused.push(`its tool ${tool.name} (${tool.type}) runs inside the API of the model’s provider`);
    }
    for (const server of agent.mcpServers) refused.push(`it connects to the MCP server ${String(server.name ?? '(unnamed)')} by itself`);
    if (agent.prompt !== undefined) refused.push('its prompt is stored with the model’s provider');
    const model = isModel(agent.model) ? undefined : agent.model === '' ? defaultModel : modelName(agent.model);
    found.set(agent, { name, agent, handoffs, agentTools, functions, model, refused });
    for (const next of [...handoffs, ...agentTools.map((each) => each.agent)]) await visit(next);
  };
  await visit(entry);
  return [...found.values()];
}

/** Logical name of the model of agents that name none: the SDK takes its own default for those. */
export const defaultModel = 'default';

/** `Refund Agent` → `refund-agent`. */
export function componentName(name: string): string {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return /^[a-z]/.test(words) ? words : `agent-${words}`;
}

/** `gpt-4.1` → `gpt-4-1`, since scenarios name models as they name everything else. */
export const modelName = (model: string): string => componentName(model);

class Noted extends Error {}

/** One look at a time: a second one would take the first one's notes for the real thing. */
let looking: Promise<unknown> = Promise.resolve();

function agentBehind(tool: SdkTool, Runner: Sdk['Runner'], RunContext: Sdk['RunContext']): Promise<SdkAgent | undefined> {
  const found = looking.then(() => look(tool, Runner, RunContext));
  looking = found;
  return found;
}

/** Never rejects. */
async function look(tool: SdkTool, Runner: Sdk['Runner'], RunContext: Sdk['RunContext']): Promise<SdkAgent | undefined> {
  let behind: SdkAgent | undefined;
  const { run } = Runner.prototype;
  Runner.prototype.run = async (agent) => {
    behind = agent;
    throw new Noted('only looked at');
  };
  try {
    await tool.invoke?.(new RunContext(), JSON.stringify(sampleOf(tool.parameters)));
  } catch {
    // A tool that reports its errors by throwing; what is wanted was noted before.
  } finally {
    Runner.prototype.run = run;
  }
  return behind;
}

/** Some value of a JSON schema, so that the tool takes it for an input. */
function sampleOf(schema: unknown): unknown {
  const { type, properties, enum: values, const: only, anyOf, minimum } = (schema ?? {}) as { readonly [key: string]: unknown };
  if (only !== undefined) return only;
  if (Array.isArray(values)) return values[0];
  if (Array.isArray(anyOf)) return sampleOf(anyOf[0]);
  switch (Array.isArray(type) ? type[0] : type) {
    case 'object':
      return Object.fromEntries(Object.entries((properties ?? {}) as object).map(([key, each]) => [key, sampleOf(each)]));
    case 'array':
      return [];
    case 'number':
    case 'integer':
      return typeof minimum === 'number' ? minimum : 0;
    case 'boolean':
      return false;
    case 'null':
      return null;
    default:
      return 'text';
  }
}
