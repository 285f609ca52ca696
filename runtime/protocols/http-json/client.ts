import { Pool } from 'undici';
import { CallError, httpUrl, type ReplicaAddress } from '../../../compiler/contracts/index.ts';
import { outsideConnector } from '../../egress/route.ts';
import type { Connection, OutgoingCall } from '../protocol.ts';
import { parseJson } from '../wire/body.ts';
import { ChunkQueue } from '../wire/chunk-queue.ts';
import { cancelledError, unavailableError } from '../wire/errors.ts';
import { OpenCalls } from '../wire/outgoing.ts';
import { EventReader } from './events.ts';
import { type Dialect, Exchange } from './exchange.ts';
import { FrameReader } from './frames.ts';
import { eventStreamType, strangerDialect } from './stranger.ts';

/** Idle connections are dropped long before the server would close them (`keepAliveMs` in server.ts). */
const idleMs = 30_000;

/**
 * One pool per callee replica. It has no limit: a call that waits for a connection held by its own ancestor would
 * never end, and the callee's bounded queue is what pushes back. undici's own timeouts are off, the deadline rules.
 */
export function connectHttp({ at, url, foreign }: Pick<ReplicaAddress, 'at' | 'url' | 'foreign'>): Connection {
  const tcp = 'port' in at;
  const base = new URL(url ?? (tcp ? httpUrl(at) : 'http://localhost'));
  const pool = new Pool(base.origin, {
    connections: null,
    pipelining: 1,
    keepAliveTimeout: idleMs,
    keepAliveMaxTimeout: idleMs,
    headersTimeout: 0,
    bodyTimeout: 0,
    ...(tcp ? { connect: outsideConnector() } : { socketPath: at.path }),
  });
  const open = new OpenCalls();
  const dialect = foreign === true ? strangerDialect(`${base.pathname}${base.search}`) : undefined;
  return {
    call: (call) => (dialect === undefined ? unaryCall(pool, open, call) : result(strangerCall(pool, open, call, dialect))),
    stream: (call) => (dialect === undefined ? streamCall(pool, open, call) : strangerCall(pool, open, call, dialect)),
    async close() {
      open.close();
      if (!pool.destroyed) await pool.destroy();
    },
  };
}

function unaryCall(pool: Pool, open: OpenCalls, call: OutgoingCall): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const end = (body: Buffer) => {
      const started = performance.now();
      try {
        resolve(parseJson(body));
      } catch (error) {
        reject(new CallError({ code: 'failed', message: `the reply of ${call.target} is not JSON` }, { cause: error }));
      }
      call.wire.serializeMs += performance.now() - started;
    };
    new Exchange(call, { end, fail: reject }).start(pool, open);
  });
}

async function* streamCall(pool: Pool, open: OpenCalls, call: OutgoingCall): AsyncGenerator<unknown, unknown> {
  const queue = new ChunkQueue(
    64,
    () => exchange.pause(),
    () => exchange.resume(),
  );
  const frames = new FrameReader(call, queue);
  const exchange: Exchange = new Exchange(call, {
    data: (piece) => {
      const broken = frames.read(piece);
      if (broken !== undefined) exchange.stop(broken);
    },
    end: () => queue.fail(unavailableError(call.target, 'the stream broke off', false)),
    fail: (error) => queue.fail(error),
  });
  exchange.start(pool, open);
  try {
    return yield* queue.drain();
  } finally {
    // With the last frame here the reply ends by itself, and its connection can be used again.
    if (queue.settled) exchange.resume();
    else exchange.stop(cancelledError(call.target));
  }
}

/** Whether a stranger answers at once or in events, and whichever was asked for, both are understood. */
async function* strangerCall(pool: Pool, open: OpenCalls, call: OutgoingCall, dialect: Dialect): AsyncGenerator<unknown, unknown> {
  const queue = new ChunkQueue(
    64,
    () => exchange.pause(),
    () => exchange.resume(),
  );
  const events = new EventReader(call, queue);
  let inEvents = false;
  const exchange: Exchange = new Exchange(
    call,
    {
      begin: (headers) => {
        inEvents = String(headers['content-type'] ?? '').startsWith(eventStreamType);
        return inEvents;
      },
      data: (piece) => {
        const broken = events.read(piece);
        if (broken !== undefined) exchange.stop(broken);
      },
      end: (body) => {
        if (inEvents) events.end();
        else settle(queue, body, call);
      },
      fail: (error) => queue.fail(error),
    },
    dialect,
  );
  exchange.start(pool, open);
  try {
    return yield* queue.drain();
  } finally {
    if (queue.settled) exchange.resume();
    else exchange.stop(cancelledError(call.target));
  }
}

function settle(queue: ChunkQueue, body: Buffer, call: OutgoingCall): void {
  const started = performance.now();
  try {
    queue.end(parseJson(body));
  } catch (error) {
    queue.fail(
      new CallError({ code: 'failed', message: `the reply of ${call.target} is not JSON`, component: call.target }, { cause: error }),
    );
  }
  call.wire.serializeMs += performance.now() - started;
}

/** The output of a stream whose chunks nobody asked for. */
async function result(stream: AsyncGenerator<unknown, unknown>): Promise<unknown> {
  for (;;) {
    const next = await stream.next();
    if (next.done === true) return next.value;
  }
}
