import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { describe, expect, it } from 'vitest';
import type { TraceDigest } from '../../../../compiler/contracts/index.ts';
import { digestTraces, type TraceInput } from '../../../../profiler/analyze/digest.ts';
import { otlpDocument, type TestSpan } from '../../analyze/foreign/fixture.ts';
import { encodeProtobuf } from './encode.ts';

const spans: readonly TestSpan[] = [
  { id: 'root', service: 'a', kind: 'server', at: [0, 10] },
  { id: 'call', service: 'a', parent: 'root', kind: 'client', at: [1, 9] },
  { id: 'serve', service: 'b', parent: 'call', kind: 'server', at: [2, 8] },
];

/** Listens on free ports while `send` runs, then gives the digest. */
async function listening(
  send: (http: string, grpc: string) => Promise<void>,
  ports: { readonly httpPort?: number | null; readonly grpcPort?: number | null } = {},
): Promise<TraceDigest> {
  const stop = new AbortController();
  let failed: unknown;
  const input: TraceInput = {
    kind: 'live',
    host: '127.0.0.1',
    httpPort: 0,
    grpcPort: 0,
    ...ports,
    seconds: 30,
    onListening: ([http = '', grpc = '']) => {
      send(http, grpc.replace('grpc://', ''))
        .catch((error: unknown) => {
          failed = error;
        })
        .finally(() => stop.abort());
    },
  };
  const digest = digestTraces([input], {}, { signal: stop.signal, seed: 1 });
  const result = await digest.catch((error: unknown) => {
    throw failed ?? error;
  });
  if (failed) throw failed;
  return result;
}

const post = (url: string, body: string | Uint8Array, headers: { [name: string]: string }) =>
  fetch(`${url}/v1/traces`, { method: 'POST', body: body, headers });

describe('live', () => {
  it('JSON over HTTP, plain and gzip, and a sender is told what was wrong', async () => {
    const digest = await listening(async (http) => {
      const json = { 'content-type': 'application/json' };
      expect((await post(http, JSON.stringify(otlpDocument(spans)), json)).status).toBe(200);
      const other = JSON.stringify(otlpDocument(spans.map((span) => ({ ...span, trace: 'two' }))));
      expect((await post(http, gzipSync(other), { ...json, 'content-encoding': 'gzip' })).status).toBe(200);
      const wrong = await post(http, '{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}', json);
      expect([wrong.status, ((await wrong.json()) as { message: string }).message]).toEqual([
        400,
        'a span without a valid trace or span id',
      ]);
      expect((await post(http, 'nonsense', json)).status).toBe(400);
    });
    expect(digest.quality).toMatchObject({ spans: 6, traces: 2, complete: 2 });
    expect(digest.sources).toMatchObject([
      { kind: 'live', format: 'otlp-http', spans: 6, rejected: 2 },
      { kind: 'live', format: 'otlp-grpc', spans: 0, rejected: 0 },
    ]);
  });

  it('the exporter of OpenTelemetry for Node.js', async () => {
    const digest = await listening(async (http) => {
      const exporter = new OTLPTraceExporter({ url: `${http}/v1/traces` });
      const provider = new NodeTracerProvider({
        resource: resourceFromAttributes({ 'service.name': 'node-app' }),
        spanProcessors: [new BatchSpanProcessor(exporter)],
      });
      const tracer = provider.getTracer('test');
      const attributes = { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'planner', 'gen_ai.usage.list': ['a', 'b'] };
      tracer.startActiveSpan('invoke_agent planner', { attributes }, (span) => span.end());
      await provider.forceFlush();
      await provider.shutdown();
    });
    expect(digest.components).toMatchObject([{ name: 'planner', kind: 'agent', services: ['node-app'], calls: 1 }]);
  });

  it('gRPC', async () => {
    const document = otlpDocument([{ id: 'root', service: 'grpc-app', name: 'GET /', kind: 'server', at: [0, 1] }]);
    const body = Buffer.from(encodeProtobuf(document));
    const digest = await listening(async (_http, grpc) => {
      const asIs = (bytes: Buffer) => bytes;
      const path = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
      const Client = makeGenericClientConstructor({}, 'TraceService');
      const client = new Client(grpc, credentials.createInsecure());
      const send = (bytes: Buffer) =>
        new Promise<Buffer>((resolve, reject) => {
          client.makeUnaryRequest(path, asIs, asIs, bytes, (error, value) => (error ? reject(error) : resolve(value ?? Buffer.alloc(0))));
        });
      expect(await send(body)).toHaveLength(0);
      await expect(send(Buffer.from([0x0a, 0x7f]))).rejects.toThrow(/not an OTLP message/);
      client.close();
    });
    expect(digest.components).toMatchObject([{ name: 'grpc-app', kind: 'service', calls: 1 }]);
    expect(digest.sources[1]).toMatchObject({ format: 'otlp-grpc', spans: 1, rejected: 1 });
  });

  const python = process.env.DMAS_OPT_PYTHON;
  it.skipIf(!python)(
    'the exporter of OpenTelemetry for Python (needs DMAS_OPT_PYTHON with opentelemetry-sdk and its OTLP exporter)',
    async () => {
      const script = `
import sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.trace import SpanKind
provider = TracerProvider(resource=Resource.create({"service.name": "py"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1] + "/v1/traces", compression=Compression.Gzip)))
tracer = provider.get_tracer("t")
with tracer.start_as_current_span("POST /run", kind=SpanKind.SERVER):
    with tracer.start_as_current_span("invoke_agent writer", attributes={"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "writer"}):
        with tracer.start_as_current_span("chat m", kind=SpanKind.CLIENT, attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 12}):
            pass
provider.shutdown()
`;
      const digest = await listening(async (http) => {
        await promisify(execFile)(python ?? '', ['-c', script, http]);
      });
      expect(digest.edges).toMatchObject([{ from: 'writer', to: 'm', calls: 1 }]);
      expect(digest.modelUse).toMatchObject([{ agent: 'writer', model: 'm', tokens: { in: 12, out: 0, cached: null } }]);
    },
  );

  it('ends after its seconds, and says when nothing came', async () => {
    const input = { kind: 'live', host: '127.0.0.1', httpPort: 0, grpcPort: null, seconds: 0.05 } as const;
    await expect(digestTraces([input], {}, { signal: new AbortController().signal, seed: 1 })).rejects.toThrow(/no spans in it/);
  });

  it('says which port is taken', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    try {
      for (const ports of [{ httpPort: port }, { grpcPort: port }])
        await expect(listening(async () => {}, ports)).rejects.toThrow(new RegExp(`cannot listen on (http|grpc)://127.0.0.1:${port}`));
    } finally {
      server.close();
    }
  });
});
