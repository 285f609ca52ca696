import type { Json, JsonSchema } from './json.ts';

/**
 * The compiler's IR: agents, tools, models and channels, free of any deployment choice.
 *
 * A *component* is what can be placed: an agent or a tool server. A tool outside any server is local: its code
 * travels with every agent that uses it. Component names are unique over agents and tool servers.
 */
export interface Workflow {
  readonly schemaVersion: 1;
  readonly name: string;
  /** Id of the frontend that read it. */
  readonly frontend: string;
  /** Absolute path of the module that exports the workflow. Not part of any generated file. */
  readonly file: string;
  readonly agents: readonly Agent[];
  readonly toolServers: readonly ToolServer[];
  readonly tools: readonly Tool[];
  /** Logical model names agents ask for; the scenario binds them. */
  readonly models: readonly string[];
  readonly topics: readonly Topic[];
  readonly graphs: readonly Graph[];
  /** Graphs whose framework runs the loop. */
  readonly hubs?: readonly Hub[];
  readonly blackboards: readonly string[];
  readonly channels: readonly Channel[];
  readonly entry: Entry;
}

/** `movable`: may go to any unit. `replicasOnly`: its own unit, replicas may change. `external`: never deployed by us. */
export type Mobility = 'movable' | 'replicasOnly' | 'external';

/** What repeating or running a call does to the world. */
export type Effect = 'readOnly' | 'idempotent' | 'sideEffect';

/** Where the implementation stands, so that a bundle can import it alone. */
export interface SourceRef {
  /** Relative to the folder of the workflow file, with forward slashes. */
  readonly module: string;
  readonly exportName: string;
}

/** Runs as its owner built it, outside our bundles: how it is spoken to. How it is started or reached stands in the scenario. */
export interface Elsewhere {
  /** Id of the protocol it speaks. */
  readonly speaks: string;
  /** Options of that protocol. */
  readonly options: { readonly [option: string]: Literal };
  /** What its own calls speak, by callee. A callee that is not named is called in `speaks`. */
  readonly asks?: { readonly [component: string]: Spoken };
}

/** A protocol with its options, as it is spoken between two ends. */
export interface Spoken {
  readonly protocol: string;
  readonly options: { readonly [option: string]: Literal };
}

export interface Agent {
  readonly name: string;
  readonly kind: 'llm' | 'code' | 'graph' | 'langgraph-node' | 'openai-agent' | 'elsewhere';
  readonly description: string;
  readonly mobility: Mobility;
  readonly effect: Effect;
  readonly input: JsonSchema;
  readonly output: JsonSchema;
  /** Turns one replica handles at a time; the same in-process and remote. */
  readonly concurrency: number;
  /** Whether it can stream chunks. */
  readonly streams: boolean;
  /** Logical model of an llm agent. */
  readonly model?: string;
  readonly usesSessionState: boolean;
  /** Keeps what it knows of a session in its own process, whatever the state store: a session stays with one replica. */
  readonly sticky?: boolean;
  /** Tools it uses, on a server or local. */
  readonly tools?: readonly string[];
  /** Tool servers it uses as they are: whatever tools they have at the time. */
  readonly toolServers?: readonly string[];
  readonly blackboards: readonly string[];
  /** Environment variables it reads; given to no other unit. */
  readonly secrets: readonly string[];
  /** Security domains, e.g. `personal-data`, `internet`: components of different ones never share a unit. */
  readonly domains: readonly string[];
  /** Places outside it calls, `host:port`. */
  readonly hosts?: readonly string[];
  /** Present when kind is `elsewhere`. */
  readonly elsewhere?: Elsewhere;
  readonly source: SourceRef;
}

export interface ToolServer {
  readonly name: string;
  readonly mobility: Mobility;
  readonly tools: readonly string[];
  readonly concurrency: number;
  readonly secrets: readonly string[];
  readonly domains: readonly string[];
  /** Places outside it calls, `host:port`. */
  readonly hosts?: readonly string[];
  /** Present for a server somebody else built, an MCP server for instance. */
  readonly elsewhere?: Elsewhere;
  /** Its tools are asked for at run time; `tools` then names those known when the workflow was read, if any. */
  readonly discovers?: boolean;
  readonly source: SourceRef;
}

export interface Tool {
  readonly name: string;
  readonly description: string;
  readonly effect: Effect;
  readonly input: JsonSchema;
  readonly output: JsonSchema;
  /** Absent for a local tool. */
  readonly server?: string;
  /** Places outside it calls, `host:port`. */
  readonly hosts?: readonly string[];
  readonly source: SourceRef;
}

export interface Topic {
  readonly name: string;
  readonly message: JsonSchema;
  /** `broadcast`: every subscriber gets each message. `anycast`: exactly one does. */
  readonly delivery: 'broadcast' | 'anycast';
  readonly publishers: readonly string[];
  readonly subscribers: readonly string[];
  /** Where the contract stands; needed by units that take part in it. */
  readonly source?: SourceRef;
}

/** A graph run by our own runtime: state travels along the edges, the join node owns the join. */
export interface Graph {
  /** The graph agent that starts it. */
  readonly agent: string;
  readonly nodes: readonly string[];
  readonly edges: readonly GraphEdge[];
  readonly start: string;
  /** Bound on node visits in one run; present whenever there is a cycle. */
  readonly maxSteps?: number;
  readonly stateKeys: readonly string[];
}

