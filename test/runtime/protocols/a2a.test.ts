import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type AgentCard, type Message, type Part, Role, type StreamResponse, type Task, TaskState } from '@a2a-js/sdk';
import { type Client, ClientFactory, JsonRpcTransportFactory, RestTransportFactory } from '@a2a-js/sdk/client';
import { GrpcTransportFactory } from '@a2a-js/sdk/client/grpc';
import { afterEach, describe, expect, it } from 'vitest';
import { CallError as ApiCallError, agent, codeAgent, codeTool, tool, toolServer, z } from '../../../compiler/api/index.ts';
import { CallError, httpUrl } from '../../../compiler/contracts/index.ts';
import { inputFrom, partsFor, partsOf } from '../../../runtime/protocols/a2a/parts.ts';
import { a2aProtocol } from '../../../runtime/protocols/a2a/protocol.ts';
import { RecentTasks } from '../../../runtime/protocols/a2a/task-store.ts';
import { a2a } from '../../../runtime/protocols/a2a.ts';
import type { CallHandler, Connection, IncomingCall, Listener, ServedComponent } from '../../../runtime/protocols/protocol.ts';
import { call, callError, collect, latch, plainMeta } from '../../contract/protocol-suite.ts';
import { type Deployed, deploy } from '../agent/harness.ts';

const bindings = ['json-rpc', 'rest', 'grpc'] as const;
const loopback = { host: '127.0.0.1', port: 0 };

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function sdkClient(url: string, binding: (typeof bindings)[number], version = '1.0'): Promise<{ client: Client; card: AgentCard }> {
  const legacyCompat = { enabled: version === '0.3' };
  const factories = {
    'json-rpc': new JsonRpcTransportFactory({ legacyCompat }),
    rest: new RestTransportFactory({ legacyCompat }),
    grpc: new GrpcTransportFactory(),
  };
  const response = await fetch(`${url}/.well-known/agent-card.json`, { headers: { 'a2a-version': version } });
  const card = (await response.json()) as AgentCard;
  const interfaces = card.supportedInterfaces.filter(({ protocolVersion }) => protocolVersion === version);
  const client = await new ClientFactory({ transports: [factories[binding]] }).createFromAgentCard({
    ...card,
    supportedInterfaces: interfaces,
  });
  // The SDK has no way to close a gRPC client but this one.
  closers.push(async () => (client.transport as { grpcClient?: { close(): void } }).grpcClient?.close());
  return { client, card };
}

const part = (content: Part['content']): Part => ({ content, metadata: undefined, filename: '', mediaType: '' });
const say = (value: unknown, over: Partial<Message> = {}) => ({
  tenant: '',
  message: {
    messageId: randomUUID(),
    contextId: '',
    taskId: '',
    role: Role.ROLE_USER,
    parts: [typeof value === 'string' ? part({ $case: 'text', value }) : part({ $case: 'data', value })],
    metadata: undefined,
    extensions: [],
    referenceTaskIds: [],
    ...over,
  },
  configuration: undefined,
  metadata: undefined,
});
const taskOf = (reply: Task | Message): Task => {
  if ('messageId' in reply) throw new Error('a message, not a task');
  return reply;
};
const contents = (task: Task) => task.artifacts.flatMap(({ parts }) => parts.map(({ content }) => content?.value));

/** The a2a plug-in with options that the harness does not give. */
const withOptions = (options: object) => ({
  ...a2a,
  load: async () => ({
    ...a2aProtocol,
    listen: (...[at, handler, given, served]: Parameters<typeof a2aProtocol.listen>) =>
      a2aProtocol.listen(at, handler, { ...given, ...options }, served),
    connect: (...[to, given]: Parameters<typeof a2aProtocol.connect>) => a2aProtocol.connect(to, { ...given, ...options }),
  }),
});

