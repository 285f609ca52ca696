import { connect as connectSocket } from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { CallError, httpUrl } from '../../../../compiler/contracts/index.ts';
import { connectMcp } from '../../../../runtime/protocols/mcp/client.ts';
import { listenMcp } from '../../../../runtime/protocols/mcp/server.ts';
import { annotationsOf, effectOf, offeredTools } from '../../../../runtime/protocols/mcp/tools.ts';
import type { CallHandler, CallMeta, IncomingCall, ServedComponent } from '../../../../runtime/protocols/protocol.ts';
import { call, callError, collect, plainMeta } from '../../../contract/protocol-suite.ts';
import { officialServer } from './official-server.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const component = (name: string, over: Partial<ServedComponent> = {}): ServedComponent => ({
  name,
  kind: 'agent',
  description: `The ${name}`,
  input: { type: 'object', properties: { text: { type: 'string' } } },
  output: { type: 'object' },
  streams: false,
  effect: 'idempotent',
  tools: [],
  ...over,
});
const files = component('files', {
  kind: 'toolServer',
  tools: [
    { name: 'read', description: 'Reads', input: { type: 'object' }, output: { type: 'string' }, effect: 'readOnly' },
    { name: 'write', description: 'Writes', input: { type: 'string' }, effect: 'sideEffect' },
  ],
});

async function unit(handler: CallHandler, served: readonly ServedComponent[] = [component('clerk'), files]) {
  const listener = await listenMcp({ host: '127.0.0.1', port: 0 }, handler, { listTtlMs: 1234 }, () => served);
  closers.push(() => listener.close(0));
  return httpUrl(listener.at);
}

/** A client of the official SDK, as a stranger has it. */
async function stranger(url: string, mode: 'legacy' | 'auto' = 'auto', answer?: string) {
  const client = new Client(
    { name: 'stranger', version: '1' },
    { versionNegotiation: { mode }, capabilities: answer === undefined ? {} : { elicitation: { form: {} } } },
  );
  if (answer !== undefined) client.setRequestHandler('elicitation/create', async () => ({ action: 'accept', content: { answer } }));
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  closers.push(() => client.close());
  return client;
}

const foreign = (at: { readonly host: string; readonly port: number }, options = {}) => {
  const connection = connectMcp({ replica: 0, instanceId: 'f.0', at, foreign: true }, { revision: 'auto', ...options });
  closers.push(() => connection.close());
  return connection;
};
const toolCall = (tool: string, body: unknown, over: Partial<CallMeta> = {}) =>
  call(body, { target: 'files', meta: { ...plainMeta, extra: { tool }, ...over } });

describe('what a unit shows to strangers', () => {
  it('is all of it at /mcp and one component at /<component>/mcp, with how long the list holds', async () => {
    const url = await unit(async () => null);
    const all = await (await stranger(`${url}/mcp`)).listTools();
    expect(all.tools.map(({ name }) => name)).toEqual(['clerk', 'read', 'write']);
    expect(all.ttlMs).toBe(1234);
    const some = await (await stranger(`${url}/files/mcp`)).listTools();
    expect(some.tools.map(({ name }) => name)).toEqual(['read', 'write']);
    expect((await (await stranger(`${url}/nobody/mcp`)).listTools()).tools).toEqual([]);
    expect((await fetch(`${url}/elsewhere`, { method: 'POST', body: '{}' })).status).toBe(404);
  });

  it('reaches the tool as a call of a stranger, with the trace it came in', async () => {
    const seen: IncomingCall[] = [];
    const url = await unit(async (incoming) => {
      seen.push(incoming);
      return 'text';
    });
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const client = await stranger(`${url}/mcp`);
    const reply = await client.callTool({ name: 'write', arguments: { input: 'abc' }, _meta: { traceparent } });
    expect(reply).toMatchObject({ content: [{ type: 'text', text: 'text' }] });
    expect(reply._meta).not.toHaveProperty('dmas-opt/reply');
    expect(seen[0]).toMatchObject({
      target: 'files',
      pattern: 'request',
      body: 'abc',
      meta: { from: 'stranger', channel: 'stranger->files', extra: { tool: 'write' }, trace: { traceparent } },
    });
    await client.callTool({ name: 'clerk', arguments: { text: 'x' } });
    expect(seen[1]).toMatchObject({ target: 'clerk', body: { text: 'x' } });
  });

  it.each(['legacy', 'auto'] as const)('asks the person behind a client, %s, and goes on in the session that asked', async (mode) => {
    const metas: CallMeta[] = [];
    const url = await unit(async ({ meta }) => {
      metas.push(meta);
      if (meta.resume?.colour === undefined) {
        throw new CallError({
          code: 'inputRequired',
          message: 'which?',
          details: { id: 'colour', component: 'clerk', prompt: 'Which colour?' },
        });
      }
      return { chosen: meta.resume.colour };
    });
    const answered = await (await stranger(`${url}/mcp`, mode, 'red')).callTool({ name: 'clerk', arguments: {} });
    expect(answered.structuredContent).toEqual({ chosen: 'red' });
    expect(metas).toHaveLength(2);
    expect(metas[1]?.sessionId).toBe(metas[0]?.sessionId);
    if (mode === 'legacy') return;
    // Who can ask nobody gets the error.
    const unable = await (await stranger(`${url}/mcp`)).callTool({ name: 'clerk', arguments: {} });
    expect(unable).toMatchObject({ isError: true, content: [{ type: 'text', text: 'inputRequired: which?' }] });
  });

  it('wraps what is no object, and keeps references right', () => {
    const tree = { $ref: '#/$defs/node', $defs: { node: { type: 'object' } } };
    const list = { type: 'array', items: { $ref: '#' } };
    const [tool] = [...offeredTools([component('tree', { input: tree, output: list })], undefined).values()];
    expect(tool?.tool.inputSchema).toEqual({
      type: 'object',
      properties: { input: { $ref: '#/$defs/node' } },
      required: ['input'],
      $defs: { node: { type: 'object' } },
    });
    expect(tool?.tool.outputSchema).toMatchObject({ properties: { result: { items: { $ref: '#/properties/result' } } } });
  });

  it('says of effects what can be read back', () => {
    for (const effect of ['readOnly', 'idempotent', 'sideEffect'] as const) expect(effectOf(annotationsOf(effect))).toBe(effect);
    expect(effectOf(undefined)).toBe('sideEffect');
    expect(effectOf({ destructiveHint: false })).toBe('sideEffect');
  });
});

