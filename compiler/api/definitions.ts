import type { z } from 'zod';
import type { Effect, Literal } from '../contracts/workflow.ts';

/** Marks values made by this API across copies of the package. */
export const brand = Symbol.for('dmas-opt.definition');

type Schema = z.ZodType;

/** The contract of an agent: what others need to call it, without its code. */
export interface AgentRef<In extends Schema = Schema, Out extends Schema = Schema, Chunk extends Schema = Schema> {
  readonly [brand]: 'agent';
  readonly name: string;
  readonly description: string;
  readonly input: In;
  readonly output: Out;
  /** Present when the agent can stream; each chunk has this shape. */
  readonly chunk?: Chunk;
  readonly effect: Effect;
}

export interface ToolRef<In extends Schema = Schema, Out extends Schema = Schema> {
  readonly [brand]: 'tool';
  readonly name: string;
  readonly description: string;
  readonly input: In;
  readonly output: Out;
  readonly effect: Effect;
  /** Places outside it calls: `api.example.com:443`. Whoever runs the tool may call them, nobody else. */
  readonly hosts?: readonly string[];
}

export interface TopicRef<Message extends Schema = Schema> {
  readonly [brand]: 'topic';
  readonly name: string;
  readonly message: Message;
  readonly delivery: 'broadcast' | 'anycast';
}

export interface BlackboardRef<Value extends Schema = Schema> {
  readonly [brand]: 'blackboard';
  readonly name: string;
  readonly value: Value;
}

/** What every handler gets beside its input. */
export interface AgentContext<Calls extends AgentRef = AgentRef, Topics extends TopicRef = TopicRef> {
  readonly signal: AbortSignal;
  readonly requestId: string;
  readonly sessionId: string;
  /** Milliseconds left until the request's deadline. */
  readonly remainingMs: () => number;
  /** Asks another agent and waits. Throws a CallError; the caller may catch it and go on. */
  call<R extends Calls>(agent: R, input: z.input<R['input']>, options?: CallOptions): Promise<z.output<R['output']>>;
  /** As `call`, chunk by chunk as the callee emits them. */
  stream<R extends Calls>(agent: R, input: z.input<R['input']>, options?: CallOptions): AsyncIterable<ChunkOf<R>>;
  /** One-way: returns once the callee has accepted it. */
  send<R extends Calls>(agent: R, input: z.input<R['input']>): Promise<void>;
  /** Returns once every subscriber has accepted it. Order is kept per publisher and conversation. */
  publish<T extends Topics>(topic: T, message: z.input<T['message']>): Promise<void>;
  /** The tools a server has at this moment; needs `toolServers`. */
  discover(server: ToolServerDefinition): Promise<readonly DiscoveredTool[]>;
  /** Runs a tool of a server by its name; needs `toolServers`. */
  toolNamed(server: ToolServerDefinition, tool: string, input: unknown): Promise<unknown>;
  /** Runs a tool, here or on its server; needs `tools`. */
  tool<T extends ToolRef>(tool: T, input: z.input<T['input']>): Promise<z.output<T['output']>>;
  /**
   * Asks a person and gives back the answer. Where there is none yet, it rejects with a CallError `inputRequired`, which ends
   * the turn and every caller's up to the user: nothing stays open while a person thinks. The request then comes again from
   * its start, with the answer, so **code before a pause runs again**: keep side effects behind it, or make them repeatable.
   *
   * `prompt` is what the person is shown, any JSON. The answer is whatever JSON they gave: check it. Without `id` a pause
   * is known by the agent, its input and its place among the turn's pauses; with one, by that alone.
   */
  pause(prompt: unknown, id?: string): Promise<unknown>;
  /** Answers that people gave to earlier pauses of this request, by id; empty before the first. */
  readonly resume: { readonly [id: string]: unknown };
  /** State of this agent in the present session; needs `usesSession`. */
  readonly session: KeyValue;
  /** Shared state of the application; needs `blackboards`. */
  blackboard<B extends BlackboardRef>(board: B): KeyValue<z.output<B['value']>>;
  /** Sends one chunk of a streamed reply; ignored when the caller did not ask for a stream. */
  emit(chunk: unknown): void;
  /** One line into the unit's log. */
  readonly log: (message: string) => void;
}

