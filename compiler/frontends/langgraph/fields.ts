/**
 * Every field of LangGraph.js and LangChain that is used here and that their documentation does not promise: the one
 * place to look at when a new version comes. `missingFields` looks before use; `test/contract/langgraph.contract.test.ts`
 * proves on each installed version that the fields also mean what is written here.
 */

/** Versions of `@langchain/langgraph` the contract suite has passed on. */
export const supportedVersions = '1.4.x';

export function isSupported(version: string): boolean {
  return /^1\.4\.\d+/.test(version);
}

/** A compiled `StateGraph`. */
export interface CompiledGraph {
  readonly lg_is_pregel: true;
  /** What the loop runs, `__start__` and error handlers among them. */
  readonly nodes: { readonly [id: string]: PregelNode };
  readonly channels: { readonly [key: string]: Channel };
  readonly builder: GraphBuilder;
  /** The one given to `compile`; in a sub-graph mostly absent, then the parent's is used. */
  readonly checkpointer?: Checkpointer | boolean;
  readonly store?: Store;
  /** Breakpoints given to `compile`: node ids, or `*`. */
  readonly interruptBefore?: readonly string[] | '*';
  readonly interruptAfter?: readonly string[] | '*';
  invoke(input: unknown, config?: RunConfig): Promise<unknown>;
  stream(input: unknown, config?: RunConfig): Promise<AsyncIterable<unknown>>;
  getState(config: RunConfig): Promise<StateSnapshot>;
}

export interface StateSnapshot {
  readonly config?: RunConfig;
  readonly next: readonly string[];
  readonly tasks: readonly { readonly id: string; readonly interrupts?: readonly GraphInterruptValue[] }[];
}

export interface GraphInterruptValue {
  readonly id?: string;
  readonly value: unknown;
}

/** A node as the loop sees it. */
export interface PregelNode {
  /** What is replaced in the hub: the node's own code. Writers, edges and conditional functions stay where they are. */
  bound: Invocable;
  /** Channels that make up the node's input: by input key, or the name of the only one. */
  readonly channels: { readonly [key: string]: string } | readonly string[];
  readonly mapper?: (input: unknown) => unknown;
  readonly triggers: readonly string[];
  readonly isErrorHandler?: boolean;
  readonly cachePolicy?: unknown;
  readonly retryPolicy?: unknown;
  readonly timeout?: unknown;
  /** Called by the loop for every task of a superstep, all in one synchronous pass before the first of them runs. */
  getNode(): Invocable | undefined;
}

/** The graph as it was written. */
export interface GraphBuilder {
  readonly nodes: { readonly [id: string]: NodeSpec };
  /** Pairs of node ids, `__start__` and `__end__` among them. */
  readonly edges: Iterable<readonly [string, string]>;
  /** Joins: `addEdge([a, b], c)`. Not among the edges. */
  readonly waitingEdges?: Iterable<readonly [readonly string[], string]>;
  readonly branches: { readonly [from: string]: { readonly [name: string]: { readonly ends?: { readonly [label: string]: string } } } };
}

export interface NodeSpec {
  /** What the node runs; stays what it was when `bound` is replaced. */
  readonly runnable: Invocable;
  readonly metadata?: { readonly [key: string]: unknown };
  /** Targets of the node's `Command`s, where declared. */
  readonly ends?: readonly string[];
  readonly defer?: boolean;
  readonly isErrorHandler?: boolean;
}

/** One key of the state. */
export interface Channel {
  /** `LastValue`, `BinaryOperatorAggregate`, `Topic`, … */
  readonly lc_graph_name?: string;
  /** The reducer of a `BinaryOperatorAggregate`. */
  readonly operator?: (current: unknown, update: unknown) => unknown;
  /** A new channel of this kind that holds what a checkpoint says; empty without. */
  fromCheckpoint(checkpoint?: unknown): Channel;
  /** Takes the writes of one superstep. */
  update(values: readonly unknown[]): boolean;
  get(): unknown;
}

export interface Invocable {
  invoke(input: unknown, config?: RunConfig): Promise<unknown>;
}

