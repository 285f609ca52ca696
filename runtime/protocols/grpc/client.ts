import { Client, type ClientReadableStream, type ClientUnaryCall, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { type BindAddress, CallError } from '../../../compiler/contracts/index.ts';
import type { Connection, OutgoingCall } from '../protocol.ts';
import { parseJson, toJsonBytes } from '../wire/body.ts';
import { ChunkQueue } from '../wire/chunk-queue.ts';
import { cancelledError, unavailableError } from '../wire/errors.ts';
import { encodeMeta, maxRemainingMs } from '../wire/meta.ts';
import { OpenCalls, watchCall } from '../wire/outgoing.ts';
import { addressOf, asIs, callPath, channelOptions, chunkTag, errorFrom, outputTag, patternKey, streamPath, targetKey } from './wire.ts';

/** One HTTP/2 connection per callee replica; calls share it without waiting for each other. */
export function connectGrpc(at: BindAddress): Connection {
  const client = new Client(addressOf(at), credentials.createInsecure(), {
    ...channelOptions,
    // Only units are called by it, and the way out of the deployment does not lead to them.
    'grpc.enable_http_proxy': 0,
    // Closing the client must close its connection, and repeating is decided by the runtime.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 1000,
  });
  const open = new OpenCalls();
  return {
    call: (call) => unaryCall(client, open, call),
    stream: (call) => streamCall(client, open, call),
    async close() {
      open.close();
      client.close();
    },
  };
}

function unaryCall(client: Client, open: OpenCalls, call: OutgoingCall): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let running: ClientUnaryCall | undefined;
    const release = watchCall(
      call,
      (error) => {
        reject(error);
        running?.cancel();
      },
      open,
    );
    try {
      const { message, metadata } = encode(call);
      running = client.makeUnaryRequest<Buffer, Buffer>(
        callPath,
        asIs,
        asIs,
        message,
        metadata,
        { deadline: deadlineOf(call) },
        (failure, reply) => {
          release();
          if (failure !== null) {
            reject(errorFrom(failure, call.target));
            return;
          }
          try {
            resolve(decode(call, reply ?? Buffer.alloc(0), 0));
          } catch (error) {
            reject(error);
          }
        },
      );
    } catch (error) {
      release();
      reject(error instanceof CallError ? error : unavailableError(call.target, String(error), true, error));
    }
  });
}

async function* streamCall(client: Client, open: OpenCalls, call: OutgoingCall): AsyncGenerator<unknown, unknown> {
  let running: ClientReadableStream<Buffer> | undefined;
  const queue = new ChunkQueue(
    64,
    () => running?.pause(),
    () => running?.resume(),
  );
  const release = watchCall(
    call,
    (error) => {
      queue.fail(error);
      running?.cancel();
    },
    open,
  );
  try {
    const { message, metadata } = encode(call);
    running = client.makeServerStreamRequest<Buffer, Buffer>(streamPath, asIs, asIs, message, metadata, { deadline: deadlineOf(call) });
    running.on('data', (frame: Buffer) => takeFrame(call, queue, frame));
    running.on('error', (failure) => queue.fail(errorFrom(failure as Partial<ServiceError>, call.target)));
    running.on('end', () => {
      // An error status comes after `end`; only a stream that ended well without an output broke off.
      setImmediate(() => queue.fail(unavailableError(call.target, 'the stream broke off', false)));
    });
    return yield* queue.drain();
  } finally {
    release();
    queue.fail(cancelledError(call.target));
    running?.cancel();
  }
}

function takeFrame(call: OutgoingCall, queue: ChunkQueue, frame: Buffer): void {
  try {
    if (frame[0] === chunkTag) queue.push(decode(call, frame, 1));
    else if (frame[0] === outputTag) queue.end(decode(call, frame, 1));
    else throw new CallError({ code: 'failed', message: `${call.target} sent a malformed frame` });
  } catch (error) {
    queue.fail(error);
  }
}

function encode(call: OutgoingCall): { readonly message: Buffer; readonly metadata: Metadata } {
  const started = performance.now();
  const { headers, prefix } = encodeMeta(call.meta);
  const json = toJsonBytes(call.body, `the body for ${call.target}`);
  call.wire.serializeMs += performance.now() - started;
  call.wire.requestBytes = json.length;
  const metadata = new Metadata();
  for (let i = 0; i < headers.length; i += 2) metadata.set(headers[i] ?? '', headers[i + 1] ?? '');
  metadata.set(targetKey, encodeURIComponent(call.target));
  if (call.pattern !== 'request') metadata.set(patternKey, call.pattern);
  return { message: prefix === undefined ? json : Buffer.concat([prefix, json]), metadata };
}

function decode(call: OutgoingCall, bytes: Buffer, start: number): unknown {
  call.wire.responseBytes += bytes.length - start;
  const started = performance.now();
  try {
    return parseJson(bytes, start);
  } catch (error) {
    throw new CallError({ code: 'failed', message: `the reply of ${call.target} is not JSON` }, { cause: error });
  } finally {
    call.wire.serializeMs += performance.now() - started;
  }
}

/**
 * Both ends watch the deadline with clocks of their own and say what happened; gRPC's own comes after, for a call that
 * both have lost sight of. At the same moment it would cut the line before the callee could tell a deadline from a caller
 * that went away.
 */
const deadlineOf = (call: OutgoingCall) => Date.now() + Math.min(call.meta.remainingMs + backstopMs, maxRemainingMs);
const backstopMs = 1_000;
