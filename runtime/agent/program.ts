import type {
  AgentRef,
  CodeAgent,
  CodeTool,
  GraphAgent,
  Implementation,
  LlmAgent,
  PlacementHints,
  ToolRef,
  ToolServerDefinition,
  TopicRef,
} from '../../compiler/api/definitions.ts';
import { brand } from '../../compiler/api/definitions.ts';
import type { PlannedIngress, PlannedUnit } from '../../compiler/contracts/plan.ts';
import type { LlmBackendDescriptor } from '../llm/backend.ts';
import type { ProtocolDescriptor } from '../protocols/protocol.ts';
import type { StateStoreDescriptor } from '../state/store.ts';
import type { AgentHandler } from './agent-turn.ts';
import type { Runtime } from './runtime.ts';

/** All that a generated entry hands to `startUnit`: the code of one unit and the part of the plan it needs. */
export interface UnitProgram {
  readonly application: string;
  readonly unit: PlannedUnit;
  readonly ingress: PlannedIngress;
  /** Implementations of the unit's agents and of the tools that run in it (local tools included). */
  readonly parts: readonly (Implementation | FrameworkAgent)[];
  /** Every tool server this unit hosts or calls: the contracts, so that a tool can be found by its name. */
  readonly toolServers: readonly ToolServerDefinition[];
  /** Topics this unit publishes or subscribes to. */
  readonly topics: readonly TopicRef[];
  readonly entry: AgentRef | undefined;
  readonly protocols: readonly ProtocolDescriptor[];
  readonly backends: readonly LlmBackendDescriptor[];
  readonly store: StateStoreDescriptor;
  /** Graphs that start in this unit or have a node in it. */
  readonly graphs: readonly GraphAgent[];
}

/**
 * An agent that adapts somebody else's framework: it works on the turn itself, with hops and streams, instead of on the
 * context that users' handlers get.
 */
export interface FrameworkAgent {
  readonly [brand]: 'framework-agent';
  readonly ref: AgentRef;
  readonly options: PlacementHints & { readonly calls?: readonly AgentRef[]; readonly tools?: readonly ToolRef[] };
  /** Called once, when the unit is put together. The runtime is complete when the first turn comes. */
  readonly handler: (runtime: () => Runtime) => AgentHandler;
}

export type AgentPart = CodeAgent | LlmAgent | GraphAgent | FrameworkAgent;

/** The component name of the ingress: it calls the entry, and takes the messages of the completion topic. */
export const ingressComponent = 'ingress';

export function agentParts(program: UnitProgram): AgentPart[] {
  const local = new Set(program.unit.agents);
  const parts: AgentPart[] = [...program.parts, ...program.graphs].filter((part): part is AgentPart => part[brand] !== 'code-tool');
  return [...new Map(parts.filter((part) => local.has(part.ref.name)).map((part) => [part.ref.name, part])).values()];
}

export function toolParts(program: UnitProgram): Map<string, CodeTool> {
  const tools = program.parts.filter((part): part is CodeTool => part[brand] === 'code-tool');
  return new Map(tools.map((tool) => [tool.ref.name, tool]));
}

/** The tool server that offers a tool; undefined for a local tool. */
export function serverOf(program: UnitProgram, tool: string): ToolServerDefinition | undefined {
  return program.toolServers.find((server) => server.tools.some((candidate) => candidate.name === tool));
}

/** Tool servers an agent uses as they are. */
export function declaredServers(part: AgentPart): readonly ToolServerDefinition[] {
  return part[brand] === 'llm-agent' || part[brand] === 'code-agent' ? (part.options.toolServers ?? []) : [];
}

/** Whom an agent may call, send to or stream from: the channels it declared. */
export function declaredCalls(part: AgentPart): readonly AgentRef[] {
  if (part[brand] === 'code-agent' || part[brand] === 'framework-agent') return part.options.calls ?? [];
  if (part[brand] === 'llm-agent') return part.options.agents ?? [];
  return part.options.nodes;
}

export function declaredTools(part: AgentPart): readonly ToolRef[] {
  const named = part[brand] === 'graph-agent' ? [] : (part.options.tools ?? []);
  return [...new Set([...named, ...declaredServers(part).flatMap((server) => server.tools)])];
}
