import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CallError, httpUrl } from '../../compiler/contracts/index.ts';
import { a2aProtocol } from '../../runtime/protocols/a2a/protocol.ts';
import type { CallHandler, Connection, IncomingCall, Listener, OutgoingCall, ServedComponent } from '../../runtime/protocols/protocol.ts';
import { noPython, type PythonAgent, type PythonEvent, type PythonTask, python, pythonAgent, pythonClient } from './a2a-python.ts';

const bindings = [
  ['json-rpc', 'JSONRPC'],
  ['rest', 'HTTP+JSON'],
  ['grpc', 'GRPC'],
] as const;

const desk: ServedComponent = {
  name: 'help desk',
  kind: 'agent',
  description: 'Answers',
  input: { type: 'object', properties: { text: { type: 'string' } } },
  output: {},
  streams: true,
  tools: [],
};
const numbers: ServedComponent = { ...desk, name: 'numbers', input: { type: 'object' }, streams: false };

/** What our side does; it keeps what it was asked. */
function deskHandler(seen: IncomingCall[]): CallHandler {
  return async (call, emit) => {
    seen.push(call);
    const { text = '' } = (call.body ?? {}) as { text?: string };
    if (text === 'fail') throw new CallError({ code: 'failed', message: 'it broke' });
    if (text === 'ask') {
      const answer = call.meta.resume?.['which-1'];
      if (answer === undefined) {
        const details = { id: 'which-1', component: 'help desk', prompt: 'Which one?' };
        throw new CallError({ code: 'inputRequired', message: 'asks', details });
      }
      return { text: `you chose ${answer}` };
    }
    if (call.pattern === 'stream') for (const piece of ['one ', 'two ', 'three']) emit(piece);
    return call.target === 'numbers' ? { sum: 3, given: call.body } : { text: `you said ${text}`, calls: seen.length };
  };
}

const artifactsOf = (events: readonly PythonEvent[]) =>
  events.flatMap(({ artifactUpdate, task }) => [...(artifactUpdate ? [artifactUpdate.artifact] : []), ...(task?.artifacts ?? [])]);
const statesOf = (events: readonly PythonEvent[]) =>
  events.flatMap(({ statusUpdate, task }) => [...(statusUpdate ? [statusUpdate.status.state] : []), ...(task ? [task.status.state] : [])]);
const lastStatus = (events: readonly PythonEvent[]) => {
  const last = events.at(-1);
  return last?.statusUpdate?.status ?? last?.task?.status;
};