describe.each(bindings)('a unit and the SDK’s own client over %s', (binding) => {
  const Text = z.object({ text: z.string() });
  const front = agent('front desk', { description: 'Takes calls', input: Text, output: Text, chunk: z.string() });
  const back = agent('back', { description: 'Shouts', input: Text, output: Text });
  const add = tool('add', {
    description: 'Adds',
    input: z.object({ a: z.number(), b: z.number() }),
    output: z.object({ sum: z.number() }),
    effect: 'readOnly',
  });
  const neg = tool('negate', { description: 'Negates', input: z.object({ a: z.number() }), output: z.number(), effect: 'readOnly' });

  const start = async (): Promise<{ deployed: Deployed; url: string }> => {
    const deployed = await deploy({
      entry: front,
      groups: [['ingress-side'], ['back', 'front desk', 'math']].map((group) => group.filter((name) => name !== 'ingress-side')),
      toolServers: [toolServer('math', [add, neg])],
      samplingRatio: 1,
      protocol: withOptions({ binding }),
      parts: [
        codeAgent(
          front,
          async ({ text }, ctx) => {
            if (text === 'fail') throw new ApiCallError({ code: 'failed', message: 'no luck' });
            for (const piece of ['a', 'b']) ctx.emit(piece);
            return ctx.call(back, { text });
          },
          { calls: [back] },
        ),
        codeAgent(back, async ({ text }) => ({ text: text.toUpperCase() })),
        codeTool(add, async ({ a, b }) => ({ sum: a + b })),
        codeTool(neg, async ({ a }) => -a),
      ],
    });
    closers.push(() => deployed.close());
    const at = deployed.replicas[1]?.report.listen[`unit://unit1/a2a`];
    if (at === undefined) throw new Error('unit1 does not listen');
    return { deployed, url: httpUrl(at) };
  };

  it('find each other, and the call is traced as one request', async () => {
    const { deployed, url } = await start();
    const { client, card } = await sdkClient(url, binding);
    expect(card.name).toBe('front desk');
    expect(card.skills).toMatchObject([{ id: 'front desk', name: 'front desk', tags: ['agent'] }]);
    const task = taskOf(
      await client.sendMessage(say('hello'), {
        serviceParameters: { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' },
      }),
    );
    expect(task.status?.state).toBe(TaskState.TASK_STATE_COMPLETED);
    expect(contents(task)).toEqual([{ text: 'HELLO' }, 'HELLO']);
    // The request of our own ingress goes over the same listener.
    expect((await deployed.ask({ text: 'hi' })).body).toEqual({ text: 'HI' });
    const spans = deployed.spans.getFinishedSpans().filter((span) => span.spanContext().traceId === '4bf92f3577b34da6a3ce929d0e0e4736');
    expect(spans.length).toBeGreaterThanOrEqual(4);
  });

  it('stream chunks as pieces of the output, which the whole then replaces', async () => {
    const { client } = await sdkClient((await start()).url, binding);
    const events: StreamResponse[] = [];
    for await (const event of client.sendMessageStream(say('hello'))) events.push(event);
    expect(events.map(({ payload }) => payload?.$case)).toEqual([
      'task',
      'artifactUpdate',
      'artifactUpdate',
      'artifactUpdate',
      'statusUpdate',
    ]);
    const updates = events.flatMap(({ payload }) => (payload?.$case === 'artifactUpdate' ? [payload.value] : []));
    expect(updates.map(({ append, lastChunk, artifact }) => [append, lastChunk, artifact?.parts.at(-1)?.content?.value])).toEqual([
      [false, false, 'a'],
      [true, false, 'b'],
      [false, true, 'HELLO'],
    ]);
    const [first] = events;
    const id = first?.payload?.$case === 'task' ? first.payload.value.id : '';
    expect(contents(await client.getTask({ id, tenant: '', historyLength: 0 }))).toEqual([{ text: 'HELLO' }, 'HELLO']);
  });

  it('see failures as failed tasks and what does not fit as rejected ones', async () => {
    const { client } = await sdkClient((await start()).url, binding);
    const failed = taskOf(await client.sendMessage(say('fail')));
    expect(failed.status).toMatchObject({ state: TaskState.TASK_STATE_FAILED, message: { parts: [{ content: { value: 'no luck' } }] } });
    const rejected = taskOf(await client.sendMessage(say({ wrong: 1 })));
    expect(rejected.status?.state).toBe(TaskState.TASK_STATE_REJECTED);
  });

  it('reach the tools of a tool server as its skills', async () => {
    const { url } = await start();
    const { client, card } = await sdkClient(`${url}/math`, binding);
    expect(card.skills.map(({ id }) => id)).toEqual(['add', 'negate']);
    expect(contents(taskOf(await client.sendMessage(say({ skill: 'add', input: { a: 1, b: 2 } }))))).toEqual([{ sum: 3 }]);
    expect(contents(taskOf(await client.sendMessage(say({ a: 4 }, { metadata: { skill: 'negate' } }))))).toEqual([-4]);
    const lost = taskOf(await client.sendMessage(say({ a: 4 })));
    expect(lost.status?.message?.parts[0]?.content?.value).toContain('there are add, negate');
  });
});

const served: readonly ServedComponent[] = [
  { name: 'callee', kind: 'agent', description: 'Works', input: {}, output: {}, streams: true, tools: [] },
];

/** A listener and a connection that speaks to it as to a stranger. */
async function strangers(
  binding: string,
  handler: CallHandler,
  options: object = {},
): Promise<{ listener: Listener; connection: Connection; url: string }> {
  const all = { binding, legacy: false, strangerDeadlineMs: 20_000, ...options };
  const listener = await a2aProtocol.listen(loopback, handler, all, () => served);
  const connection = a2aProtocol.connect({ replica: 0, instanceId: 'x', at: listener.at, url: httpUrl(listener.at), foreign: true }, all);
  closers.push(
    () => listener.close(0),
    () => connection.close(),
  );
  return { listener, connection, url: httpUrl(listener.at) };
}

describe.each(bindings)('strangers to each other over %s', (binding) => {
  it('exchange values, chunks and words', async () => {
    const { connection } = await strangers(binding, async (incoming, emit) => {
      emit({ n: 1 });
      return incoming.body;
    });
    expect(await connection.call(call({ a: [1, 'ü', null], text: 'words' }))).toEqual({ a: [1, 'ü', null], text: 'words' });
    expect(await connection.call(call('words'))).toEqual({ text: 'words' });
    expect(await collect(connection.stream(call({ a: 1 }, { pattern: 'stream' })))).toEqual({
      chunks: [{ n: 1 }, { a: 1 }],
      output: { a: 1 },
    });
    expect(await connection.call(call('words', { pattern: 'send' }))).toBeUndefined();
  });

  it('keep the meaning of errors of our own kind', async () => {
    const value = { code: 'overloaded', message: 'later', component: 'callee', neverStarted: true } as const;
    const { connection } = await strangers(binding, async () => {
      throw new CallError(value);
    });
    expect((await callError(connection.call(call('x')))).value).toEqual(value);
  });

  it('pause for an answer and go on with it', async () => {
    const seen: IncomingCall[] = [];
    const { connection } = await strangers(binding, async (incoming) => {
      seen.push(incoming);
      const { resume = {} } = incoming.meta;
      const question = ['first', 'second'].find(
        (id) => resume[id] === undefined && Object.keys(resume).length < (id === 'first' ? 1 : 2) && seen.length < 3,
      );
      if (question !== undefined) {
        const details = { id: question, component: 'callee', prompt: { ask: question } };
        throw new CallError({ code: 'inputRequired', message: 'asks', details });
      }
      return { got: resume };
    });
    const first = await callError(connection.call(call({ task: 7 })));
    expect(first.value).toMatchObject({
      code: 'inputRequired',
      component: 'callee',
      details: { component: 'callee', prompt: { ask: 'first' } },
    });
    const { id } = first.value.details as { id: string };
    const answered = { ...plainMeta, resume: { [id]: { color: 'red' } } };
    const second = await callError(connection.call(call({ task: 7 }, { meta: answered })));
    const { id: next } = second.value.details as { id: string };
    expect(next).not.toBe(id);
    const both = { ...plainMeta, resume: { [id]: { color: 'red' }, [next]: 'blue' } };
    expect(await connection.call(call({ task: 7 }, { meta: both }))).toEqual({ got: { second: 'blue' } });
    expect(seen.map(({ meta }) => meta.resume)).toEqual([undefined, { first: { color: 'red' } }, { second: 'blue' }]);
    expect(seen.map(({ body }) => body)).toEqual([{ task: 7 }, { task: 7 }, { task: 7 }]);
    expect(new Set(seen.map(({ meta }) => meta.sessionId))).toEqual(new Set(['s-1']));
    expect(new Set(seen.map(({ meta }) => meta.requestId)).size).toBe(3);
  });

  it.each(['request', 'stream'] as const)('cancel the task when the caller of a %s leaves', async (pattern) => {
    const started = latch();
    const reason = latch<CallError>();
    const { connection } = await strangers(binding, (incoming) => {
      incoming.signal.addEventListener('abort', () => reason.open(incoming.signal.reason));
      started.open();
      return new Promise(() => {});
    });
    const controller = new AbortController();
    const outgoing = call('x', { pattern, signal: controller.signal });
    const running = callError(pattern === 'stream' ? collect(connection.stream(outgoing)) : connection.call(outgoing));
    await started.promise;
    controller.abort();
    expect((await running).code).toBe('cancelled');
    expect((await reason.promise).code).toBe('cancelled');
  });

  it('end at the deadline a stranger gets', async () => {
    const { connection } = await strangers(binding, () => new Promise(() => {}), { strangerDeadlineMs: 50 });
    expect((await callError(connection.call(call('x')))).code).toBe('deadline');
  });

  it('find the peer once it is there', async () => {
    const { listener } = await strangers(binding, async () => 'up');
    await listener.close(0);
    const connection = a2aProtocol.connect({ replica: 0, instanceId: 'x', at: listener.at, foreign: true }, { binding });
    closers.push(() => connection.close());
    expect((await callError(connection.call(call('x')))).value).toMatchObject({ code: 'unavailable', neverStarted: true });
    const again = await a2aProtocol.listen(
      listener.at,
      async () => 'up',
      { binding },
      () => served,
    );
    closers.push(() => again.close(0));
    expect(await connection.call(call('x'))).toEqual({ text: 'up' });
  });

  it('carry 8 MB in one piece between units, streamed too', async () => {
    const { listener } = await strangers(binding, async (incoming, emit) => {
      emit(incoming.body);
      return incoming.body;
    });
    const connection = a2aProtocol.connect({ replica: 0, instanceId: 'x', at: listener.at }, { binding });
    closers.push(() => connection.close());
    const body = { text: '\u{1f600}"\\'.repeat(1024 * 1024) };
    expect(((await connection.call(call(body))) as typeof body).text === body.text).toBe(true);
    const { chunks, output } = await collect(connection.stream(call(body, { pattern: 'stream' })));
    expect((chunks[0] as typeof body).text === body.text && (output as typeof body).text === body.text).toBe(true);
  });
});

describe('A2A 0.3', () => {
  it('is spoken by the SDK’s client when the listener is told to, and only then', async () => {
    const { url } = await strangers('json-rpc', async (incoming) => incoming.body, { legacy: true });
    const { client } = await sdkClient(url, 'json-rpc', '0.3');
    expect(client.protocolVersion).toBe('0.3');
    expect(contents(taskOf(await client.sendMessage(say('hello'))))).toEqual([{ text: 'hello' }, 'hello']);
    expect(contents(taskOf(await (await sdkClient(url, 'json-rpc')).client.sendMessage(say('hello'))))).toEqual([
      { text: 'hello' },
      'hello',
    ]);
    const modern = await strangers('json-rpc', async (incoming) => incoming.body);
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'message/send', params: {} });
    const reply = await fetch(modern.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    expect(await reply.json()).toMatchObject({ id: 1, error: { code: -32009 } });
  });
});

