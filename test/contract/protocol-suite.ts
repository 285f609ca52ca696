import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type BindAddress,
  CallError,
  type CallErrorCode,
  callErrorCodes,
  type InputRequest,
  type Pattern,
} from '../../compiler/contracts/index.ts';
import type {
  CallHandler,
  CallMeta,
  Connection,
  IncomingCall,
  Listener,
  OutgoingCall,
  Protocol,
  ProtocolDescriptor,
  ProtocolOptions,
} from '../../runtime/protocols/protocol.ts';

export interface Place {
  readonly at: BindAddress;
  cleanUp(): Promise<void>;
}

export const plainMeta: CallMeta = {
  requestId: 'r-1',
  sessionId: 's-1',
  from: 'caller',
  channel: 'caller->callee',
  remainingMs: 20_000,
  attempt: 1,
  trace: {},
};

export const call = (body: unknown, over: Partial<OutgoingCall> = {}): OutgoingCall => ({
  target: 'callee',
  pattern: 'request',
  body,
  meta: plainMeta,
  signal: new AbortController().signal,
  wire: { requestBytes: 0, responseBytes: 0, serializeMs: 0 },
  ...over,
});

/** The rejection of a promise as a CallError; fails when it resolves or rejects with something else. */
export async function callError(promise: Promise<unknown>): Promise<CallError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (!('error' in outcome)) throw new Error(`expected a CallError, got ${JSON.stringify(outcome.value)}`);
  expect(outcome.error).toBeInstanceOf(CallError);
  return outcome.error as CallError;
}

export async function collect(stream: AsyncGenerator<unknown, unknown>): Promise<{ chunks: unknown[]; output: unknown }> {
  const chunks: unknown[] = [];
  for (;;) {
    const next = await stream.next();
    if (next.done) return { chunks, output: next.value };
    chunks.push(next.value);
  }
}

export function latch<T = void>(): { promise: Promise<T>; open: (value: T) => void } {
  let open: (value: T) => void = () => {};
  const promise = new Promise<T>((resolve) => {
    open = resolve;
  });
  return { promise, open };
}

/** Resolves with the reason once the call's signal is aborted. */
const aborted = (incoming: IncomingCall) =>
  new Promise<CallError>((resolve) => {
    const done = () => resolve(incoming.signal.reason as CallError);
    if (incoming.signal.aborted) done();
    else incoming.signal.addEventListener('abort', done);
  });