export type ChunkOf<R extends AgentRef> = z.output<NonNullable<R['chunk']>>;

export interface CallOptions {
  readonly timeoutMs?: number;
}

/** State under string keys. `update` is atomic: the function may run again when another writer was faster. */
export interface KeyValue<Value = unknown> {
  get(key: string): Promise<Value | undefined>;
  set(key: string, value: Value): Promise<void>;
  update(key: string, change: (current: Value | undefined) => Value): Promise<Value>;
  delete(key: string): Promise<void>;
}

export interface PlacementHints {
  /** Turns one replica handles at a time. Default 64. */
  readonly concurrency?: number;
  /** Environment variables it reads. */
  readonly secrets?: readonly string[];
  /** Security domains: parts of different ones never share a unit. */
  readonly domains?: readonly string[];
  /** Places outside it calls: `api.example.com:443`. */
  readonly hosts?: readonly string[];
  readonly mobility?: 'movable' | 'replicasOnly';
}

export interface CodeAgentOptions<Calls extends AgentRef, Topics extends TopicRef> extends PlacementHints {
  /** Agents it may call. Calling another is an error, so that the compiler knows every channel. */
  readonly calls?: readonly Calls[];
  readonly tools?: readonly ToolRef[];
  /** Tool servers it may ask for their tools. */
  readonly toolServers?: readonly ToolServerDefinition[];
  readonly publishes?: readonly Topics[];
  /** Topics it listens to; the handler then gets each message as its input. */
  readonly subscribes?: readonly TopicRef[];
  readonly usesSession?: boolean;
  readonly blackboards?: readonly BlackboardRef[];
}

export interface LlmAgentOptions extends PlacementHints {
  /** Logical model name; the scenario binds it. */
  readonly model: string;
  readonly system: string;
  readonly tools?: readonly ToolRef[];
  /** Servers all of whose tools are offered, as they are at each turn of the model. */
  readonly toolServers?: readonly ToolServerDefinition[];
  /** Sub-agents offered to the model as tools. */
  readonly agents?: readonly AgentRef[];
  /** Rounds of tool calls before it must answer. Default 4. */
  readonly maxRounds?: number;
  /** The user message; default: the input as JSON. */
  readonly prompt?: (input: never) => string;
  /** Model answer → output; default: `{ text }` when the output schema has a `text` key, else the answer parsed as JSON. */
  readonly parse?: (text: string, input: never) => unknown;
  /** Remember the conversation per session and put it before the user message. */
  readonly remembers?: boolean;
  readonly maxTokens?: number;
}

export interface CodeAgent {
  readonly [brand]: 'code-agent';
  readonly ref: AgentRef;
  readonly handle: (input: never, context: never) => Promise<unknown>;
  readonly options: CodeAgentOptions<AgentRef, TopicRef>;
}

export interface LlmAgent {
  readonly [brand]: 'llm-agent';
  readonly ref: AgentRef;
  readonly options: LlmAgentOptions;
}

export interface CodeTool {
  readonly [brand]: 'code-tool';
  readonly ref: ToolRef;
  readonly run: (input: never, context: ToolContext) => Promise<unknown>;
}

export interface ToolContext {
  readonly signal: AbortSignal;
  readonly requestId: string;
}

/** Tools that are placed together, as a server of their own. Lists contracts; implementations go into `parts`. */
export interface ToolServerDefinition {
  readonly [brand]: 'tool-server';
  readonly name: string;
  readonly tools: readonly ToolRef[];
  readonly options: PlacementHints;
  /** Present when somebody else built the server; the scenario says under `agents` how it is run or reached. */
  readonly elsewhere?: ElsewhereSpoken;
  /** Whoever names the server in `toolServers` is offered the tools it has at the time, beside those in `tools`. */
  readonly discovers?: boolean;
}

