import { fail } from '../../../compiler/contracts/errors.ts';
import type { TraceFormat } from '../../../compiler/contracts/trace-digest.ts';
import { serveOtlpHttp } from '../otlp/http.ts';
import { MalformedOtlp } from '../otlp/record.ts';
import { createJsonReader } from './json-reader.ts';
import { readRequest } from './otlp-protobuf.ts';
import type { TraceInput } from './read.ts';
import type { SpanSink } from './span.ts';

type LiveInput = Extract<TraceInput, { kind: 'live' }>;
type LiveSink = SpanSink & { received(sizeBytes: number): void };
interface Listener {
  readonly address: string;
  close(): Promise<void>;
}

/** Of one message over gRPC, as over HTTP after decompression. */
const maxMessageBytes = 64 << 20;

/**
 * Takes spans over OTLP/HTTP and OTLP/gRPC until the input's seconds are over or the signal is aborted.
 * @throws DmasError DMAS_ENV_TARGET when a port is taken or the package for gRPC is missing
 */
export async function listenForTraces(
  input: LiveInput,
  sinkFor: (format: TraceFormat, address: string) => LiveSink,
  signal: AbortSignal,
): Promise<void> {
  const open: Listener[] = [];
  try {
    if (input.httpPort !== null) open.push(await listenHttp(input.host, input.httpPort, (address) => sinkFor('otlp-http', address)));
    if (input.grpcPort !== null) open.push(await listenGrpc(input.host, input.grpcPort, (address) => sinkFor('otlp-grpc', address)));
    input.onListening?.(open.map(({ address }) => address));
    await over(input.seconds, signal);
  } finally {
    await Promise.all(open.map((listener) => listener.close()));
  }
}

function over(seconds: number | null, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    // Without an end the open sockets keep the process up.
    const timer = seconds === null ? undefined : setTimeout(done, seconds * 1000);
    signal.addEventListener('abort', done);
  });
}

const taken = (address: string, cause: unknown): never =>
  fail('DMAS_ENV_TARGET', `cannot listen on ${address}: ${(cause as NodeJS.ErrnoException).code ?? String(cause)}`, {
    cause,
    fix: 'choose another port, or stop what listens on this one',
  });

/** One sink until the address is known, which is before anything can be sent to it. */
function late(sinkFor: (address: string) => LiveSink): { sink: () => LiveSink; bind(address: string): void } {
  let sink: LiveSink | undefined;
  return {
    bind: (address) => {
      sink = sinkFor(address);
    },
    sink: () => sink ?? { span: () => {}, reject: () => {}, received: () => {} },
  };
}

async function listenHttp(host: string, port: number, sinkFor: (address: string) => LiveSink): Promise<Listener> {
  const { sink, bind } = late(sinkFor);
  const server = await serveOtlpHttp({ host, port, maxInflatedBytes: maxMessageBytes }, (body, json) => {
    const into = sink();
    into.received(body.length);
    const refused = accept(body, json, into);
    if (refused !== null) throw new MalformedOtlp(refused);
  }).catch((error: unknown) => taken(`http://${host}:${port}`, error));
  bind(server.url);
  return { address: server.url, close: server.close };
}

/** The first reason when nothing of a message could be read, for the sender to see; null otherwise. */
function accept(body: Buffer, json: boolean, into: LiveSink): string | null {
  let spans = 0;
  let refused: string | null = null;
  const counting: SpanSink = {
    span: (span) => {
      spans++;
      into.span(span);
    },
    reject: (reason, at) => {
      refused ??= reason;
      into.reject(reason, at);
    },
  };
  if (!json) readRequest(body, counting);
  else {
    const reader = createJsonReader(counting, () => {});
    reader.write(body);
    reader.end();
  }
  return spans === 0 ? refused : null;
}

const exportPath = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

async function listenGrpc(host: string, port: number, sinkFor: (address: string) => LiveSink): Promise<Listener> {
  const grpc = await import('@grpc/grpc-js').catch((cause: unknown) =>
    fail('DMAS_ENV_TARGET', 'The package @grpc/grpc-js is not installed.', {
      cause,
      fix: 'npm install @grpc/grpc-js@1, or listen for OTLP over HTTP only',
    }),
  );
  const { sink, bind } = late(sinkFor);
  const server = new grpc.Server({ 'grpc.max_receive_message_length': maxMessageBytes });
  const asIs = (bytes: Buffer) => bytes;
  const nothing = Buffer.alloc(0); // an ExportTraceServiceResponse without partial success
  server.register(
    exportPath,
    (call: { request: Buffer }, reply: (error: { code: number; details: string } | null, value?: Buffer) => void) => {
      const into = sink();
      into.received(call.request.length);
      const refused = accept(call.request, false, into);
      if (refused === null) reply(null, nothing);
      else reply({ code: grpc.status.INVALID_ARGUMENT, details: refused });
    },
    asIs,
    asIs,
    'unary',
  );
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host.includes(':') ? `[${host}]` : host}:${port}`, grpc.ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    );
  }).catch((error: unknown) => taken(`grpc://${host}:${port}`, error));
  const address = `grpc://${host}:${bound}`;
  bind(address);
  return {
    address,
    close: () =>
      new Promise((resolve) => {
        server.tryShutdown(() => resolve());
        server.forceShutdown();
      }),
  };
}