export interface Checkpointer {
  readonly serde?: Serde;
  /** The last checkpoint of a thread, with what its unfinished tasks wrote: `[task, key, value]`. */
  getTuple?(config: RunConfig): Promise<{ readonly pendingWrites?: readonly (readonly [string, string, unknown])[] } | undefined>;
}

/** How a checkpointer writes values: LangChain messages come back as what they were. */
export interface Serde {
  dumpsTyped(value: unknown): Promise<[type: string, data: Uint8Array]>;
  loadsTyped(type: string, data: Uint8Array | string): Promise<unknown>;
}

export interface Store {
  batch(operations: readonly unknown[]): Promise<unknown[]>;
}

/** The part of LangChain's `RunnableConfig`, and of what LangGraph adds to it, that is used here. */
export interface RunConfig {
  readonly signal?: AbortSignal;
  readonly configurable?: { readonly [key: string]: unknown };
  readonly metadata?: { readonly [key: string]: unknown };
  readonly tags?: readonly string[];
  readonly runName?: string;
  readonly recursionLimit?: number;
  readonly context?: unknown;
  readonly executionInfo?: unknown;
  readonly callbacks?: unknown;
  readonly store?: unknown;
  readonly writer?: (chunk: unknown) => void;
  readonly streamMode?: readonly string[];
}

/** Keys of `config.configurable` that belong to the loop: functions and live objects, different on each side of a hop. */
export const pregelKey = {
  send: '__pregel_send',
  read: '__pregel_read',
  call: '__pregel_call',
  checkpointer: '__pregel_checkpointer',
  scratchpad: '__pregel_scratchpad',
  taskId: '__pregel_task_id',
  resuming: '__pregel_resuming',
} as const;
export const loopKeys = /^(__pregel_|checkpoint_map$)/;

/** Where a task keeps the answers to its interrupts. */
export interface Scratchpad {
  readonly callCounter: number;
  interruptCounter: number;
  readonly resume: unknown[];
  nullResume?: unknown;
  readonly subgraphCounter: number;
  readonly currentTaskInput: unknown;
  consumeNullResume(): unknown;
}

/** Names under which a task writes. */
export const writeKey = { resume: '__resume__', interrupt: '__interrupt__', tasks: '__pregel_tasks', branchTo: 'branch:to:' } as const;

/** What the user's own copy of `@langchain/langgraph` gives to a generated entry; two copies know nothing of each other. */
export const kitExports = [
  'BaseStore',
  'Command',
  'GraphInterrupt',
  'MemorySaver',
  'ParentCommand',
  'Send',
  'messagesStateReducer',
] as const;

export interface Kit {
  readonly BaseStore: abstract new () => object;
  readonly Command: new (args: object) => CommandValue;
  readonly GraphInterrupt: new (interrupts: readonly GraphInterruptValue[]) => Error;
  readonly MemorySaver: new () => Checkpointer & { readonly serde: Serde };
  readonly ParentCommand: new (command: unknown) => Error;
  readonly Send: new (node: string, args: unknown, options?: { readonly timeout?: unknown }) => SendValue;
  readonly messagesStateReducer: (left: never, right: never) => unknown;
}

export interface CommandValue {
  readonly lg_name: 'Command';
  readonly graph?: string;
  readonly update?: unknown;
  readonly resume?: unknown;
  readonly goto?: string | SendValue | readonly (string | SendValue)[];
}
export interface SendValue {
  readonly lg_name: 'Send';
  readonly node: string;
  readonly args: unknown;
  readonly timeout?: unknown;
}

const named = (value: unknown, name: string) => typeof value === 'object' && value !== null && 'lg_name' in value && value.lg_name === name;
export const isCommand = (value: unknown): value is CommandValue => named(value, 'Command');
export const isSend = (value: unknown): value is SendValue => named(value, 'Send');

/** Errors of the loop that are no failures, by the name their classes give themselves. */
export const isInterrupt = (error: unknown): error is Error & { readonly interrupts: readonly GraphInterruptValue[] } =>
  error instanceof Error && (error.name === 'GraphInterrupt' || error.name === 'NodeInterrupt');
