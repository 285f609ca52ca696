import { z } from 'zod';
import type { ToolRef, ToolServerDefinition } from '../../compiler/api/definitions.ts';
import { brand } from '../../compiler/api/definitions.ts';
import type { JsonSchema } from '../../compiler/contracts/json.ts';
import type { ServedComponent, ServedTool } from '../protocols/protocol.ts';
import { type AgentPart, agentParts, type UnitProgram } from './program.ts';

/**
 * What this unit introduces to strangers: its agents, the entry first, then the tool servers it hosts. Made from the
 * contracts alone, so it may be asked for before anything runs.
 */
export function servedComponents(program: UnitProgram): readonly ServedComponent[] {
  const entry = program.entry?.name;
  const agents = agentParts(program).map(servedAgent);
  const hosted = new Set(program.unit.toolServers);
  const servers = program.toolServers.filter((server) => hosted.has(server.name)).map(servedToolServer);
  return [...agents.filter(({ name }) => name === entry), ...agents.filter(({ name }) => name !== entry), ...servers];
}

function servedAgent(part: AgentPart): ServedComponent {
  const { name, description, input, output, chunk } = part.ref;
  return {
    name,
    kind: 'agent',
    description,
    input: jsonSchema(input),
    output: jsonSchema(output),
    // As the workflow has it: a model's text can always be passed on as it comes.
    streams: chunk !== undefined || part[brand] === 'llm-agent',
    tools: [],
  };
}

function servedToolServer(server: ToolServerDefinition): ServedComponent {
  const tools = server.tools.map(servedTool);
  const description = tools.map((tool) => `${tool.name}: ${tool.description}`).join('\n');
  return { name: server.name, kind: 'toolServer', description, input: {}, output: {}, streams: false, tools };
}

function servedTool({ name, description, input, output, effect }: ToolRef): ServedTool {
  return { name, description, input: jsonSchema(input), output: jsonSchema(output), effect };
}

/** A schema is written once: protocols may ask with every message of a stranger. */
const written = new WeakMap<z.ZodType, JsonSchema>();

/** As the compiler writes it into the workflow: what a sender may leave out is not required. */
function jsonSchema(schema: z.ZodType): JsonSchema {
  const known = written.get(schema);
  if (known !== undefined) return known;
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: 'input', target: 'draft-2020-12', unrepresentable: 'any' });
  written.set(schema, json as JsonSchema);
  return json as JsonSchema;
}