describe('hostile input', () => {
  it('never harms the unit: whatever is posted, the next call is answered', async () => {
    const url = await unit(async ({ body }) => body);
    const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
    const own = (value: unknown) =>
      JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'clerk', arguments: {}, _meta: { 'dmas-opt/call': value } },
      });
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.json(), fc.jsonValue().map(own)), async (body) => {
        const response = await fetch(`${url}/mcp`, { method: 'POST', headers, body });
        expect(response.status).toBeLessThan(500);
        await response.text();
      }),
      { numRuns: 60 },
    );
    expect((await (await stranger(`${url}/mcp`)).callTool({ name: 'clerk', arguments: { text: 'y' } })).structuredContent).toEqual({
      text: 'y',
    });
  });

  it('is turned away where a web page sends it', async () => {
    const url = await unit(async () => null);
    const { port } = new URL(url);
    const post = (head: string) =>
      new Promise<string>((resolve) => {
        const socket = connectSocket(Number(port), '127.0.0.1', () =>
          socket.write(`POST /mcp HTTP/1.1\r\n${head}\r\ncontent-length: 2\r\n\r\n{}`),
        );
        socket.once('data', (data) => {
          resolve(String(data).slice(0, 12));
          socket.destroy();
        });
      });
    expect(await post('host: evil.example')).toBe('HTTP/1.1 403');
    expect(await post(`host: 127.0.0.1:${port}\r\norigin: http://evil.example`)).toBe('HTTP/1.1 403');
  });
});

describe('a caller of somebody else’s server', () => {
  it('takes progress for chunks, keeps to deadlines and cancels', async () => {
    let cancelled = false;
    const server = await officialServer(
      new Map([
        [
          'slow',
          {
            run: (_, context) =>
              new Promise((resolve) => {
                const progressToken = context.mcpReq._meta?.progressToken;
                if (progressToken !== undefined) {
                  void context.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: 1, message: 'half' } });
                  setTimeout(() => resolve({ content: [{ type: 'text', text: 'end' }] }), 20);
                }
                context.mcpReq.signal.addEventListener('abort', () => {
                  cancelled = true;
                });
              }),
          },
        ],
      ]),
    );
    closers.push(() => server.close());
    const connection = foreign(server.at);
    const stream = connection.stream({ ...toolCall('slow', { text: '' }), pattern: 'stream' });
    expect(await collect(stream)).toEqual({ chunks: ['half'], output: 'end' });
    expect((await callError(connection.call(toolCall('slow', { text: '' }, { remainingMs: 100 })))).code).toBe('deadline');
    await expect.poll(() => cancelled).toBe(true);
  });

  it('brings a question up as `inputRequired` and the answer down with the server’s own state', async () => {
    const url = await unit(async ({ meta }) => {
      const given = meta.resume?.q;
      if (given === undefined)
        throw new CallError({ code: 'inputRequired', message: '?', details: { id: 'q', component: 'clerk', prompt: 'How many?' } });
      return { given, session: meta.sessionId };
    });
    const { hostname, port } = new URL(url);
    const connection = foreign({ host: hostname, port: Number(port) });
    const asked = await callError(connection.call(toolCall('clerk', {})));
    expect(asked.code).toBe('inputRequired');
    const { id, prompt } = asked.value.details as { id: string; prompt: { message: string } };
    expect(prompt.message).toBe('How many?');
    // Another process can bring the answer: all there is to know stands in the id.
    const other = foreign({ host: hostname, port: Number(port) });
    expect(await other.call(toolCall('clerk', {}, { resume: { [id]: 'seven' } }))).toMatchObject({ given: 'seven' });
  });

  it('refuses what MCP cannot carry', async () => {
    const connection = foreign({ host: '127.0.0.1', port: 9 });
    expect((await callError(connection.call(toolCall('x', 'text')))).code).toBe('invalid');
    expect((await callError(connection.call({ ...toolCall('x', {}), pattern: 'send' }))).code).toBe('invalid');
    expect(await callError(connection.call(toolCall('x', {})))).toMatchObject({ value: { code: 'unavailable', neverStarted: true } });
  });

  it('leaves no listener behind however many calls it makes', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on('warning', note);
    const server = await officialServer(new Map([['echo', {}]]));
    closers.push(() => server.close());
    const connection = foreign(server.at);
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 20 }, () => connection.call(toolCall('echo', { text: 'x' }))));
    }
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', note);
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([]);
  });
});
