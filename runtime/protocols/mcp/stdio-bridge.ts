import { Client, type Progress } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { Server, type ServerContext } from '@modelcontextprotocol/server';
import type { BindAddress } from '../../../compiler/contracts/index.ts';
import { InFlight } from '../wire/incoming.ts';
import { maxRemainingMs } from '../wire/meta.ts';
import { type ExchangeOf, type McpListener, serveMcp } from './server.ts';

export interface BridgeOptions {
  readonly at: BindAddress;
  /** The stdio server: program and arguments. */
  readonly command: readonly string[];
  /** The handshake of 2025-11-25 is known to every stdio server; `2026-07-28` begins without it. */
  readonly revision: '2026-07-28' | '2025-11-25';
  /** Called when the server ends without being told to. */
  readonly onLost: () => void;
}

/**
 * Runs a stdio MCP server and serves its tools as streamable HTTP in both revisions. One server for all callers, as its
 * owner meant it; what goes wrong in it is written to this process's standard error.
 */
export async function startBridge({ at, command, revision, onLost }: BridgeOptions): Promise<McpListener> {
  const [program = '', ...args] = command;
  // Whoever started this process has chosen what it may see.
  const env = Object.fromEntries(Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
  const transport = new StdioClientTransport({ command: program, args, env, stderr: 'inherit' });
  let listener: McpListener | undefined;
  const client = new Client(
    { name: 'dmas-opt', version: '1' },
    {
      versionNegotiation: { mode: revision === '2026-07-28' ? { pin: revision } : 'legacy' },
      listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => listener?.toolsChanged() } },
    },
  );
  await client.connect(transport);
  oneAtATime(transport);
  let closing = false;
  client.onclose = () => {
    if (!closing) onLost();
  };
  const inFlight = new InFlight();
  const listening = await serveMcp(at, inFlight, (exchangeOf) => relay(client, inFlight, exchangeOf));
  listener = listening;
  return {
    ...listening,
    async close(drainMs) {
      closing = true;
      await listening.close(drainMs);
      await client.close();
    },
  };
}

/**
 * The SDK answers a result at once but a notification in the microtask after, so progress that came in one piece with the
 * result would be lost. Here each message waits until the one before has been dealt with.
 */
function oneAtATime(transport: StdioClientTransport): void {
  const deliver = transport.onmessage;
  let before: Promise<void> = Promise.resolve();
  transport.onmessage = (message) => {
    before = before.then(async () => {
      deliver?.(message);
      await new Promise((resolve) => setImmediate(resolve));
    });
  };
}

/** A server whose tools are those of the client's. */
function relay(client: Client, inFlight: InFlight, exchangeOf: ExchangeOf): Server {
  const { name, version } = client.getServerVersion() ?? { name: 'stdio', version: '0' };
  const instructions = client.getInstructions();
  const server = new Server(
    { name, version },
    { capabilities: { tools: { listChanged: true } }, ...(instructions === undefined ? {} : { instructions }) },
  );
  server.setRequestHandler('tools/list', async () => client.listTools(undefined, { cacheMode: 'refresh' }));
  server.setRequestHandler('tools/call', async (request, context) => {
    const gone = new AbortController();
    inFlight.begin();
    exchangeOf(context.http?.req).response.once('close', () => {
      gone.abort();
      inFlight.end();
    });
    context.mcpReq.signal.addEventListener('abort', () => gone.abort(), { once: true });
    const { _meta: meta = {}, ...params } = request.params;
    const { progressToken: _, ...rest } = meta;
    return client.request(
      { method: 'tools/call', params: { ...params, _meta: rest } },
      {
        signal: gone.signal,
        timeout: maxRemainingMs,
        ...(meta.progressToken === undefined ? {} : { onprogress: teller(context, meta.progressToken) }),
      },
    );
  });
  return server;
}

const teller = (context: ServerContext, progressToken: string | number) => (progress: Progress) => {
  context.mcpReq.notify({ method: 'notifications/progress', params: { ...progress, progressToken } }).catch(() => {});
};
