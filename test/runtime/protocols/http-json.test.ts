import { once } from 'node:events';
import { connect } from 'node:net';
import { Pool } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CallErrorValue, callErrorCodes, httpUrl } from '../../../compiler/contracts/index.ts';
import { connectHttp } from '../../../runtime/protocols/http-json/client.ts';
import { listenHttp } from '../../../runtime/protocols/http-json/server.ts';
import type { IncomingCall, Listener } from '../../../runtime/protocols/protocol.ts';
import { bodyLimitBytes } from '../../../runtime/protocols/wire/body.ts';
import { call, callError, collect } from '../../contract/protocol-suite.ts';

const loopback = { host: '127.0.0.1', port: 0 };

describe('http-json as a stranger sees it', () => {
  let listener: Listener;
  let pool: Pool;
  let seen: IncomingCall[];
  beforeEach(async () => {
    seen = [];
    listener = await listenHttp(loopback, async (incoming, emit) => {
      seen.push(incoming);
      emit('chunk');
      return incoming.body;
    });
    pool = new Pool(httpUrl(listener.at));
  });
  afterEach(async () => {
    await pool.destroy();
    await listener.close(0);
  });

  const post = async (path: string, body?: string | Buffer, headers: Record<string, string> = {}, method: 'POST' | 'GET' = 'POST') => {
    const reply = await pool.request({ path, method, headers, body: body ?? null });
    const text = await reply.body.text();
    return { status: reply.statusCode, value: text === '' ? undefined : JSON.parse(text) };
  };

  it('a plain POST works and gets ids of its own', async () => {
    expect(await post('/weather', '{"city":"Lisbon"}')).toEqual({ status: 200, value: { city: 'Lisbon' } });
    const [incoming] = seen;
    expect(incoming?.target).toBe('weather');
    expect(incoming?.meta.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(incoming?.meta.remainingMs).toBeGreaterThan(0);
  });

  it('a stream is one JSON frame a line', async () => {
    const reply = await pool.request({ path: '/weather?pattern=stream', method: 'POST', body: '1' });
    expect(reply.headers['content-type']).toBe('application/x-ndjson');
    expect(await reply.body.text()).toBe('{"chunk":"chunk"}\n{"output":1}\n');
  });

  it.each([
    ['a body that is no JSON', '/weather', '{"city":', {}],
    ['an empty target', '/', '1', {}],
    ['a malformed target', '/%E0%A4%A', '1', {}],
    ['an unknown pattern', '/weather?pattern=shout', '1', {}],
    ['meta that is no JSON', '/weather', '1', { 'dmas-call': '{' }],
    ['meta that is no object', '/weather', '1', { 'dmas-call': 'null' }],
    ['meta without its fields', '/weather', '1', { 'dmas-call': '{}' }],
    ['meta with fields of the wrong type', '/weather', '1', { 'dmas-call': '{"requestId":1}' }],
    ['meta longer than the body', '/weather', '1', { 'dmas-call': 'body=100' }],
    ['meta of a malformed length', '/weather', '1', { 'dmas-call': 'body=-1' }],
  ])('%s is answered as `invalid`, and the next call works', async (_name, path, body, headers) => {
    const { status, value } = await post(path, body, headers);
    expect(status).toBe(callErrorCodes.invalid.status);
    expect((value as CallErrorValue).code).toBe('invalid');
    expect(seen).toEqual([]);
    expect((await post('/weather', '2')).value).toBe(2);
  });

  it('another method is answered as `invalid`', async () => {
    const { status, value } = await post('/weather', undefined, {}, 'GET');
    expect(status).toBe(422);
    expect((value as CallErrorValue).code).toBe('invalid');
  });

  it('a declared body over the limit is refused before it is sent, and the server lives on', async () => {
    if (!('port' in listener.at)) throw new Error('expected a TCP listener');
    const socket = connect(listener.at.port, listener.at.host);
    socket.write(`POST /weather HTTP/1.1\r\nhost: x\r\ncontent-length: ${bodyLimitBytes + 1}\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 422 /);
    expect(answer.toString()).toContain('"code":"invalid"');
    socket.destroy();
    expect((await post('/weather', '2')).value).toBe(2);
  });

  it('a chunked body over the limit is refused', async () => {
    const piece = Buffer.alloc(4 * 1024 * 1024, 0x20);
    async function* endless() {
      for (let sent = 0; sent <= bodyLimitBytes; sent += piece.length) yield piece;
    }
    const { Readable } = await import('node:stream');
    const reply = await pool.request({ path: '/weather', method: 'POST', body: Readable.from(endless()) });
    expect(reply.statusCode).toBe(422);
    expect(((await reply.body.json()) as CallErrorValue).code).toBe('invalid');
    expect(seen).toEqual([]);
  });

  it('what is not HTTP at all is answered and loses its connection; the server lives on', async () => {
    if (!('port' in listener.at)) throw new Error('expected a TCP listener');
    for (const garbage of [
      '\x16\x03\x01 hello\r\n\r\n',
      'POST / HTTP/9.9\r\n\r\n',
      `POST / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`,
    ]) {
      const socket = connect(listener.at.port, listener.at.host);
      socket.on('error', () => {});
      socket.resume();
      socket.write(garbage);
      await once(socket, 'close');
    }
    expect((await post('/weather', '2')).value).toBe(2);
  });

  it('a caller that leaves in the middle of its body is forgotten', async () => {
    if (!('port' in listener.at)) throw new Error('expected a TCP listener');
    const socket = connect(listener.at.port, listener.at.host);
    await once(socket, 'connect');
    socket.write('POST /weather HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"half":');
    await new Promise((resolve) => setTimeout(resolve, 20));
    socket.destroy();
    expect((await post('/weather', '2')).value).toBe(2);
    expect(seen).toHaveLength(1);
    // It is not counted as in flight either: draining ends at once.
    await listener.close(60_000);
  });
});

describe('http-json to a stranger', () => {
  const answering = async (status: number, headers: string, body: string) => {
    const { createServer } = await import('node:net');
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () =>
        socket.end(`HTTP/1.1 ${status} x\r\n${headers}content-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`),
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const connection = connectHttp({ at: { host: '127.0.0.1', port: typeof address === 'object' && address !== null ? address.port : 0 } });
    return {
      connection,
      close: async () => {
        await connection.close();
        server.close();
      },
    };
  };

  it.each([
    [502, '<html>bad gateway</html>', 'unavailable'],
    [500, 'oops', 'failed'],
    [404, '{"code":"no-such-code","message":"x"}', 'failed'],
    [200, '{"torn":', 'failed'],
  ] as const)('status %i with %j is `%s`', async (status, body, code) => {
    const { connection, close } = await answering(status, '', body);
    expect((await callError(connection.call(call(1)))).code).toBe(code);
    await close();
  });

  it.each([
    ['{"chunk":1}\n', 'unavailable'],
    ['{"chunk":1}\nnonsense\n', 'failed'],
    ['{"chunk":1}\n{"what":2}\n', 'failed'],
  ])('the stream %j ends as `%s` after its chunk', async (body, code) => {
    const { connection, close } = await answering(200, 'content-type: application/x-ndjson\r\n', body);
    const stream = connection.stream(call(1, { pattern: 'stream' }));
    expect((await stream.next()).value).toBe(1);
    expect((await callError(collect(stream))).code).toBe(code);
    await close();
  });
});