export const isParentCommand = (error: unknown): error is Error & { readonly command: CommandValue } =>
  error instanceof Error && error.name === 'ParentCommand';

/** A LangChain message: `toDict` and `getType` are public, the test for one is not. */
export interface Message {
  id?: string | undefined;
  readonly lc_kwargs: { id?: string };
  getType?(): string;
  _getType(): string;
  toDict(): { readonly type: string; readonly data: { readonly [key: string]: unknown } };
}
export const isMessage = (value: unknown): value is Message =>
  typeof value === 'object' && value !== null && '_getType' in value && typeof value._getType === 'function' && 'toDict' in value;

/** A LangChain callback manager as it arrives in a node's config; a list of handlers or nothing counts as none. */
export interface CallbackManager {
  readonly handlers: readonly unknown[];
  copy(): CallbackManager;
  addTags(tags: readonly string[], inherit?: boolean): void;
  addMetadata(metadata: { readonly [key: string]: unknown }, inherit?: boolean): void;
  handleChatModelStart(
    llm: unknown,
    messages: readonly unknown[][],
    runId?: string,
    parentRunId?: string,
    extra?: unknown,
    tags?: readonly string[],
    metadata?: unknown,
    runName?: string,
  ): Promise<readonly ModelRun[]>;
}
export interface ModelRun {
  handleLLMNewToken(token: string, index?: unknown, runId?: string, parentRunId?: string, tags?: unknown, fields?: unknown): Promise<void>;
  handleLLMEnd(output: unknown): Promise<void>;
  handleLLMError(error: unknown): Promise<void>;
}
export const isCallbackManager = (value: unknown): value is CallbackManager =>
  typeof value === 'object' && value !== null && 'handleChatModelStart' in value && 'copy' in value && 'handlers' in value;

/** Anything `@langchain/langgraph` compiled, of the graph or of the functional API. */
export const isPregel = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'lg_is_pregel' in value && value.lg_is_pregel === true;

export function isCompiledGraph(value: unknown): value is CompiledGraph {
  return isPregel(value) && (value as Partial<CompiledGraph>).builder?.nodes !== undefined;
}

/** Fields of a compiled graph that are not there, or not of the kind they were; empty when it can be taken apart. */
export function missingFields(graph: CompiledGraph): readonly string[] {
  const missing: string[] = [];
  const expect = (holds: boolean, field: string) => void (holds || missing.push(field));
  const { nodes, channels, builder } = graph as Partial<CompiledGraph>;
  const isObject = (value: unknown) => typeof value === 'object' && value !== null;
  const isIterable = (value: unknown) => isObject(value) && Symbol.iterator in (value as object);
  expect(isObject(nodes), 'nodes');
  expect(isObject(channels), 'channels');
  expect(isIterable(builder?.edges), 'builder.edges');
  expect(isIterable(builder?.waitingEdges), 'builder.waitingEdges');
  expect(isObject(builder?.branches), 'builder.branches');
  for (const method of ['invoke', 'stream', 'getState'] as const) expect(typeof graph[method] === 'function', method);
  for (const [id, spec] of Object.entries(builder?.nodes ?? {})) {
    if (spec.isErrorHandler === true) continue;
    const node = nodes?.[id];
    expect(typeof spec.runnable?.invoke === 'function', `builder.nodes.${id}.runnable`);
    expect(node?.bound === spec.runnable, `nodes.${id}.bound`);
    expect(typeof node?.getNode === 'function', `nodes.${id}.getNode`);
    expect(isObject(node?.channels), `nodes.${id}.channels`);
    expect(Array.isArray(node?.triggers), `nodes.${id}.triggers`);
  }
  for (const [key, channel] of Object.entries(channels ?? {})) {
    for (const method of ['fromCheckpoint', 'update', 'get'] as const)
      expect(typeof channel[method] === 'function', `channels.${key}.${method}`);
  }
  return missing;
}
