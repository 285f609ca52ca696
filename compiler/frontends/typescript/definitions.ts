import type {
  CodeTool,
  ElsewhereAgent,
  GraphAgent,
  Implementation,
  ToolServerDefinition,
  TopicRef,
  WorkflowDefinition,
} from '../../api/definitions.ts';
import { brand } from '../../api/definitions.ts';

/** What kind of definition a value is, by its brand; undefined for anything that this API did not make. */
export function kindOf(value: unknown): string | undefined {
  if (value === null || typeof value !== 'object') return undefined;
  const kind = (value as { readonly [brand]?: unknown })[brand];
  return typeof kind === 'string' ? kind : undefined;
}

export const isWorkflow = (value: unknown): value is WorkflowDefinition => kindOf(value) === 'workflow';

export type Part = WorkflowDefinition['parts'][number];
export type AgentPart = Exclude<Implementation, CodeTool> | ElsewhereAgent;
export const isAgent = (part: Part): part is AgentPart =>
  ['code-agent', 'llm-agent', 'graph-agent', 'elsewhere-agent'].includes(part[brand]);
export const isElsewhere = (part: Part): part is ElsewhereAgent => part[brand] === 'elsewhere-agent';
export const isGraph = (part: Part): part is GraphAgent => part[brand] === 'graph-agent';
export const isTool = (part: Part): part is CodeTool => part[brand] === 'code-tool';
export const isToolServer = (part: Part): part is ToolServerDefinition => part[brand] === 'tool-server';

/** Every topic that a part or the entry mentions; one object once. */
export function topicsIn(definition: WorkflowDefinition): readonly TopicRef[] {
  const entry = 'publish' in definition.entry ? [definition.entry.publish, definition.entry.complete] : [];
  const mentioned = definition.parts.flatMap((part) =>
    part[brand] === 'code-agent' ? [...(part.options.publishes ?? []), ...(part.options.subscribes ?? [])] : [],
  );
  return [...new Set([...entry, ...mentioned])];
}