/** What every protocol must do, whatever its options. */
export function protocolSuite(
  descriptor: ProtocolDescriptor,
  options: ProtocolOptions,
  place: (protocol: Protocol) => Promise<Place>,
): void {
  const { inProcess } = descriptor.traits;
  describe(`protocol ${descriptor.id} ${JSON.stringify(options)}`, () => {
    let protocol: Protocol;
    let where: Place;
    let handler: CallHandler;
    const open: (Connection | Listener)[] = [];
    const closers: (() => Promise<void>)[] = [];

    beforeEach(async () => {
      protocol = await descriptor.load();
      where = await place(protocol);
      handler = async (incoming) => incoming.body;
    });
    afterEach(async () => {
      for (const close of closers.splice(0).reverse()) await close();
      open.length = 0;
      await where.cleanUp();
    });

    const listen = async () => {
      const listener = await protocol.listen(where.at, (incoming, emit) => handler(incoming, emit), options);
      closers.push(() => listener.close(0));
      return listener;
    };
    const connect = (at: BindAddress) => {
      const connection = protocol.connect({ replica: 0, instanceId: 'callee-0', at }, options);
      closers.push(() => connection.close());
      return connection;
    };
    const start = async () => {
      const listener = await listen();
      return { listener, connection: connect(listener.at) };
    };

    describe('bodies', () => {
      it.each([
        ['text', 'hello'],
        ['unicode', { 'clé 😀': 'naïve \u2028\u0000 汉字 \ud83d\ude00' }],
        ['null', null],
        ['nothing', undefined],
        ['false', false],
        ['zero', 0],
        ['an empty string', ''],
        ['an empty object', {}],
        ['an empty list', []],
        ['nesting', { a: [{ b: [[[{ c: null }]]] }] }],
      ])('carries %s there and back', async (_name, body) => {
        const { connection } = await start();
        expect(await connection.call(call(body))).toEqual(body);
        expect(await collect(connection.stream(call(body, { pattern: 'stream' })))).toEqual({ chunks: [], output: body });
      });

      it('carries any JSON value', async () => {
        const { connection } = await start();
        await fc.assert(
          fc.asyncProperty(fc.jsonValue(), async (value) => {
            const body = JSON.parse(JSON.stringify(value));
            expect(await connection.call(call(body))).toEqual(body);
          }),
          { numRuns: 50 },
        );
      });

      it('carries 1 MB', async () => {
        const { connection } = await start();
        const body = { text: 'ä'.repeat(512 * 1024), list: Array.from({ length: 1000 }, (_, index) => index) };
        const reply = (await connection.call(call(body))) as typeof body;
        expect(reply.text === body.text).toBe(true);
        expect(reply.list).toEqual(body.list);
      });

      it('keeps 200 parallel calls apart', async () => {
        handler = async (incoming) => {
          await new Promise((resolve) => setTimeout(resolve, ((incoming.body as number) * 7) % 20));
          return incoming.body;
        };
        const { connection } = await start();
        const replies = await Promise.all(Array.from({ length: 200 }, (_, index) => connection.call(call(index))));
        expect(replies).toEqual(Array.from({ length: 200 }, (_, index) => index));
      });

      it('does not make a quick call wait for slow ones', async () => {
        const gate = latch();
        handler = async (incoming) => (incoming.body === 'slow' ? gate.promise : 'quick');
        const { connection } = await start();
        const slow = Array.from({ length: 40 }, () => connection.call(call('slow')));
        expect(await connection.call(call('quick'))).toBe('quick');
        gate.open();
        await Promise.all(slow);
      });
    });

    describe('what travels beside the body', () => {
      const full: CallMeta = {
        requestId: 'r-ü-1',
        requestClass: 'batch \u4e2d',
        sessionId: 'séssion 😀 "quoted" \\ \n\t\u0001 \u007f\u0080 \ud800 end ',
        from: 'größer',
        channel: 'größer->callee',
        remainingMs: 19_999.5,
        attempt: 3,
        trace: {
          traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
          tracestate: 'congo=t61rcWkgMzE,rojo=00f067aa0ba902b7',
          baggage: 'userId=alice%20b,serverNode=DF%2028;p=1',
        },
        topic: { name: 'drafts/ü', conversation: 'c 1', sequence: 7 },
        origin: 'unit-a/0#1',
        resume: { 'reviewer.0a1b2c3d.1': { approved: true, note: 'schön ✓' }, other: null },
        extra: { step: 3, path: ['a', 'ß'], nested: { deep: [null, true] } },
      };

      it.each(['request', 'send', 'publish', 'stream'] as const)('arrives intact on %s', async (pattern) => {
        const seen = latch<IncomingCall>();
        handler = async (incoming) => {
          seen.open(incoming);
          return undefined;
        };
        const { connection } = await start();
        const outgoing = call({ a: 1 }, { pattern, meta: full, target: 'tool server/ü?x#y' });
        if (pattern === 'stream') await collect(connection.stream(outgoing));
        else await connection.call(outgoing);
        const incoming = await seen.promise;
        expect(incoming.target).toBe('tool server/ü?x#y');
        expect(incoming.pattern).toBe(pattern);
        const { remainingMs, ...rest } = incoming.meta;
        const { remainingMs: sent, ...expected } = full;
        expect(rest).toEqual(expected);
        expect(remainingMs).toBeGreaterThan(0);
        expect(remainingMs).toBeLessThanOrEqual(sent);
      });

      it('arrives intact when it is large', async () => {
        handler = async (incoming) => [incoming.meta, incoming.body];
        const { connection } = await start();
        const meta: CallMeta = {
          ...full,
          extra: { state: 'é'.repeat(100_000) },
          trace: { ...full.trace, baggage: `k=${'v'.repeat(8000)}` },
        };
        expect(await connection.call(call('body', { meta }))).toEqual([meta, 'body']);
      });

      it('arrives intact whatever the texts are', async () => {
        handler = async (incoming) => incoming.meta;
        const { connection } = await start();
        const texts = fc.string({ unit: 'binary', maxLength: 20 });
        await fc.assert(
          fc.asyncProperty(texts, texts, texts, fc.dictionary(texts, fc.jsonValue()), async (sessionId, from, value, odd) => {
            const extra = JSON.parse(JSON.stringify(odd));
            const meta: CallMeta = { ...plainMeta, sessionId, from, trace: { tracestate: value, baggage: ` ${value}` }, extra };
            expect(await connection.call(call(null, { meta }))).toEqual(meta);
          }),
          { numRuns: 60 },
        );
      });
    });

    describe('errors', () => {
      it.each(Object.keys(callErrorCodes) as CallErrorCode[])('%s arrives typed with everything it says', async (code) => {
        const value = { code, message: `it was ${code} ü`, component: 'deep', neverStarted: true, details: { why: ['ü', 1, null] } };
        handler = async (incoming, emit) => {
          if (incoming.body === 'after a chunk') emit('chunk');
          throw new CallError(value);
        };
        const { connection } = await start();
        expect((await callError(connection.call(call(null)))).value).toEqual(value);
        expect((await callError(connection.call(call(null, { pattern: 'send' })))).value).toEqual(value);
        expect((await callError(collect(connection.stream(call(null, { pattern: 'stream' }))))).value).toEqual(value);
        expect((await callError(collect(connection.stream(call('after a chunk', { pattern: 'stream' }))))).value).toEqual(value);
      });

      it('a question to a person arrives whole, and its answer with the next call', async () => {
        const details: InputRequest = { id: 'q ü/1', component: 'deep', prompt: { text: 'Approve?', choices: ['yes', null, { no: [1] }] } };
        handler = async (incoming) => {
          const { resume } = incoming.meta;
          if (resume !== undefined && Object.hasOwn(resume, details.id)) return resume[details.id];
          throw new CallError({ code: 'inputRequired', message: 'deep waits for an answer', component: 'deep', details });
        };
        const { connection } = await start();
        for (const pattern of ['request', 'stream'] as const) {
          const ask = (resume?: CallMeta['resume']) => {
            const outgoing = call(null, { pattern, meta: resume === undefined ? plainMeta : { ...plainMeta, resume } });
            return pattern === 'stream' ? collect(connection.stream(outgoing)).then(({ output }) => output) : connection.call(outgoing);
          };
          expect((await callError(ask())).value).toMatchObject({ code: 'inputRequired', component: 'deep', details });
          for (const answer of [{ approved: true }, null, false, ['ü']]) expect(await ask({ [details.id]: answer })).toEqual(answer);
        }
      });

      it.each([
        ['rejects with', async () => Promise.reject(new RangeError('out of range'))],
        [
          'throws at once',
          () => {
            throw new RangeError('out of range');
          },
        ],
      ] as [string, CallHandler][])('a foreign error a handler %s is `failed` with its message', async (_how, bad) => {
        handler = bad;
        const { connection } = await start();
        const { value } = await callError(connection.call(call(null)));
        expect(value.code).toBe('failed');
        expect(value.message).toBe('out of range');
      });

      it('a body that is no JSON is `invalid` and the next call works', async ({ skip }) => {
        if (inProcess) return skip('in-process bodies go by reference and are never serialized');
        const { connection } = await start();
        expect((await callError(connection.call(call(1n)))).code).toBe('invalid');
        expect((await callError(collect(connection.stream(call(1n, { pattern: 'stream' }))))).code).toBe('invalid');
        expect(await connection.call(call('next'))).toBe('next');
      });

      it('an output or chunk that is no JSON is a typed error and the next call works', async ({ skip }) => {
        if (inProcess) return skip('in-process bodies go by reference and are never serialized');
        handler = async (incoming, emit) => {
          if (incoming.body === 'chunk') emit(1n);
          return incoming.body === 'next' ? 'next' : 1n;
        };
        const { connection } = await start();
        await callError(connection.call(call(null)));
        await callError(collect(connection.stream(call(null, { pattern: 'stream' }))));
        await callError(collect(connection.stream(call('chunk', { pattern: 'stream' }))));
        expect(await connection.call(call('next'))).toBe('next');
      });
    });

    describe('deadlines and cancellation', () => {
      const patterns: Pattern[] = ['request', 'stream', 'send'];
      const run = (connection: Connection, outgoing: OutgoingCall) =>
        outgoing.pattern === 'stream' ? collect(connection.stream(outgoing)) : connection.call(outgoing);

      it.each(patterns)('a passed deadline is `deadline` on both sides of %s', async (pattern) => {
        const reason = latch<CallError>();
        handler = async (incoming) => {
          reason.open(await aborted(incoming));
          return new Promise(() => {});
        };
        const { connection } = await start();
        const outgoing = call(null, { pattern, meta: { ...plainMeta, remainingMs: 60 } });
        expect((await callError(run(connection, outgoing))).code).toBe('deadline');
        // The callee learns of it from its own clock or from the caller's leaving, whichever is first.
        expect(['deadline', 'cancelled']).toContain((await reason.promise).code);
      });

      it('the callee ends a call whose deadline passed by itself, `deadline` on its side', async () => {
        const reason = latch<CallError>();
        handler = async (incoming) => {
          const error = await aborted(incoming);
          reason.open(error);
          throw error;
        };
        const { connection } = await start();
        const outgoing = call(null, { meta: { ...plainMeta, remainingMs: 60 } });
        // This caller's own timer is late, as on a busy host: its meta says 60 ms on the wire only.
        let asked = 0;
        const late: CallMeta = Object.defineProperty({ ...outgoing.meta }, 'remainingMs', {
          enumerable: true,
          get: () => (asked++ === 0 ? 10_000 : 60),
        });
        const error = await callError(connection.call({ ...outgoing, meta: late }));
        expect(error.code).toBe('deadline');
        expect((await reason.promise).code).toBe('deadline');
      });

      it.each(patterns)('a deadline that is over before %s starts never reaches the callee', async (pattern) => {
        let ran = false;
        handler = async () => {
          ran = true;
        };
        const { connection } = await start();
        const { value } = await callError(run(connection, call(null, { pattern, meta: { ...plainMeta, remainingMs: 0 } })));
        expect(value.code).toBe('deadline');
        expect(value.neverStarted).toBe(true);
        expect(ran).toBe(false);
      });

      it.each(patterns)('cancelling %s reaches the callee', async (pattern) => {
        const started = latch();
        const reason = latch<CallError>();
        handler = async (incoming) => {
          started.open();
          reason.open(await aborted(incoming));
        };
        const { connection } = await start();
        const controller = new AbortController();
        const running = callError(run(connection, call(null, { pattern, signal: controller.signal })));
        await started.promise;
        controller.abort();
        expect((await running).code).toBe('cancelled');
        expect((await reason.promise).code).toBe('cancelled');
        handler = async () => 'still there';
        expect(await connection.call(call(null))).toBe('still there');
      });

      it.each(patterns)('%s cancelled before it starts never reaches the callee', async (pattern) => {
        let ran = false;
        handler = async () => {
          ran = true;
        };
        const { connection } = await start();
        expect((await callError(run(connection, call(null, { pattern, signal: AbortSignal.abort() })))).code).toBe('cancelled');
        expect(ran).toBe(false);
      });

      it('the CallError a caller aborts with is what the call rejects with', async () => {
        handler = async (incoming) => aborted(incoming);
        const { connection } = await start();
        const controller = new AbortController();
        const running = callError(connection.call(call(null, { signal: controller.signal })));
        setTimeout(() => controller.abort(new CallError({ code: 'deadline', message: 'the request is over' })), 10);
        expect((await running).value).toEqual({ code: 'deadline', message: 'the request is over' });
      });

      it('a finished call is not aborted', async () => {
        const signals: AbortSignal[] = [];
        handler = async (incoming) => {
          signals.push(incoming.signal);
        };
        const { connection } = await start();
        await connection.call(call(null));
        await connection.call(call(null, { pattern: 'send' }));
        await collect(connection.stream(call(null, { pattern: 'stream' })));
        await new Promise((resolve) => setTimeout(resolve, 30));
        expect(signals.map((signal) => signal.aborted)).toEqual([false, false, false]);
      });
    });

    describe('streams', () => {
      it('deliver chunks in order, each as it comes, then the output', async () => {
        const gates = [latch(), latch()];
        handler = async (_incoming, emit) => {
          emit({ n: 0 });
          await gates[0]?.promise;
          emit({ n: 1, text: 'zwö\n"' });
          emit(null);
          await gates[1]?.promise;
          return { all: 3 };
        };
        const { connection } = await start();
        const stream = connection.stream(call(null, { pattern: 'stream' }));
        expect(await stream.next()).toEqual({ done: false, value: { n: 0 } });
        gates[0]?.open();
        expect(await stream.next()).toEqual({ done: false, value: { n: 1, text: 'zwö\n"' } });
        expect(await stream.next()).toEqual({ done: false, value: null });
        gates[1]?.open();
        expect(await stream.next()).toEqual({ done: true, value: { all: 3 } });
      });

      it('lose nothing when the consumer is slow and the chunks are many and large', async () => {
        const padding = 'x'.repeat(2000);
        handler = async (_incoming, emit) => {
          for (let n = 0; n < 2000; n++) emit({ n, padding });
          return 'end';
        };
        const { connection } = await start();
        let expected = 0;
        const stream = connection.stream(call(null, { pattern: 'stream' }));
        for (;;) {
          const next = await stream.next();
          if (next.done) {
            expect(next.value).toBe('end');
            break;
          }
          expect((next.value as { n: number }).n).toBe(expected);
          expected += 1;
          if (expected % 400 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
        }
        expect(expected).toBe(2000);
      });

      it('deliver what came before an error, then the error', async () => {
        handler = async (_incoming, emit) => {
          emit(1);
          emit(2);
          throw new CallError({ code: 'overloaded', message: 'enough', details: { at: 2 } });
        };
        const { connection } = await start();
        const stream = connection.stream(call(null, { pattern: 'stream' }));
        expect((await stream.next()).value).toBe(1);
        expect((await stream.next()).value).toBe(2);
        expect((await callError(stream.next())).value).toEqual({ code: 'overloaded', message: 'enough', details: { at: 2 } });
      });

      it('an early return of the consumer cancels the callee', async () => {
        const reason = latch<CallError>();
        handler = async (incoming, emit) => {
          emit(1);
          const error = await aborted(incoming);
          emit('after the end');
          reason.open(error);
          return 'ignored';
        };
        const { connection } = await start();
        for await (const chunk of connection.stream(call(null, { pattern: 'stream' }))) {
          expect(chunk).toBe(1);
          break;
        }
        expect((await reason.promise).code).toBe('cancelled');
      });

      it('many at once do not mix', async () => {
        handler = async (incoming, emit) => {
          for (let n = 0; n < 5; n++) {
            emit([incoming.body, n]);
            await new Promise((resolve) => setImmediate(resolve));
          }
          return incoming.body;
        };
        const { connection } = await start();
        const all = await Promise.all(Array.from({ length: 30 }, (_, id) => collect(connection.stream(call(id, { pattern: 'stream' })))));
        for (const [id, { chunks, output }] of all.entries()) {
          expect(chunks).toEqual([0, 1, 2, 3, 4].map((n) => [id, n]));
          expect(output).toBe(id);
        }
      });
    });

    describe('one-way messages', () => {
      it.each(['send', 'publish'] as const)('%s returns with nothing once the message is accepted', async (pattern) => {
        const accepted = latch();
        const seen = latch<unknown>();
        handler = async (incoming) => {
          seen.open(incoming.body);
          await accepted.promise;
          return 'not for the sender';
        };
        const { connection } = await start();
        let returned = false;
        const sending = connection.call(call({ n: 1 }, { pattern })).then((output) => {
          returned = true;
          return output;
        });
        expect(await seen.promise).toEqual({ n: 1 });
        await new Promise((resolve) => setTimeout(resolve, 20));
        expect(returned).toBe(false);
        accepted.open();
        expect(await sending).toBeUndefined();
      });
    });

    describe('coming and going', () => {
      it('connecting before anyone listens works, and calls fail as `unavailable` until then', async () => {
        const probe = await listen();
        await probe.close(0);
        const connection = connect(probe.at);
        const { value } = await callError(connection.call(call(null)));
        expect(value.code).toBe('unavailable');
        expect(value.neverStarted).toBe(true);
        expect((await callError(collect(connection.stream(call(null, { pattern: 'stream' }))))).code).toBe('unavailable');
        const again = await protocol.listen(probe.at, async () => 'up', options);
        closers.push(() => again.close(0));
        // A protocol may wait a little before it tries a peer that refused it again.
        await expect.poll(() => connection.call(call(null)).catch((error: CallError) => error.code), { timeout: 5000 }).toBe('up');
      });

      it('a listener that closes at once fails what is in flight as `unavailable` and aborts the callee', async () => {
        const started = latch();
        const reason = latch<CallError>();
        handler = async (incoming) => {
          started.open();
          reason.open(await aborted(incoming));
          return new Promise(() => {});
        };
        const { connection, listener } = await start();
        const running = callError(connection.call(call(null)));
        await started.promise;
        await listener.close(0);
        const { value } = await running;
        expect(value.code).toBe('unavailable');
        expect(value.neverStarted).toBeUndefined();
        await reason.promise;
        expect((await callError(connection.call(call(null)))).code).toBe('unavailable');
      });

      it('draining answers everything in flight, and refuses new calls as never started', async () => {
        const started = Array.from({ length: 10 }, () => latch());
        const gate = latch();
        handler = async (incoming, emit) => {
          started[incoming.body as number]?.open();
          emit('chunk');
          await gate.promise;
          return incoming.body;
        };
        const { connection, listener } = await start();
        const running = started.map((_, index) =>
          index % 2 === 0
            ? connection.call(call(index))
            : collect(connection.stream(call(index, { pattern: 'stream' }))).then(({ output }) => output),
        );
        await Promise.all(started.map(({ promise }) => promise));
        let closed = false;
        const closing = listener.close(20_000).then(() => {
          closed = true;
        });
        const { value } = await callError(connection.call(call(99)));
        expect(value.code).toBe('unavailable');
        expect(value.neverStarted).toBe(true);
        expect(closed).toBe(false);
        gate.open();
        expect(await Promise.all(running)).toEqual(started.map((_, index) => index));
        await closing;
      });

      it('the address is free again after closing', async () => {
        const { listener, connection } = await start();
        await connection.call(call(1));
        await listener.close(1000);
        const again = await protocol.listen(listener.at, async () => 'second', options);
        closers.push(() => again.close(0));
        expect(await connect(again.at).call(call(null))).toBe('second');
      });

      it('closing a connection ends its calls with a typed error and can be done twice', async () => {
        const started = latch();
        handler = async (incoming) => {
          started.open();
          await aborted(incoming);
        };
        const { connection } = await start();
        const running = callError(connection.call(call(null)));
        await started.promise;
        await connection.close();
        await connection.close();
        expect(['unavailable', 'cancelled']).toContain((await running).code);
        expect((await callError(connection.call(call(null)))).code).toBe('unavailable');
      });

      it('closing leaves no socket open in this process', async () => {
        const sockets = () => process.getActiveResourcesInfo().filter((name) => /TCP|Pipe|Server/.test(name)).length;
        const before = sockets();
        const { connection, listener } = await start();
        await Promise.all(Array.from({ length: 20 }, () => connection.call(call(null))));
        await collect(connection.stream(call(null, { pattern: 'stream' })));
        await connection.close();
        await listener.close(1000);
        await expect.poll(sockets, { timeout: 5000 }).toBeLessThanOrEqual(before);
      });
    });

    describe('what is known of the wire', () => {
      it('bytes of both ways are the size of the JSON, or 0 in-process', async () => {
        const seen = latch<IncomingCall>();
        handler = async (incoming) => {
          seen.open(incoming);
          return 'ü'.repeat(100);
        };
        const { connection } = await start();
        const body = { text: 'ä'.repeat(1000) };
        const outgoing = call(body);
        await connection.call(outgoing);
        const { wire } = await seen.promise;
        const requestBytes = inProcess ? 0 : Buffer.byteLength(JSON.stringify(body));
        expect(outgoing.wire.requestBytes).toBe(requestBytes);
        expect(wire.requestBytes).toBe(requestBytes);
        expect(outgoing.wire.responseBytes).toBe(inProcess ? 0 : 202);
        expect(outgoing.wire.serializeMs > 0).toBe(!inProcess);
        expect(wire.deserializeMs > 0).toBe(!inProcess);
      });

      it('bytes of a stream count every chunk', async () => {
        handler = async (_incoming, emit) => {
          for (let n = 0; n < 10; n++) emit('x'.repeat(100));
          return 'end';
        };
        const { connection } = await start();
        const outgoing = call(null, { pattern: 'stream' });
        await collect(connection.stream(outgoing));
        if (inProcess) expect(outgoing.wire.responseBytes).toBe(0);
        else expect(outgoing.wire.responseBytes).toBeGreaterThanOrEqual(1000);
      });
    });
  });
}
