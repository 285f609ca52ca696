import type { Tool, ToolAnnotations } from '@modelcontextprotocol/server';
import type { Effect, JsonSchema } from '../../../compiler/contracts/index.ts';
import type { ServedComponent, ServedTool } from '../protocol.ts';
import { isObject } from './wire.ts';

/** One tool as strangers see it, and what a call of it means here. */
export interface Offered {
  readonly tool: Tool;
  readonly component: ServedComponent;
  /** Of a tool server: which of its tools. */
  readonly name: string | undefined;
  /** The body is under `input`, because MCP wants an object. */
  readonly wrapsInput: boolean;
  /** The output is given under `result`, for the same reason. */
  readonly wrapsOutput: boolean;
}

/** An agent is one tool of its own name; a tool server's tools stand under theirs. The first of two equal names is meant. */
export function offeredTools(components: readonly ServedComponent[], only: string | undefined): ReadonlyMap<string, Offered> {
  const offered = new Map<string, Offered>();
  for (const component of components) {
    if (only !== undefined && component.name !== only) continue;
    const { name, description, input, output } = component;
    const tools: readonly ServedTool[] =
      component.kind === 'agent' ? [{ name, description, input, output, effect: component.effect ?? 'sideEffect' }] : component.tools;
    for (const tool of tools) {
      if (offered.has(tool.name)) continue;
      offered.set(tool.name, offer(component, tool));
    }
  }
  return offered;
}

function offer(component: ServedComponent, tool: ServedTool): Offered {
  const wrapsInput = !isObjectSchema(tool.input);
  const saysOutput = tool.output !== undefined && Object.keys(tool.output).length > 0;
  const wrapsOutput = saysOutput && !isObjectSchema(tool.output ?? {});
  return {
    component,
    name: component.kind === 'agent' ? undefined : tool.name,
    wrapsInput,
    wrapsOutput,
    tool: {
      name: tool.name,
      description: tool.description,
      inputSchema: (wrapsInput ? wrapped(tool.input, 'input') : tool.input) as Tool['inputSchema'],
      ...(tool.output === undefined || !saysOutput
        ? {}
        : { outputSchema: (wrapsOutput ? wrapped(tool.output, 'result') : tool.output) as NonNullable<Tool['outputSchema']> }),
      annotations: annotationsOf(tool.effect),
    },
  };
}

const isObjectSchema = (schema: JsonSchema) => (schema as { readonly type?: unknown }).type === 'object';

/** An object schema with one key that holds the given one. Its definitions stay at the root, where references look for them. */
function wrapped(schema: JsonSchema, key: string): JsonSchema {
  const { $defs, ...rest } = schema as { readonly [key: string]: unknown };
  const moved = JSON.parse(JSON.stringify(rest), (name, value) => (name === '$ref' && value === '#' ? `#/properties/${key}` : value));
  return { type: 'object', properties: { [key]: moved }, required: [key], ...($defs === undefined ? {} : { $defs }) } as JsonSchema;
}

/** What repeating or running a tool does to the world, in MCP's words. */
export const annotationsOf = (effect: Effect): ToolAnnotations => ({
  readOnlyHint: effect === 'readOnly',
  idempotentHint: effect !== 'sideEffect',
  // An idempotent tool may well overwrite something, so nothing is said of it.
  ...(effect === 'idempotent' ? {} : { destructiveHint: effect === 'sideEffect' }),
});

/** The other way round. Hints are what a server says of itself; one that says nothing has side effects. */
export function effectOf(annotations: ToolAnnotations | undefined): Effect {
  if (annotations?.readOnlyHint === true) return 'readOnly';
  return annotations?.idempotentHint === true ? 'idempotent' : 'sideEffect';
}

/** A tool of a list, as the runtime knows tools. */
export function servedTool(tool: Pick<Tool, 'name' | 'description' | 'inputSchema' | 'outputSchema' | 'annotations'>): ServedTool {
  return {
    name: tool.name,
    description: tool.description ?? '',
    input: plain(tool.inputSchema),
    ...(tool.outputSchema === undefined ? {} : { output: plain(tool.outputSchema) }),
    effect: effectOf(tool.annotations),
  };
}

function plain(schema: unknown): JsonSchema {
  if (!isObject(schema)) return {};
  const { $schema: _, ...rest } = schema;
  return rest as JsonSchema;
}