/** `from` several nodes is a join, `to` several is a fork; `conditional` means a function picks among `to`. */
export interface GraphEdge {
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly conditional: boolean;
}

/**
 * A graph whose framework runs the loop in one process (LangGraph.js): the hub calls each node with the whole state and
 * waits for the update, so a hop is a round trip to the hub and not along an edge.
 */
export interface Hub {
  /** The agent that runs the loop. */
  readonly agent: string;
  /** Where nodes lead as far as it is declared; more shows in traces. `end` is the end. */
  readonly edges: readonly HubEdge[];
  /** Components that also lead where only a run tells. */
  readonly open: readonly string[];
  /** Keys of the state, and of sub-graphs' states. */
  readonly state: readonly HubState[];
  /**
   * Pairs of nodes that run one after the other in one call where both are in one unit without the hub: the call then
   * costs one round trip for the whole chain.
   */
  readonly segments: readonly (readonly [from: string, to: string])[];
}

export interface HubEdge {
  readonly from: readonly string[];
  readonly to: string;
  /** Several `from` are a join; a branch may be taken or not; a `Command` is what a node itself may decide. */
  readonly kind: 'edge' | 'join' | 'branch' | 'command';
}

export interface HubState {
  readonly key: string;
  /** LangGraph's name of the channel: `LastValue`, `BinaryOperatorAggregate`, … */
  readonly kind: string;
  readonly reduced: boolean;
  /** Node that is the sub-graph, when it is one's. */
  readonly subgraph?: string;
}

export type Pattern = 'request' | 'stream' | 'send' | 'publish';

/**
 * A relation over which messages go. Ids: `planner->weather` for agent and tool-server channels,
 * `topic:drafts` for a topic, `planner->model:main` for a model.
 */
export interface Channel {
  readonly id: string;
  readonly kind: 'agent' | 'tool' | 'topic' | 'model';
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly patterns: readonly Pattern[];
  /** Every callee on it is safe to repeat. */
  readonly repeatable: boolean;
}

export type Entry =
  | { readonly kind: 'agent'; readonly agent: string }
  /** The ingress publishes the request on one topic; the first message of that conversation on the other completes it. */
  | { readonly kind: 'topic'; readonly publish: string; readonly complete: string };

/** Names of everything that can be placed, sorted. */
export function componentsOf(workflow: Workflow): readonly string[] {
  return [...workflow.agents, ...workflow.toolServers].map((component) => component.name).sort();
}

export const toolServerNames = (workflow: Workflow): ReadonlySet<string> => new Set(workflow.toolServers.map((s) => s.name));

/** Names of everything that we deploy, sorted: `external` components are measured, never placed. */
export function placeableOf(workflow: Workflow): readonly string[] {
  return [...workflow.agents, ...workflow.toolServers]
    .filter((component) => component.mobility !== 'external')
    .map((component) => component.name)
    .sort();
}

/** How an agent or tool server that runs elsewhere is spoken to; undefined for one of ours. */
export const elsewhereOf = (workflow: Workflow, component: string): Elsewhere | undefined =>
  [...workflow.agents, ...workflow.toolServers].find(({ name }) => name === component)?.elsewhere;

/**
 * What must be spoken between two components because one of them was built by somebody else; undefined where both are
 * ours. The callee decides, since it listens; a caller that asks for something else cannot call it (see the planner).
 */
export function spokenBetween(workflow: Workflow, from: string, to: string): Spoken | undefined {
  const [caller, callee] = [elsewhereOf(workflow, from), elsewhereOf(workflow, to)];
  if (callee !== undefined) return { protocol: callee.speaks, options: callee.options };
  if (caller === undefined) return undefined;
  return caller.asks?.[to] ?? { protocol: caller.speaks, options: caller.options };
}

/** What must be spoken on a whole channel; undefined where any of its edges is free, or edges must speak different things. */
export function spokenOn(workflow: Workflow, channel: string): Spoken | undefined {
  const [first, ...rest] = edgesOf(workflow)
    .filter((edge) => edge.channel === channel)
    .map((edge) => spokenBetween(workflow, edge.from, edge.to));
  if (first === undefined) return undefined;
  return rest.every((other) => JSON.stringify(other) === JSON.stringify(first)) ? first : undefined;
}

/** Component that takes requests first: the entry agent, or the first subscriber of the entry topic. */
export function entryComponent(workflow: Workflow): string {
  if (workflow.entry.kind === 'agent') return workflow.entry.agent;
  const topicName = workflow.entry.publish;
  const topic = workflow.topics.find((candidate) => candidate.name === topicName);
  const first = topic?.subscribers[0];
  if (first === undefined) throw new RangeError(`topic ${topicName} has no subscriber`);
  return first;
}

/** One caller-to-callee pair on a channel between components (model channels have none). */
export interface Edge {
  readonly channel: string;
  readonly from: string;
  readonly to: string;
}

export function edgesOf(workflow: Workflow): readonly Edge[] {
  return workflow.channels
    .filter((channel) => channel.kind !== 'model')
    .flatMap((channel) =>
      channel.from.flatMap((from) => channel.to.filter((to) => to !== from).map((to) => ({ channel: channel.id, from, to }))),
    );
}

export type Literal = Extract<Json, string | number | boolean>;
