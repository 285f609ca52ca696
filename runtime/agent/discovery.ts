import type { ToolServerDefinition } from '../../compiler/api/definitions.ts';
import type { ServedTool } from '../protocols/protocol.ts';
import type { Delivery } from './delivery.ts';
import type { Runtime } from './runtime.ts';
import type { Scope } from './scope.ts';
import { servedTool } from './served.ts';
import { useForeignTool, useTool } from './tools.ts';

/**
 * The tools a server has at this moment, those whose contracts are known here first. Asked for anew by whoever needs them;
 * the connection keeps a list for as long as the server says it holds, and asks once for all who ask at once.
 *
 * @throws CallError when the server cannot be asked
 */
export async function discoverTools(
  runtime: Runtime,
  from: string,
  server: ToolServerDefinition,
  scope: Scope,
): Promise<readonly ServedTool[]> {
  const known = server.tools.map(servedTool);
  if (server.discovers !== true) return known;
  const found = await scope.cancellation.race(runtime.router.discover(askFor(from, server.name, scope)));
  const names = new Set(known.map((tool) => tool.name));
  // What a contract says of a tool is more than what its server says of it.
  return [...known, ...found.filter((tool) => !names.has(tool.name))];
}

const askFor = (from: string, to: string, scope: Scope): Delivery => ({
  from,
  to,
  channel: `${from}->${to}`,
  pattern: 'request',
  body: undefined,
  scope,
});

/** Runs a tool that was found at run time, or one that is known by its contract. @throws CallError */
export function useServerTool(
  runtime: Runtime,
  from: string,
  server: ToolServerDefinition,
  tool: ServedTool,
  input: unknown,
  scope: Scope,
): Promise<unknown> {
  const ref = server.tools.find((candidate) => candidate.name === tool.name);
  return ref === undefined ? useForeignTool(runtime, from, server, tool, input, scope) : useTool(runtime, from, ref, input, scope);
}