export interface McpServerOptions {
  /** Tools whose contracts are known here, to be called by `ctx.tool`. */
  readonly tools?: readonly ToolRef[];
  /** Revision it speaks. Default `auto`: it is asked. */
  readonly revision?: 'auto' | '2026-07-28' | '2025-11-25';
  /** `stdio`: it reads and writes lines; a bridge of ours stands before it. Default `http`. */
  readonly transport?: 'http' | 'stdio';
  /** For how many milliseconds its list of tools may be kept when it does not say it. Default 5000. */
  readonly listTtlMs?: number;
  /** Calls one replica handles at a time, for the prediction. Default 64. */
  readonly concurrency?: number;
  readonly domains?: readonly string[];
  /** Places outside it calls: `api.example.com:443`. */
  readonly hosts?: readonly string[];
}

/** A tool as its server describes it at run time. */
export interface DiscoveredTool {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of its input. */
  readonly input: { readonly [key: string]: unknown };
  readonly effect: Effect;
}

/** How something that runs elsewhere is spoken to. */
export interface ElsewhereSpoken {
  /** Id of a protocol. Default `http-json`. */
  readonly speaks?: string;
  /** Options of that protocol. */
  readonly options?: { readonly [option: string]: Literal };
}

export interface ElsewhereOptions extends ElsewhereSpoken {
  /** Agents it calls by itself; the scenario maps their addresses into its environment. */
  readonly calls?: readonly AgentRef[];
  /** Tools it uses on tool servers. */
  readonly tools?: readonly ToolRef[];
  /** It keeps state per session: all calls of one go to one replica. */
  readonly usesSession?: boolean;
  /** Calls one replica handles at a time, for the prediction. Default 64. */
  readonly concurrency?: number;
  readonly domains?: readonly string[];
  /** Places outside it calls: `api.example.com:443`. */
  readonly hosts?: readonly string[];
}

/** An agent without code of ours. */
export interface ElsewhereAgent {
  readonly [brand]: 'elsewhere-agent';
  readonly ref: AgentRef;
  readonly options: ElsewhereOptions;
}

/** How one key of a graph's state takes an update. Default: the last write wins, in declared order of branches. */
export type Reducer<Value = unknown> = (current: Value, update: Value) => Value;

export interface GraphAgent {
  readonly [brand]: 'graph-agent';
  readonly ref: AgentRef;
  readonly options: GraphOptions;
}

/**
 * A graph over shared state. The state starts as the input (see `init`); each node is an agent that gets the state and
 * returns an update; the reply is `finish(state)`. State travels along the edges from unit to unit.
 */
export interface GraphOptions extends PlacementHints {
  readonly state: { readonly [key: string]: { readonly initial: unknown; readonly reduce?: (current: never, update: never) => unknown } };
  readonly init?: (input: never) => { readonly [key: string]: unknown };
  readonly nodes: readonly AgentRef[];
  readonly start: AgentRef;
  readonly edges: readonly GraphEdgeDefinition[];
  readonly finish?: (state: never) => unknown;
  /** Bound on node visits in one run; needed whenever there is a loop. */
  readonly maxSteps?: number;
}

export type GraphEdgeDefinition =
  /** `from` several is a join, `to` several is a fork. */
  | { readonly from: AgentRef | readonly AgentRef[]; readonly to: AgentRef | readonly AgentRef[] | typeof end }
  /** Picks one of `among` (or `end`) by name from the state. */
  | { readonly from: AgentRef; readonly choose: (state: never) => string; readonly among: readonly (AgentRef | typeof end)[] };

export const end = 'end' as const;

export type Implementation = CodeAgent | LlmAgent | GraphAgent | CodeTool;

export interface WorkflowDefinition {
  readonly [brand]: 'workflow';
  readonly name: string;
  readonly entry: AgentRef | { readonly publish: TopicRef; readonly complete: TopicRef };
  readonly parts: readonly (Implementation | ElsewhereAgent | ToolServerDefinition)[];
}
