import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as OldTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer as OldServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { agent, codeAgent, codeTool, tool, toolServer, z as zz } from '../../compiler/api/index.ts';
import { CallError, httpUrl } from '../../compiler/contracts/index.ts';
import { connectMcp } from '../../runtime/protocols/mcp/client.ts';
import { startBridge } from '../../runtime/protocols/mcp/stdio-bridge.ts';
import { mcp } from '../../runtime/protocols/mcp.ts';
import type { Connection, OutgoingCall } from '../../runtime/protocols/protocol.ts';
import { freePort as keptPort } from '../../runtime/targets/process/junction.ts';
import { deploy } from '../runtime/agent/harness.ts';

const python = process.env.DMAS_OPT_PYTHON;
const fixture = (name: string) => join(import.meta.dirname, '../fixtures/mcp', name);
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const greeter = agent('greeter', { input: zz.object({ name: zz.string() }), output: zz.object({ greeting: zz.string() }) });
const teller = agent('teller', { input: zz.object({ text: zz.string() }), output: zz.string(), chunk: zz.string() });
const double = tool('double', { description: 'Doubles', input: zz.number(), output: zz.number(), effect: 'readOnly' });

/** A whole unit that somebody else's clients call. */
async function unit(): Promise<string> {
  const deployed = await deploy({
    entry: greeter,
    groups: [['greeter', 'teller', 'tools']],
    parts: [
      codeAgent(greeter, async ({ name }) => {
        if (name === '') throw new CallError({ code: 'invalid', message: 'who?' });
        return { greeting: `Hello, ${name}` };
      }),
      codeAgent(teller, async ({ text }, { emit }) => {
        for (const word of text.split(' ')) emit(word);
        return text;
      }),
      codeTool(double, async (n) => 2 * n),
    ],
    toolServers: [toolServer('tools', [double])],
    protocol: mcp,
  });
  closers.push(() => deployed.close());
  const at = deployed.replicas[0]?.report.listen['unit://unit0/mcp'];
  if (at === undefined) throw new Error('no listener');
  return `${httpUrl(at)}/mcp`;
}

const annotations = {
  greeter: { readOnlyHint: false, idempotentHint: true },
  teller: { readOnlyHint: false, idempotentHint: true },
  double: { readOnlyHint: true, idempotentHint: true, destructiveHint: false },
};

const call = (name: string, body: unknown, over: Partial<OutgoingCall['meta']> = {}): OutgoingCall => ({
  target: 'files',
  pattern: 'request',
  body,
  meta: {
    requestId: 'r',
    sessionId: 's',
    from: 'caller',
    channel: 'caller->files',
    remainingMs: 10_000,
    attempt: 1,
    trace: {},
    extra: { tool: name },
    ...over,
  },
  signal: new AbortController().signal,
  wire: { requestBytes: 0, responseBytes: 0, serializeMs: 0 },
});

function connect(url: string, revision = 'auto'): Connection {
  const { hostname, port } = new URL(url);
  const to = { replica: 0, instanceId: 'files.0', at: { host: hostname, port: Number(port) }, url, foreign: true };
  const connection = connectMcp(to, { revision, listTtlMs: 0 });
  closers.push(() => connection.close());
  return connection;
}

/** What every server that offers the tools of server.py must answer, however it is reached. */
async function expectPythonTools(connection: Connection): Promise<void> {
  const tools = (await connection.discover?.('files', new AbortController().signal)) ?? [];
  const effects = Object.fromEntries(tools.map(({ name, effect }) => [name, effect]));
  expect(effects).toEqual({
    weather: 'readOnly',
    shout: 'idempotent',
    count: 'sideEffect',
    fail: 'sideEffect',
    trace: 'sideEffect',
    grow: 'sideEffect',
  });
  expect(tools.find(({ name }) => name === 'weather')).toMatchObject({
    description: 'Says how warm it is.',
    input: { required: ['city'] },
  });
  expect(await connection.call(call('weather', { city: 'Ulm' }))).toEqual({ city: 'Ulm', degrees: 21 });
  const chunks: unknown[] = [];
  const stream = connection.stream({ ...call('count', { to: 3 }), pattern: 'stream' });
  let last: unknown;
  for (;;) {
    const next = await stream.next();
    if (next.done) {
      last = next.value;
      break;
    }
    chunks.push(next.value);
  }
  expect(chunks).toEqual(['at 1', 'at 2', 'at 3']);
  expect(last).toEqual({ result: 'done' });
  await expect(connection.call(call('fail', {}))).rejects.toMatchObject({
    code: 'failed',
    message: expect.stringContaining('no such city'),
  });
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  expect(await connection.call(call('trace', {}, { trace: { traceparent } }))).toEqual({ result: traceparent });
  await connection.call(call('grow', {}));
  expect((await connection.discover?.('files', new AbortController().signal))?.map(({ name }) => name)).toContain('grown');
  expect(await connection.call(call('grown', {}))).toEqual({ result: 'new' });
}