describe('a card', () => {
  it('names only interfaces that lead to its agent', async () => {
    const second = { ...(served[0] as ServedComponent), name: 'second' };
    const listener = await a2aProtocol.listen(
      loopback,
      async () => 'x',
      { binding: 'grpc', legacy: true },
      () => [...served, second],
    );
    closers.push(() => listener.close(0));
    const interfaces = async (path: string) => {
      const card = (await (await fetch(`${httpUrl(listener.at)}${path}/.well-known/agent-card.json`)).json()) as AgentCard;
      return card.supportedInterfaces.map(({ protocolBinding, protocolVersion }) => `${protocolBinding} ${protocolVersion}`);
    };
    const modern = ['GRPC 1.0', 'JSONRPC 1.0', 'HTTP+JSON 1.0'];
    expect(await interfaces('')).toEqual([...modern, 'GRPC 0.3', 'JSONRPC 0.3']);
    expect(await interfaces('/callee')).toEqual([...modern, 'GRPC 0.3', 'JSONRPC 0.3']);
    expect(await interfaces('/second')).toEqual([...modern, 'JSONRPC 0.3']);
  });

  it('is not sent again to those who have it', async () => {
    const { url } = await strangers('rest', async () => 'x');
    const card = `${url}/.well-known/agent-card.json`;
    const first = await fetch(card);
    expect(first.headers.get('cache-control')).toContain('max-age=');
    await first.text();
    expect((await fetch(card, { headers: { 'if-none-match': first.headers.get('etag') ?? '' } })).status).toBe(304);
  });

  it('leads to an agent whose base URL has a path', async () => {
    const { url, listener } = await strangers('rest', async (incoming) => incoming.target);
    const to = { replica: 0, instanceId: 'x', at: listener.at, foreign: true };
    for (const base of [`${url}/callee`, `${url}/callee/`, `${url}/callee/.well-known/agent-card.json`]) {
      const connection = a2aProtocol.connect({ ...to, url: base }, { binding: 'rest' });
      closers.push(() => connection.close());
      expect(await connection.call(call('x'))).toEqual({ text: 'callee' });
    }
  });
});

