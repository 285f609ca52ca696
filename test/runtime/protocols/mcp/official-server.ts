import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer, type ServerContext } from '@modelcontextprotocol/server';
import { z } from 'zod';

interface OfficialTool {
  readonly description?: string;
  readonly readOnly?: boolean;
  readonly idempotent?: boolean;
  readonly run?: (input: { readonly text: string }, context: ServerContext) => unknown;
}

/** What a server of the official SDK was asked. */
interface Asked {
  readonly method: string;
  readonly params: { readonly [key: string]: unknown };
  readonly headers: IncomingHttpHeaders;
}

/** A server built with the official SDK alone, as somebody else would. Its tools may be changed while it runs. */
export async function officialServer(tools: Map<string, OfficialTool>, ttlMs = 0) {
  const asked: Asked[] = [];
  const handler = createMcpHandler(() => {
    const server = new McpServer(
      { name: 'official', version: '1' },
      { capabilities: { tools: { listChanged: true } }, cacheHints: { 'tools/list': { ttlMs } } },
    );
    for (const [name, tool] of tools) {
      const annotations = {
        ...(tool.readOnly === undefined ? {} : { readOnlyHint: tool.readOnly }),
        ...(tool.idempotent === undefined ? {} : { idempotentHint: tool.idempotent }),
      };
      server.registerTool(
        name,
        { description: tool.description ?? name, inputSchema: z.object({ text: z.string() }), annotations },
        async (input, context) =>
          ((await tool.run?.(input, context)) ?? { content: [{ type: 'text', text: `${name}:${input.text}` }] }) as never,
      );
    }
    return server;
  });
  const answer = toNodeHandler(handler);
  const http = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const text = Buffer.concat(pieces).toString('utf8');
      const body = text === '' ? undefined : (JSON.parse(text) as Asked);
      if (body !== undefined) asked.push({ method: body.method, params: body.params ?? {}, headers: request.headers });
      void answer(request as never, response, body);
    });
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const at = { host: '127.0.0.1', port: (http.address() as AddressInfo).port };
  return {
    at,
    asked,
    countOf: (method: string) => asked.filter((message) => message.method === method).length,
    toolsChanged: () => handler.notify.toolsChanged(),
    async close() {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
      await handler.close();
    },
  };
}