/** None of the kernel's own, which a busy host would have given away before it is used. */
const freePort = () => keptPort('127.0.0.1');

describe.skipIf(python === undefined)('the Python SDK (DMAS_OPT_PYTHON names a Python with mcp)', () => {
  it.each([
    ['legacy', '2025-11-25'],
    ['auto', '2026-07-28'],
  ])(
    'as a client, %s, is answered by a unit',
    async (mode, version) => {
      const { stdout } = await promisify(execFile)(python ?? '', [fixture('client.py'), await unit(), mode]);
      expect(JSON.parse(stdout)).toEqual({
        version,
        tools: annotations,
        greeted: { greeting: 'Hello, Ann' },
        text: '{"greeting":"Hello, Ann"}',
        doubled: { result: 42 },
        streamed: 'one two',
        progress: ['one', 'two'],
        failed: [true, 'invalid: who? (greeter)'],
        unknown: expect.stringContaining('Unknown tool: nobody'),
      });
    },
    30_000,
  );

  it.each(['auto', '2026-07-28', '2025-11-25'])(
    'as a server over HTTP answers a unit’s calls, revision %s',
    async (revision) => {
      const port = await freePort();
      const child = spawn(python ?? '', [fixture('server.py'), 'http', String(port)], { stdio: 'ignore' });
      closers.push(async () => {
        const ended = once(child, 'exit');
        child.kill('SIGKILL');
        await ended;
      });
      const connection = connect(`http://127.0.0.1:${port}/mcp`, revision);
      await expect
        .poll(
          () =>
            connection.discover?.('files', new AbortController().signal).then(
              (tools) => tools.length,
              () => 0,
            ),
          { timeout: 20_000 },
        )
        .toBeGreaterThan(0);
      await expectPythonTools(connection);
    },
    40_000,
  );

  it('as a stdio server is bridged', async () => {
    const bridge = await startBridge({
      at: { host: '127.0.0.1', port: 0 },
      command: [python ?? '', fixture('server.py'), 'stdio'],
      revision: '2025-11-25',
      onLost: () => {},
    });
    closers.push(() => bridge.close(1000));
    await expectPythonTools(connect(`${httpUrl(bridge.at)}/mcp`));
  }, 40_000);
});

describe('the SDK of the revision before, version 1', () => {
  it('as a client is answered by a unit', async () => {
    const client = new OldClient({ name: 'old', version: '1' });
    const transport = new OldTransport(new URL(await unit()));
    await client.connect(transport as never);
    closers.push(() => client.close());
    expect(transport.sessionId).toBeDefined();
    const { tools } = await client.listTools();
    expect(Object.fromEntries(tools.map((one) => [one.name, one.annotations]))).toEqual(annotations);
    const progress: unknown[] = [];
    const told = await client.callTool({ name: 'teller', arguments: { text: 'a b' } }, undefined, {
      onprogress: ({ message }) => progress.push(message),
    });
    expect(told.content).toEqual([{ type: 'text', text: 'a b' }]);
    expect(progress).toEqual(['a', 'b']);
    expect((await client.callTool({ name: 'double', arguments: { input: 4 } })).structuredContent).toEqual({ result: 8 });
    await transport.terminateSession();
  });

  it('as a server answers a unit’s calls, and those after it forgot the session', async () => {
    const sessions = new Map<string, StreamableHTTPServerTransport>();
    const http = createHttpServer(async (request, response) => {
      const id = request.headers['mcp-session-id'];
      let transport = typeof id === 'string' ? sessions.get(id) : undefined;
      if (transport === undefined && id !== undefined) {
        response.writeHead(404).end();
        return;
      }
      if (transport === undefined) {
        const server = new OldServer({ name: 'old', version: '1' });
        server.registerTool('echo', { inputSchema: { text: z.string() } }, async ({ text }) => ({ content: [{ type: 'text', text }] }));
        const fresh = new StreamableHTTPServerTransport({
          sessionIdGenerator: randomUUID,
          onsessioninitialized: (session) => void sessions.set(session, fresh),
        });
        transport = fresh;
        await server.connect(fresh as never);
      }
      await transport.handleRequest(request, response);
    }).listen(0, '127.0.0.1');
    await once(http, 'listening');
    closers.push(async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    });
    const address = http.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const connection = connect(`http://127.0.0.1:${port}/mcp`);
    expect((await connection.discover?.('files', new AbortController().signal))?.map(({ name }) => name)).toEqual(['echo']);
    expect(await connection.call(call('echo', { text: 'hi' }))).toBe('hi');
    expect(sessions.size).toBe(1);
    sessions.clear();
    expect(await connection.call(call('echo', { text: 'again' }))).toBe('again');
    expect(sessions.size).toBe(1);
  });
});
