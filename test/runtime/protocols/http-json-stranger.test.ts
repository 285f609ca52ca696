import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CallError, type Pattern } from '../../../compiler/contracts/index.ts';
import { connectHttp } from '../../../runtime/protocols/http-json/client.ts';
import type { Connection, OutgoingCall } from '../../../runtime/protocols/protocol.ts';

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** Somebody's server: answers whatever the test says, and remembers what it was sent. */
describe('JSON over HTTP to a stranger', () => {
  let server: Server;
  let connection: Connection;
  let seen: Seen;
  let answer: (response: ServerResponse) => void = (response) => response.end('{}');
  beforeAll(async () => {
    server = createServer(async (request, response) => {
      let body = '';
      for await (const piece of request) body += piece;
      seen = { method: request.method, url: request.url, headers: request.headers, body };
      answer(response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    connection = connectHttp({ at: { host: '127.0.0.1', port }, url: `http://127.0.0.1:${port}/agents/ask?v=2`, foreign: true });
  });
  afterAll(async () => {
    await connection.close();
    server.close();
  });

  const outgoing = (pattern: Pattern, body: unknown = { topic: 'tides' }): OutgoingCall => ({
    target: 'researcher',
    pattern,
    body,
    meta: {
      requestId: 'r-1',
      sessionId: 'Zoë',
      from: 'desk',
      channel: 'desk->researcher',
      remainingMs: 5_000.7,
      attempt: 1,
      trace: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'a=b' },
    },
    signal: new AbortController().signal,
    wire: { requestBytes: 0, responseBytes: 0, serializeMs: 0 },
  });
  const failure = async (call: Promise<unknown>): Promise<CallError> => {
    const error = await call.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof CallError)) throw new Error(`no CallError but ${String(error)}`);
    return error;
  };
  const collect = async (call: OutgoingCall) => {
    const stream = connection.stream(call);
    const chunks: unknown[] = [];
    for (;;) {
      const next = await stream.next();
      if (next.done === true) return { chunks, output: next.value };
      chunks.push(next.value);
    }
  };
  const json =
    (value: unknown, status = 200, headers: Record<string, string> = {}) =>
    (response: ServerResponse) =>
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
  const events =
    (...lines: string[]) =>
    (response: ServerResponse) => {
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      // In pieces that cut lines and characters.
      const bytes = Buffer.from(lines.join('\n'));
      for (let at = 0; at < bytes.length; at += 7) response.write(bytes.subarray(at, at + 7));
      response.end();
    };

  it('sends the input and nothing else as the body, with trace, ids and time left in headers', async () => {
    answer = json({ text: 'hello' });
    const call = outgoing('request');
    expect(await connection.call(call)).toEqual({ text: 'hello' });
    expect(seen).toMatchObject({ method: 'POST', url: '/agents/ask?v=2', body: '{"topic":"tides"}' });
    expect(seen.headers).toMatchObject({
      'content-type': 'application/json',
      accept: 'application/json',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'a=b',
      'x-dmas-request': 'r-1',
      'x-dmas-session': 'Zo%C3%AB',
      'x-dmas-deadline-ms': '5000',
    });
    expect(seen.headers['dmas-call']).toBeUndefined();
    expect(call.wire).toMatchObject({ requestBytes: 17, responseBytes: 16 });
  });

  it('takes an empty answer as none, for one-way messages too', async () => {
    answer = (response) => response.writeHead(204).end();
    expect(await connection.call(outgoing('send'))).toBeUndefined();
    expect(seen.body).toBe('{"topic":"tides"}');
  });

  it.each([
    [400, {}, 'invalid'],
    [401, {}, 'failed'],
    [404, {}, 'unknown'],
    [422, { detail: [{ loc: ['topic'] }] }, 'invalid'],
    [428, { question: 'which one?' }, 'inputRequired'],
    [429, { message: 'slow down' }, 'overloaded'],
    [500, { error: { message: 'it broke' } }, 'failed'],
    [503, {}, 'unavailable'],
    [504, {}, 'deadline'],
  ] as const)('understands status %i', async (status, body, code) => {
    answer = json(body, status);
    const error = await failure(connection.call(outgoing('request')));
    expect(error.code).toBe(code);
    expect(error.message).toContain(`HTTP status ${status}`);
    expect(error.value.neverStarted).toBeUndefined();
    if (status === 500) expect(error.message).toContain('it broke');
    if (status === 428) expect(error.value.details).toEqual({ question: 'which one?' });
  });

  it('believes that nothing was begun only where it is told when to come again', async () => {
    answer = json({}, 429, { 'retry-after': '1' });
    expect((await failure(connection.call(outgoing('request')))).value.neverStarted).toBe(true);
    answer = json({ code: 'overloaded', message: 'full', neverStarted: true }, 503);
    expect((await failure(connection.call(outgoing('request')))).value).toMatchObject({ code: 'overloaded', neverStarted: true });
  });

  it('says what is no JSON, and does not show more than the beginning of an error page', async () => {
    answer = (response) => response.end('<html>');
    expect((await failure(connection.call(outgoing('request')))).message).toBe('the reply of researcher is not JSON');
    answer = (response) => response.writeHead(500).end('x'.repeat(10_000));
    expect((await failure(connection.call(outgoing('request')))).message.length).toBeLessThan(300);
  });

  it('streams events as they come, whatever they hold', async () => {
    answer = events('data: "one "', '', ': a comment', 'event: x', 'data: "twö"', '', 'data: [DONE]', '', '');
    expect(await collect(outgoing('stream'))).toEqual({ chunks: ['one ', 'twö'], output: 'one twö' });
    expect(seen.headers.accept).toBe('text/event-stream, application/json');
    answer = events('data: {"chunk": 1}', '', 'data: {"chunk": 2}', '', 'data: {"output": {"sum": 3}}', '', '');
    expect(await collect(outgoing('stream'))).toEqual({ chunks: [1, 2], output: { sum: 3 } });
    answer = events('data: {"a": 1}\r', '\r', 'data: {"a":', 'data: 2}\r', '\r', '');
    expect(await collect(outgoing('stream'))).toEqual({ chunks: [{ a: 1 }, { a: 2 }], output: { a: 2 } });
    answer = events('data: {"chunk": 1}', '', 'data: {"error": "no more"}', '', '');
    expect((await failure(collect(outgoing('stream')))).message).toContain('no more');
  });

  it('takes events where one answer was asked for, and one answer where events were', async () => {
    answer = events('data: {"chunk": "a"}', '', 'data: {"output": "ab"}', '', '');
    expect(await connection.call(outgoing('request'))).toBe('ab');
    answer = json({ text: 'whole' });
    expect(await collect(outgoing('stream'))).toEqual({ chunks: [], output: { text: 'whole' } });
  });

  it('says that a stream broke off', async () => {
    answer = (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: "one"\n\n', () => response.destroy());
    };
    expect((await failure(collect(outgoing('stream')))).code).toBe('unavailable');
  });
});
