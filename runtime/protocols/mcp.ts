import { z } from 'zod';
import { defineProtocol } from './protocol.ts';

/**
 * The Model Context Protocol over streamable HTTP. Any MCP client finds the unit's agents and tools at `/mcp` and those
 * of one component at `/<component>/mcp`, in both revisions at once.
 */
export const mcp = defineProtocol({
  id: 'mcp',
  title: 'Model Context Protocol',
  options: z.strictObject({
    revision: z
      .enum(['auto', '2026-07-28', '2025-11-25'])
      .default('auto')
      .describe('Revision the caller speaks; `auto` asks the server. A unit of ours answers every revision whatever this says.'),
    transport: z
      .enum(['http', 'stdio'])
      .default('http')
      .describe('How a server that runs elsewhere is spoken to; `stdio` needs its command and gets a bridge before it.'),
    listTtlMs: z
      .int()
      .nonnegative()
      .default(5_000)
      .describe('For how many milliseconds a list of tools may be kept, where the server does not say it.'),
  }),
  // Between units of ours the revision changes nothing but the price of a handshake, so nothing is worth searching.
  traits: {
    crossHost: true,
    inProcess: false,
    mediator: null,
    peer: '@modelcontextprotocol/server',
    strangerUrl: 'http://{at}/{component}/mcp',
    searchable: {},
  },
  load: async () => (await import('./mcp/protocol.ts')).mcpProtocol,
});