describe.skipIf(python === undefined)(`a Python a2a-sdk client calls a unit (${noPython})`, () => {
  let listener: Listener;
  let url: string;
  let seen: IncomingCall[];

  const start = async (binding: string, legacy = false) => {
    seen = [];
    const handler = deskHandler(seen);
    listener = await a2aProtocol.listen({ host: '127.0.0.1', port: 0 }, handler, { binding, legacy, strangerDeadlineMs: 20_000 }, () => [
      desk,
      numbers,
    ]);
    url = httpUrl(listener.at);
  };
  afterEach(() => listener.close(0));

  describe.each(bindings)('over %s', (binding, name) => {
    const ask = (over: Partial<PythonTask>) => pythonClient({ url, binding: name, streaming: false, steps: [], ...over });

    it('and gets the value and its text', async () => {
      await start(binding);
      const { card, steps } = await ask({ steps: [{ text: 'hello' }] });
      expect(card.name).toBe('help desk');
      const [artifact] = artifactsOf(steps[0] ?? []);
      expect(artifact?.parts).toMatchObject([{ data: { text: 'you said hello', calls: 1 } }, { text: 'you said hello' }]);
      expect(lastStatus(steps[0] ?? [])?.state).toBe('TASK_STATE_COMPLETED');
      expect(seen[0]?.meta).toMatchObject({ from: 'stranger', channel: '', attempt: 1 });
    });

    it('and finds another agent of the unit by its own card', async () => {
      await start(binding);
      const { card, steps } = await ask({ url: `${url}/numbers`, steps: [{ data: { a: 1, b: [2] } }] });
      expect(card.name).toBe('numbers');
      expect(artifactsOf(steps[0] ?? [])[0]?.parts).toMatchObject([{ data: { sum: 3, given: { a: 1, b: [2] } } }]);
      expect(seen[0]?.target).toBe('numbers');
    });

    it('and gets a stream in order', async () => {
      await start(binding);
      const { steps } = await ask({ streaming: true, steps: [{ text: 'hello' }] });
      const [events = []] = steps;
      expect(events.flatMap(({ artifactUpdate }) => (artifactUpdate ? [artifactUpdate.artifact.parts.at(-1)?.text] : []))).toEqual([
        'one ',
        'two ',
        'three',
        'you said hello',
      ]);
      expect(statesOf(events)).toEqual(['TASK_STATE_WORKING', 'TASK_STATE_COMPLETED']);
      expect(seen[0]?.pattern).toBe('stream');
    });

    it('and sees a failure as a failed task', async () => {
      await start(binding);
      const { steps } = await ask({ steps: [{ text: 'fail' }] });
      expect(lastStatus(steps[0] ?? [])).toMatchObject({ state: 'TASK_STATE_FAILED', message: { parts: [{ text: 'it broke' }] } });
    });

    it.each([false, true])('and answers a question (streaming: %s)', async (streaming) => {
      await start(binding);
      const { steps } = await ask({ streaming, steps: [{ text: 'ask' }, { text: 'the red one' }] });
      expect(lastStatus(steps[0] ?? [])).toMatchObject({
        state: 'TASK_STATE_INPUT_REQUIRED',
        message: { parts: [{ text: 'Which one?' }] },
      });
      expect(artifactsOf(steps[1] ?? []).at(-1)?.parts).toMatchObject([{}, { text: 'you chose the red one' }]);
      expect(lastStatus(steps[1] ?? [])?.state).toBe('TASK_STATE_COMPLETED');
      expect(seen[1]?.meta.sessionId).toBe(seen[0]?.meta.sessionId);
      expect(seen[1]?.meta.resume).toEqual({ 'which-1': 'the red one' });
      expect(seen[1]?.body).toEqual({ text: 'ask' });
    });
  });

  it.each([
    ['json-rpc', 'JSONRPC', false],
    ['json-rpc', 'JSONRPC', true],
    ['grpc', 'GRPC', false],
    ['grpc', 'GRPC', true],
  ] as const)('in the words of A2A 0.3 (%s as %s, streaming: %s)', async (mine, binding, streaming) => {
    await start(mine, true);
    const task: PythonTask = {
      url,
      binding,
      streaming,
      version: '0.3',
      steps: [{ text: 'hello' }, { text: 'ask' }, { text: 'blue' }],
    };
    const { steps } = await pythonClient(task);
    expect(artifactsOf(steps[0] ?? []).at(-1)?.parts).toMatchObject([{ data: { text: 'you said hello' } }, { text: 'you said hello' }]);
    expect(lastStatus(steps[1] ?? [])?.state).toBe('TASK_STATE_INPUT_REQUIRED');
    expect(artifactsOf(steps[2] ?? []).at(-1)?.parts).toMatchObject([{}, { text: 'you chose blue' }]);
    await listener.close(0);
    await start(mine, false);
    await expect(pythonClient(task)).rejects.toThrow();
  });
});

const meta = { requestId: 'r-1', sessionId: 's-1', from: 'caller', channel: 'caller->python', remainingMs: 20_000, attempt: 1, trace: {} };
const call = (body: unknown, over: Partial<OutgoingCall> = {}): OutgoingCall => ({
  target: 'python',
  pattern: 'request',
  body,
  meta,
  signal: new AbortController().signal,
  wire: { requestBytes: 0, responseBytes: 0, serializeMs: 0 },
  ...over,
});

