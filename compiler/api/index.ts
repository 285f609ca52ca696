/**
 * The workflow API. A contract (`agent`, `tool`, `topic`, `blackboard`) says what a part looks like from outside; an
 * implementation (`codeAgent`, `llmAgent`, `graphAgent`, `codeTool`) says what it does. Others refer to contracts only,
 * so a unit's bundle carries no code of agents that live elsewhere.
 *
 * Functions are annotated as free of side effects, which lets the bundler drop definitions a unit does not use.
 */
import { z } from 'zod';
import type { Effect } from '../contracts/workflow.ts';
import {
  type AgentContext,
  type AgentRef,
  type BlackboardRef,
  brand,
  type CodeAgent,
  type CodeAgentOptions,
  type CodeTool,
  type ElsewhereAgent,
  type ElsewhereOptions,
  type ElsewhereSpoken,
  type GraphAgent,
  type GraphOptions,
  type LlmAgent,
  type LlmAgentOptions,
  type McpServerOptions,
  type PlacementHints,
  type ToolContext,
  type ToolRef,
  type ToolServerDefinition,
  type TopicRef,
  type WorkflowDefinition,
} from './definitions.ts';

export { CallError, type CallErrorCode } from '../contracts/call-errors.ts';
export type * from './definitions.ts';
export { end } from './definitions.ts';
export { z };

interface AgentContract<In extends z.ZodType, Out extends z.ZodType, Chunk extends z.ZodType> {
  readonly description?: string;
  readonly input: In;
  readonly output: Out;
  readonly chunk?: Chunk;
  /** What repeating a call does. Default `idempotent`. */
  readonly effect?: Effect;
}

/** The contract of an agent. */
/* @__NO_SIDE_EFFECTS__ */
export function agent<In extends z.ZodType, Out extends z.ZodType, Chunk extends z.ZodType = z.ZodType>(
  name: string,
  contract: AgentContract<In, Out, Chunk>,
): AgentRef<In, Out, Chunk> {
  return { [brand]: 'agent', name, description: contract.description ?? name, effect: 'idempotent', ...contract } as AgentRef<
    In,
    Out,
    Chunk
  >;
}

/** The contract of a tool. */
/* @__NO_SIDE_EFFECTS__ */
export function tool<In extends z.ZodType, Out extends z.ZodType>(
  name: string,
  contract: {
    readonly description: string;
    readonly input: In;
    readonly output: Out;
    readonly effect: Effect;
    readonly hosts?: readonly string[];
  },
): ToolRef<In, Out> {
  return { [brand]: 'tool', name, ...contract };
}

/* @__NO_SIDE_EFFECTS__ */
export function topic<Message extends z.ZodType>(
  name: string,
  message: Message,
  delivery: 'broadcast' | 'anycast' = 'broadcast',
): TopicRef<Message> {
  return { [brand]: 'topic', name, message, delivery };
}

/** Shared state of the application, reached by every agent that declares it. */
/* @__NO_SIDE_EFFECTS__ */
export function blackboard<Value extends z.ZodType>(name: string, value: Value): BlackboardRef<Value> {
  return { [brand]: 'blackboard', name, value };
}

/** An agent that is an async function. */
/* @__NO_SIDE_EFFECTS__ */
export function codeAgent<In extends z.ZodType, Out extends z.ZodType, Calls extends AgentRef = never, Topics extends TopicRef = never>(
  ref: AgentRef<In, Out>,
  handle: (input: z.output<In>, context: AgentContext<Calls, Topics>) => Promise<z.input<Out>>,
  options: CodeAgentOptions<Calls, Topics> = {},
): CodeAgent {
  return { [brand]: 'code-agent', ref, handle: handle as CodeAgent['handle'], options: options as CodeAgent['options'] };
}

/** An agent that lets a model decide, with tools and sub-agents. */
/* @__NO_SIDE_EFFECTS__ */
export function llmAgent<In extends z.ZodType, Out extends z.ZodType>(
  ref: AgentRef<In, Out>,
  options: Omit<LlmAgentOptions, 'prompt' | 'parse'> & {
    readonly prompt?: (input: z.output<In>) => string;
    readonly parse?: (text: string, input: z.output<In>) => z.input<Out>;
  },
): LlmAgent {
  return { [brand]: 'llm-agent', ref, options: options as LlmAgentOptions };
}

/** An agent that is a graph of agents over shared state. */
/* @__NO_SIDE_EFFECTS__ */
export function graphAgent(ref: AgentRef, options: GraphOptions): GraphAgent {
  return { [brand]: 'graph-agent', ref, options };
}

/* @__NO_SIDE_EFFECTS__ */
export function codeTool<In extends z.ZodType, Out extends z.ZodType>(
  ref: ToolRef<In, Out>,
  run: (input: z.output<In>, context: ToolContext) => Promise<z.input<Out>>,
): CodeTool {
  return { [brand]: 'code-tool', ref, run: run as CodeTool['run'] };
}

/* @__NO_SIDE_EFFECTS__ */
export function toolServer(name: string, tools: readonly ToolRef[], options: PlacementHints = {}): ToolServerDefinition {
  return { [brand]: 'tool-server', name, tools, options };
}

/**
 * An agent that somebody else built, in any language. The scenario says under `agents` how it is started or reached;
 * others call it as they call any agent.
 */
/* @__NO_SIDE_EFFECTS__ */
export function elsewhere(ref: AgentRef, options: ElsewhereOptions = {}): ElsewhereAgent {
  return { [brand]: 'elsewhere-agent', ref, options };
}

/** A tool server that somebody else built, with those of its tools that are known. */
/* @__NO_SIDE_EFFECTS__ */
export function elsewhereTools(
  name: string,
  options: ElsewhereSpoken & Pick<ElsewhereOptions, 'concurrency' | 'domains' | 'hosts'> & { readonly tools?: readonly ToolRef[] } = {},
): ToolServerDefinition {
  const { tools = [], concurrency, domains, hosts, ...spoken } = options;
  return { [brand]: 'tool-server', name, tools, options: given({ concurrency, domains, hosts }), elsewhere: spoken };
}

/**
 * A tool server that speaks MCP and that somebody else built. Its tools are asked for at run time, so a tool that is new
 * there is offered here without a redeployment. The scenario says under `agents` how it is started or reached.
 */
/* @__NO_SIDE_EFFECTS__ */
export function mcpServer(name: string, options: McpServerOptions = {}): ToolServerDefinition {
  const { tools = [], concurrency, domains, hosts, ...spoken } = options;
  return {
    [brand]: 'tool-server',
    name,
    tools,
    options: given({ concurrency, domains, hosts }),
    elsewhere: { speaks: 'mcp', options: spoken },
    discovers: true,
  };
}

/** Without what was left out, which is not the same as undefined where options are spread. */
const given = ({
  concurrency,
  domains,
  hosts,
}: { readonly [K in 'concurrency' | 'domains' | 'hosts']: PlacementHints[K] | undefined }): PlacementHints => ({
  ...(concurrency === undefined ? {} : { concurrency }),
  ...(domains === undefined ? {} : { domains }),
  ...(hosts === undefined ? {} : { hosts }),
});

/** The whole application: where requests enter, and the implementation of every part. */
/* @__NO_SIDE_EFFECTS__ */
export function workflow(definition: Omit<WorkflowDefinition, typeof brand>): WorkflowDefinition {
  return { [brand]: 'workflow', ...definition };
}
