import { type AgentFacts, readAgents } from '../../../compiler/frontends/openai-agents/agents.ts';
import {
  isSdkAgent,
  isSdkHandoff,
  type Sdk,
  type SdkAgent,
  type SdkHandoff,
  type SdkTool,
} from '../../../compiler/frontends/openai-agents/sdk.ts';

/** Whether the work passed to an agent is the whole conversation, or a task whose result comes back. */
export type Passing = 'handoff' | 'tool';

const mark = 'dmas-opt';
/** Model name of an agent that stands in for a component: asking it means calling that component. */
export const standInModel = (passing: Passing, component: string): string => `${mark}/${passing}/${component}`;
export function standInOf(model: string): { readonly passing: Passing; readonly component: string } | undefined {
  const [first, passing, component] = model.split('/');
  if (first !== mark || component === undefined) return undefined;
  return { passing: passing === 'handoff' ? 'handoff' : 'tool', component };
}

/** What one turn puts into its own copy of an agent. */
export interface TurnChanges {
  readonly functions: (name: string, tool: SdkTool) => SdkTool;
  /** The conversation came from another agent, which was the first: its input was checked then. */
  readonly handedOver: boolean;
}

export interface SdkApplication {
  readonly agents: readonly AgentFacts[];
  /** The real agent of a component, as a copy of this turn's own; whom it hands to or uses are stand-ins. */
  agentFor(component: string, changes: TurnChanges): SdkAgent;
}

const known = new WeakMap<SdkAgent, Promise<SdkApplication>>();

/**
 * Takes over an application: wherever an agent would be run by another one, a stand-in runs that has the name and the
 * description of it, no tools, and a model that calls the component. Copies of the real agents are made first.
 *
 * The agents themselves become the stand-ins of tools, because a tool made by `asTool` holds its agent where nobody can
 * reach it. So they must not be run by anyone else afterwards.
 */
export function takeOver(entry: SdkAgent, sdk: Sdk): Promise<SdkApplication> {
  const present = known.get(entry) ?? assemble(entry, sdk);
  known.set(entry, present);
  return present;
}

async function assemble(entry: SdkAgent, { Runner, RunContext, setTracingDisabled }: Sdk): Promise<SdkApplication> {
  // The SDK would send its own traces to the address of its provider.
  setTracingDisabled(true);
  const agents = await readAgents(entry, Runner, RunContext);
  const real = new Map(agents.map(({ name, agent }) => [name, copyOf(agent, {})]));
  const standIns = new Map(agents.map(({ name, agent }) => [agent, copyOf(agent, standIn('handoff', name))]));
  for (const { name, agent } of agents) {
    const { handoffOutputTypeWarningEnabled: _, ...changes } = standIn('tool', name);
    Object.assign(agent, changes, { outputType: agent.outputType });
    // Its hooks are for where it really runs, which the copies have.
    if (agent.eventEmitter !== undefined) agent.eventEmitter = new (agent.eventEmitter.constructor as new () => object)();
  }
  const passOn = (agent: unknown) => (isSdkAgent(agent) ? (standIns.get(agent) ?? agent) : agent);
  const passedOn = (each: SdkAgent | SdkHandoff) =>
    isSdkHandoff(each)
      ? each.clone({
          agent: passOn(each.agent),
          onInvokeHandoff: async (context: unknown, input: string) => passOn(await each.onInvokeHandoff(context, input)),
        })
      : passOn(each);
  return {
    agents,
    agentFor: (component, { functions, handedOver }) => {
      const agent = real.get(component);
      const facts = agents.find(({ name }) => name === component);
      if (agent === undefined || facts === undefined) throw new TypeError(`the application has no agent for ${component}`);
      const nameOf = (tool: SdkTool) => facts.functions.find((each) => each.tool === tool)?.name;
      const tools = agent.tools.map((tool) => {
        const name = nameOf(tool);
        return name === undefined ? tool : functions(name, tool);
      });
      return copyOf(agent, {
        handoffs: agent.handoffs.map(passedOn),
        ...(agent.hasExplicitToolConfig?.() === false ? {} : { tools }),
        ...(handedOver ? { inputGuardrails: [] } : {}),
      });
    },
  };
}

/** The text of a stand-in is the text of its component, whatever shape the component gave it. */
const standIn = (passing: Passing, component: string) => ({
  model: standInModel(passing, component),
  modelSettings: {},
  instructions: '',
  tools: [],
  handoffs: [],
  inputGuardrails: [],
  outputGuardrails: [],
  outputType: 'text',
  toolUseBehavior: 'run_llm_again',
  handoffOutputTypeWarningEnabled: false,
});

function copyOf(agent: SdkAgent, changes: object): SdkAgent {
  const copy = agent.clone({ handoffOutputTypeWarningEnabled: false, ...changes });
  if (agent.eventEmitter !== undefined && !('model' in changes)) copy.eventEmitter = agent.eventEmitter;
  return copy;
}