async function failure(promise: Promise<unknown>): Promise<CallError> {
  const error = await promise.then(
    (value) => new Error(`it answered ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof CallError)) throw error;
  return error;
}

describe.skipIf(python === undefined)(`we call a Python a2a-sdk agent (${noPython})`, () => {
  describe.each([
    ['json-rpc', 'json-rpc', false],
    ['rest', 'rest', false],
    ['grpc', 'grpc', false],
    ['json-rpc of A2A 0.3', 'json-rpc', true],
    ['rest of A2A 0.3', 'rest', true],
  ] as const)('over %s', (_, binding, legacy) => {
    let agent: PythonAgent;
    let connection: Connection;
    beforeAll(async () => {
      agent = await pythonAgent(...(legacy ? ['--legacy'] : []));
      const to = { replica: 0, instanceId: 'python', at: { host: '127.0.0.1', port: agent.port }, foreign: true };
      connection = a2aProtocol.connect(to, { binding, legacy });
    });
    afterAll(async () => {
      await connection.close();
      await agent.stop();
    });

    it('words and values come back', async () => {
      expect(await connection.call(call('hello'))).toEqual({ text: 'echo: hello' });
      expect(await connection.call(call({ text: 'hello' }))).toEqual({ text: 'echo: hello' });
      expect(await connection.call(call({ a: [1, null, 'ü'] }))).toEqual({ echo: { a: [1, null, 'ü'] } });
      expect(await connection.call(call('message'))).toEqual({ text: 'just words' });
      expect(await connection.call(call('hello', { pattern: 'send' }))).toBeUndefined();
    });

    it('a stream comes in pieces, then whole', async () => {
      const stream = connection.stream(call('stream', { pattern: 'stream' }));
      const chunks: unknown[] = [];
      let next = await stream.next();
      for (; !next.done; next = await stream.next()) chunks.push(next.value);
      expect(chunks).toEqual(['one ', 'two ', 'three']);
      expect(next.value).toEqual({ text: 'one two three' });
    });

    it('tasks that fail or are rejected are errors with their reason', async () => {
      expect((await failure(connection.call(call('fail')))).value).toMatchObject({ code: 'failed', message: 'python failed: it broke' });
      expect((await failure(connection.call(call('reject')))).value).toMatchObject({
        code: 'failed',
        message: 'python rejected the task: not me',
      });
      expect((await failure(connection.call(call('auth')))).value).toMatchObject({
        code: 'failed',
        message: 'python asks for credentials: who are you?',
      });
    });

    it('a question comes out as inputRequired, and its answer continues the task', async () => {
      const { value } = await failure(connection.call(call('ask')));
      expect(value).toMatchObject({ code: 'inputRequired', component: 'python', details: { component: 'python', prompt: 'which one?' } });
      const { id } = value.details as { id: string };
      const resumed = call('ask', { meta: { ...meta, resume: { other: 1, [id]: 'the red one' } } });
      expect(await connection.call(resumed)).toEqual({ text: 'you said the red one' });
      // The same request may run into the same call again.
      expect(await connection.call(resumed)).toEqual({ text: 'you said the red one' });
    });

    it('a deadline ends the call and cancels the task', async () => {
      const before = (await connection.call(call('cancelled'))) as { cancelled: number };
      const { code } = await failure(connection.call(call('slow', { meta: { ...meta, remainingMs: 400 } })));
      expect(code).toBe('deadline');
      await expect.poll(() => connection.call(call('cancelled')), { timeout: 5000 }).toEqual({ cancelled: before.cancelled + 1 });
    });

    it.skipIf(binding === 'grpc')('the trace and the session go along', async () => {
      const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
      expect(await connection.call(call('headers', { meta: { ...meta, trace: { traceparent } } }))).toEqual({
        traceparent,
        context: 's-1',
      });
    });
  });
});
