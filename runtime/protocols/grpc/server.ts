import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { type BindAddress, type CallError, type Pattern, toCallError } from '../../../compiler/contracts/index.ts';
import type { CallHandler, IncomingCall, Listener } from '../protocol.ts';
import { parseJson, toJsonBytes } from '../wire/body.ts';
import { cancelledError, deadlineError, drainingError, invalidError } from '../wire/errors.ts';
import { InFlight, type ServedCall, serveCall } from '../wire/incoming.ts';
import { callHeader, decodeMeta, metaPrefixBytes } from '../wire/meta.ts';
import { addressOf, asIs, callPath, channelOptions, chunkTag, outputTag, patternKey, statusFor, streamPath, targetKey } from './wire.ts';

type IncomingGrpc = ServerUnaryCall<Buffer, Buffer> | ServerWritableStream<Buffer, Buffer>;

interface Context {
  readonly handler: CallHandler;
  readonly inFlight: InFlight;
}

export async function listenGrpc(at: BindAddress, handler: CallHandler): Promise<Listener> {
  const context: Context = { handler, inFlight: new InFlight() };
  const server = new Server(channelOptions);
  const unary: handleUnaryCall<Buffer, Buffer> = (call, reply) => answerUnary(context, call, reply);
  const stream: handleServerStreamingCall<Buffer, Buffer> = (call) => answerStream(context, call);
  server.register(callPath, unary, asIs, asIs, 'unary');
  server.register(streamPath, stream, asIs, asIs, 'serverStream');
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(addressOf(at), ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return {
    at: 'path' in at ? at : { host: at.host, port },
    async close(drainMs) {
      const quiet = await context.inFlight.drain(drainMs);
      const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
      // tryShutdown waits for calls to end, which after the drain time is long enough.
      if (!quiet) server.forceShutdown();
      await closed;
    },
  };
}

function answerUnary(context: Context, call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>): void {
  let pattern: Pattern = 'request';
  run(
    context,
    call,
    () => {},
    (incoming) => {
      pattern = incoming.pattern;
    },
  ).then(
    (output) => {
      try {
        reply(null, toJsonBytes(pattern === 'request' ? output : undefined, 'the output'));
      } catch (error) {
        reply(statusFor(toCallError(error)));
      }
    },
    (error: CallError) => reply(statusFor(error)),
  );
}

function answerStream(context: Context, call: ServerWritableStream<Buffer, Buffer>): void {
  const write = (tag: number, value: unknown, what: string) => call.write(Buffer.concat([Buffer.of(tag), toJsonBytes(value, what)]));
  const fail = (error: CallError) => call.emit('error', statusFor(error));
  run(
    context,
    call,
    (chunk) => write(chunkTag, chunk, 'a chunk'),
    () => {},
  ).then((output) => {
    try {
      write(outputTag, output, 'the output');
      call.end();
    } catch (error) {
      fail(toCallError(error));
    }
  }, fail);
}

/** Everything between the transport and the handler. Rejects with a CallError. */
async function run(
  context: Context,
  call: IncomingGrpc,
  emit: (chunk: unknown) => void,
  onParsed: (incoming: Omit<IncomingCall, 'signal'>) => void,
): Promise<unknown> {
  const { inFlight, handler } = context;
  if (inFlight.draining) throw drainingError(text(call.metadata, targetKey) ?? 'the listener');
  inFlight.begin();
  try {
    const incoming = parse(call);
    onParsed(incoming);
    const served: ServedCall = serveCall(handler, incoming, emit);
    const onCancelled = () => {
      const late = Date.now() >= Number(call.getDeadline());
      served.cancel(late ? deadlineError(incoming.target) : cancelledError(incoming.target));
    };
    call.once('cancelled', onCancelled);
    if (call.cancelled) onCancelled();
    return await served.result;
  } finally {
    inFlight.end();
  }
}

function parse(call: IncomingGrpc): Omit<IncomingCall, 'signal'> {
  const { metadata, request } = call;
  const started = performance.now();
  const header = (name: string) => text(metadata, name);
  const prefixBytes = metaPrefixBytes(header(callHeader));
  if (prefixBytes > request.length) throw invalidError(`metadata ${callHeader} names more bytes than there are`);
  const meta = decodeMeta(header, prefixBytes > 0 ? request.toString('latin1', 0, prefixBytes) : undefined);
  const { target, pattern } = addressee(call, header);
  let body: unknown;
  try {
    body = parseJson(request, prefixBytes);
  } catch (error) {
    throw invalidError(`the request body is not JSON: ${(error as Error).message}`, error);
  }
  return { target, pattern, body, meta, wire: { requestBytes: request.length - prefixBytes, deserializeMs: performance.now() - started } };
}

function addressee(
  call: IncomingGrpc,
  header: (name: string) => string | undefined,
): { readonly target: string; readonly pattern: Pattern } {
  const encoded = header(targetKey);
  if (encoded === undefined || encoded === '') throw invalidError(`metadata ${targetKey} names no component`);
  const pattern = call.getPath() === streamPath ? 'stream' : (header(patternKey) ?? 'request');
  const known = pattern === 'stream' ? call.getPath() === streamPath : pattern === 'request' || pattern === 'send' || pattern === 'publish';
  if (!known) throw invalidError(`unknown pattern ${pattern}`);
  try {
    return { target: decodeURIComponent(encoded), pattern: pattern as Pattern };
  } catch (error) {
    throw invalidError(`malformed target ${encoded}`, error);
  }
}

function text(metadata: Metadata, name: string): string | undefined {
  const [value] = metadata.get(name);
  return typeof value === 'string' ? value : undefined;
}
