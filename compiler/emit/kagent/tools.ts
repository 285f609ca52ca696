import type { Workflow } from '../../contracts/index.ts';
import type { Context } from '../kubernetes/context.ts';
import type { KubernetesObject } from '../kubernetes/input.ts';
import { cut, slug } from '../kubernetes/names.ts';
import { within } from './addresses.ts';

/** A tool server that speaks MCP to whoever may reach it. */
export interface McpDoor {
  readonly toolServer: string;
  readonly url: string;
  /** The unit that listens; null for one outside the deployment. */
  readonly unit: string | null;
  readonly port: number | null;
}

/** The tool servers kagent can be told of: those in units of their own, and those of others that speak MCP already. */
export function mcpDoors(context: Context): readonly McpDoor[] {
  const { units } = context.input.plan;
  const inside = units.flatMap((unit) => {
    const listener = unit.listens.find(({ protocol }) => protocol === 'mcp');
    if (listener === undefined) return [];
    const origin = within(context, listener.address);
    const port = context.members.find(({ id }) => id === unit.id)?.ports.find(({ address }) => address === listener.address)?.port ?? null;
    return unit.toolServers.map((toolServer): McpDoor => {
      const path =
        unit.program === undefined ? `/${encodeURIComponent(toolServer)}/mcp` : unit.program.path === '/' ? '/mcp' : unit.program.path;
      return { toolServer, url: `${origin}${path}`, unit: unit.id, port };
    });
  });
  const called = units.flatMap(({ routes }) => routes.filter(({ protocol, address }) => protocol === 'mcp' && /^https?:/.test(address)));
  const outside = new Map(
    called.map(({ to, address }) => [to, { toolServer: to, url: address, unit: null, port: null } satisfies McpDoor]),
  );
  return [...inside, ...outside.values()];
}

/** The same as kagent’s RemoteMCPServers; it lists their tools, and agents it runs itself can use them. */
export const remoteMcpServers = (context: Context, doors: readonly McpDoor[], workflow: Workflow): readonly KubernetesObject[] =>
  doors.map(({ toolServer, url }) => {
    const tools = workflow.toolServers.find(({ name }) => name === toolServer)?.tools ?? [];
    return {
      apiVersion: 'kagent.dev/v1alpha2',
      kind: 'RemoteMCPServer',
      metadata: context.metadata(cut(`${context.prefix}-${slug(toolServer)}-tools`, 63), 'tools'),
      spec: {
        description: tools.length === 0 ? toolServer : `${toolServer}: ${tools.join(', ')}`,
        url,
        protocol: 'STREAMABLE_HTTP',
      },
    };
  });