describe('a listener that closes', () => {
  it.each(bindings)('waits for nobody who follows a paused task (%s)', async (binding) => {
    const { listener, url } = await strangers(binding, async () => {
      throw new CallError({ code: 'inputRequired', message: 'asks', details: { id: 'q', component: 'callee', prompt: 'Which?' } });
    });
    const { client } = await sdkClient(url, binding);
    const paused = taskOf(await client.sendMessage(say('x')));
    expect(paused.status?.state).toBe(TaskState.TASK_STATE_INPUT_REQUIRED);
    const following = client.resubscribeTask({ id: paused.id, tenant: '' });
    expect((await following.next()).value?.payload?.$case).toBe('task');
    const rest = following.next().catch(() => {});
    await listener.close(20_000);
    await rest;
  });

  it.each(bindings)('waits for nobody who never spoke (%s)', async (binding) => {
    const { listener } = await strangers(binding, async () => 'x');
    if (!('port' in listener.at)) throw new Error('expected a TCP listener');
    const socket = connect(listener.at.port, listener.at.host);
    await once(socket, 'connect');
    await new Promise((resolve) => setTimeout(resolve, 20));
    await listener.close(0);
    socket.destroy();
  });
});

describe('hostile input', () => {
  const headers = { 'content-type': 'application/json', 'a2a-version': '1.0' };
  const rpc = (params: unknown, method = 'SendMessage') => JSON.stringify({ jsonrpc: '2.0', id: 7, method, params });
  const own = (fields: unknown) =>
    rpc({
      tenant: 'callee',
      message: { messageId: 'm', role: 'ROLE_USER', parts: [{ text: '1' }], metadata: { 'urn:dmas-opt:a2a:call:1': fields } },
    });

  it.each([
    ['no JSON', '/', '{"half":', { error: { code: -32700 } }],
    ['no object', '/', 'null', { error: { code: -32602 } }],
    ['an unknown method', '/', rpc({}, 'Shout'), { id: 7, error: { code: -32601 } }],
    ['no message', '/callee', rpc({}), { id: 7, error: { code: -32602 } }],
    ['no parts', '/callee', rpc({ message: { messageId: 'm', role: 'ROLE_USER' } }), { error: { code: -32602 } }],
    [
      'an agent that is not there',
      '/nobody',
      rpc({ message: { messageId: 'm', parts: [{ text: 'x' }] } }),
      { error: { message: 'there is no agent nobody here' } },
    ],
    ['meta that is no JSON', '/', own({ call: '{', pattern: 'request' }), { result: { message: { metadata: expect.anything() } } }],
    [
      'an unknown pattern',
      '/',
      own({ call: '{}', pattern: 'shout' }),
      { result: { message: { parts: [{ text: 'unknown pattern shout' }] } } },
    ],
  ])('%s is answered, and the next call works', async (_name, path, body, answer) => {
    const seen: unknown[] = [];
    const { url, connection } = await strangers('json-rpc', async (incoming) => {
      seen.push(incoming.body);
      return 'fine';
    });
    const reply = await fetch(`${url}${path}`, { method: 'POST', headers, body });
    expect(await reply.json()).toMatchObject(answer);
    expect(seen).toEqual([]);
    expect(await connection.call(call('x'))).toEqual({ text: 'fine' });
  });

  it.each([
    ['GET', '/elsewhere', 404],
    ['GET', '/nobody/.well-known/agent-card.json', 404],
    ['POST', '/callee/message:send', 400],
    ['GET', '/callee/tasks/none', 404],
    ['GET', '/callee/tasks?pageSize=0', 400],
    ['DELETE', '/callee/tasks/none', 404],
    ['POST', '/callee/tasks/none/pushNotificationConfigs', 400],
  ])('%s %s is answered with %i', async (method, path, status) => {
    const { url } = await strangers('rest', async () => 'fine');
    const reply = await fetch(`${url}${path}`, { method, headers, ...(method === 'POST' ? { body: '{}' } : {}) });
    expect(reply.status).toBe(status);
    await reply.text();
  });

  it.each(bindings)('what is no HTTP at all loses its connection, and the listener lives on (%s)', async (binding) => {
    const { listener, connection } = await strangers(binding, async () => 'fine');
    if (!('port' in listener.at)) throw new Error('expected a TCP listener');
    for (const garbage of ['\x16\x03\x01 hello\r\n\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage garbage garbage', 'PRINT ME\r\n\r\n']) {
      const socket = connect(listener.at.port, listener.at.host);
      socket.on('error', () => {});
      socket.resume();
      socket.write(garbage);
      await once(socket, 'close');
    }
    expect(await connection.call(call('x'))).toEqual({ text: 'fine' });
  });

  it('a stranger that answers nonsense is a typed error', async () => {
    const { createServer } = await import('node:http');
    let answer: unknown = {};
    const server = createServer((_request, response) => response.end(typeof answer === 'string' ? answer : JSON.stringify(answer)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closers.push(async () => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as { port: number };
    for (const nonsense of [
      '',
      '<html>',
      {},
      [],
      { supportedInterfaces: [{ url: 'x', protocolBinding: 'PIGEON' }] },
      { supportedInterfaces: 7 },
    ]) {
      answer = nonsense;
      const connection = a2aProtocol.connect({ replica: 0, instanceId: 'x', at: { host: '127.0.0.1', port }, foreign: true }, {});
      expect(['failed', 'unavailable']).toContain((await callError(connection.call(call('x')))).code);
      await connection.close();
    }
  });
});

describe('parts', () => {
  it('of a stranger fit the schema of the input', () => {
    const text = [part({ $case: 'text', value: 'hi' })];
    expect(inputFrom(text, { type: 'string' })).toBe('hi');
    expect(inputFrom(text, { properties: { text: {} } })).toEqual({ text: 'hi' });
    expect(inputFrom(text, { properties: { question: { type: 'string' }, n: {} }, required: ['question'] })).toEqual({ question: 'hi' });
    expect(inputFrom([part({ $case: 'text', value: '{"a":1}' })], { properties: { a: {} } })).toEqual({ a: 1 });
    expect(inputFrom([...text, part({ $case: 'data', value: 0 })], { type: 'string' })).toBe(0);
    expect(inputFrom([...text, part({ $case: 'url', value: 'http://x/y' })], {})).toEqual({ text: 'hi', files: [{ url: 'http://x/y' }] });
    expect(() => inputFrom([part(undefined)], {})).toThrow(/no data, text or file/);
  });

  it('of ours can be read by machines and by people', () => {
    const values = (parts: Part[]) => parts.map(({ content }) => content?.value);
    expect(values(partsOf({ text: 'a', n: 1 }))).toEqual([{ text: 'a', n: 1 }, 'a']);
    expect(values(partsOf('a'))).toEqual(['a']);
    expect(values(partsOf(null))).toEqual(['']);
    expect(values(partsOf({ file: { base64: 'YQ==', name: 'a.txt' } }))).toEqual([Buffer.from('a')]);
    expect(values(partsFor({ text: 'a' }))).toEqual(['a']);
    expect(values(partsFor({ n: 1 }))).toEqual([{ n: 1 }, '{"n":1}']);
  });
});

describe('the tasks of strangers', () => {
  it('are forgotten when there are too many, ended ones first', async () => {
    const forgotten: string[] = [];
    const tasks = new RecentTasks((id) => forgotten.push(id), 3);
    const save = (id: string, state: TaskState) =>
      tasks.save(
        {
          id,
          contextId: 'c',
          status: { state, message: undefined, timestamp: undefined },
          artifacts: [],
          history: [],
          metadata: undefined,
        },
        {} as never,
      );
    await save('a', TaskState.TASK_STATE_WORKING);
    await save('b', TaskState.TASK_STATE_COMPLETED);
    await save('c', TaskState.TASK_STATE_WORKING);
    await save('d', TaskState.TASK_STATE_WORKING);
    await save('e', TaskState.TASK_STATE_WORKING);
    expect(forgotten).toEqual(['b', 'a']);
    expect(await tasks.load('a')).toBeUndefined();
    expect((await tasks.load('e'))?.id).toBe('e');
  });
});
