import { gzipSync } from 'node:zlib';
import { context, SpanKind, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { afterEach, describe, expect, it } from 'vitest';
import { collectors } from '../../cli/registry.ts';
import { attr } from '../../compiler/contracts/index.ts';
import {
  type Collector,
  type CollectorDescriptor,
  isMetricsCollector,
  isTraceCollector,
  type MetricsCollector,
} from '../../profiler/collect/collector.ts';
import { parsePrometheus } from '../../profiler/collect/metrics/prometheus.ts';
import type { Reading } from '../../profiler/collect/metrics/reading.ts';
import { dcgmPage, llamaCppPage, smiOutput, vllmPage } from '../profiler/collect/metrics/pages.ts';

/** Two units trace one request, each with its own provider, exported through the official exporter. */
async function exportRequest(url: string, blockId: string): Promise<void> {
  const providers = ['front', 'back'].map(
    (unit) =>
      new NodeTracerProvider({
        resource: resourceFromAttributes({ 'service.name': 'app', [attr.unit]: unit, [attr.replica]: 0 }),
        spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: `${url}/v1/traces` }))],
      }),
  );
  const [front, back] = providers.map((provider) => provider.getTracer('test'));
  const root = front?.startSpan('ingress', { kind: SpanKind.SERVER, attributes: { [attr.blockId]: blockId, [attr.requestClass]: 'c' } });
  if (!root || !back) throw new Error('no tracer');
  const serve = back.startSpan(
    'serve b',
    { kind: SpanKind.SERVER, attributes: { [attr.requestBytes]: 12 } },
    trace.setSpan(context.active(), root),
  );
  serve.end();
  root.end();
  // The callee's spans arrive before the span that names the block.
  for (const provider of [...providers].reverse()) {
    await provider.forceFlush();
    await provider.shutdown();
  }
}

const json = (traceId: string, block: string) =>
  JSON.stringify({
    resourceSpans: [
      {
        scopeSpans: [
          {
            spans: [
              {
                traceId,
                spanId: '0123456789abcdef',
                name: 'ingress',
                kind: 2,
                startTimeUnixNano: '1000000',
                endTimeUnixNano: '3000000',
                attributes: [{ key: attr.blockId, value: { stringValue: block } }],
              },
            ],
          },
        ],
      },
    ],
  });

const registered: readonly CollectorDescriptor[] = collectors;

for (const descriptor of registered.filter(isTraceCollector)) {
  describe(`collector ${descriptor.id}`, () => {
    let collector: Collector | undefined;
    const start = async () => {
      collector = await (await descriptor.load()).start('127.0.0.1');
      return collector;
    };
    afterEach(() => collector?.close());

    it('takes what an OpenTelemetry exporter sends and sorts it by block', async () => {
      const { url, take } = await start();
      await exportRequest(url, 'block-1');
      await exportRequest(url, 'block-2');
      const { spans, dropped } = take('block-1');
      expect(dropped).toBe(0);
      expect(spans.map((span) => [span.name, span.unit, span.kind]).sort()).toEqual([
        ['ingress', 'front', 'server'],
        ['serve b', 'back', 'server'],
      ]);
      const [root, serve] = [...spans].sort((a, b) => (a.name < b.name ? -1 : 1));
      expect(serve?.parentSpanId).toBe(root?.spanId);
      expect(serve?.attributes[attr.requestBytes]).toBe(12);
      expect(take('block-1').spans).toEqual([]);
      expect(take('block-2').spans.length).toBe(2);
      expect(take('never-seen').spans).toEqual([]);
    });

    it('takes JSON, plain and compressed, and answers in kind', async () => {
      const { url, take } = await start();
      const plain = await fetch(`${url}/v1/traces`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: json('1'.repeat(32), 'b'),
      });
      expect([plain.status, plain.headers.get('content-type')]).toEqual([200, 'application/json']);
      expect(await plain.json()).toEqual({ partialSuccess: {} });
      const packed = await fetch(`${url}/v1/traces`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
        body: gzipSync(json('2'.repeat(32), 'b')),
      });
      expect(packed.status).toBe(200);
      expect(take('b').spans.map((span) => [span.startMs, span.durationMs])).toEqual([
        [1, 2],
        [1, 2],
      ]);
    });

    it('answers what it cannot take with a reason, and goes on', async () => {
      const { url, take } = await start();
      const post = async (type: string, body: string | Buffer, headers: Record<string, string> = {}) => {
        const response = await fetch(`${url}/v1/traces`, { method: 'POST', headers: { 'content-type': type, ...headers }, body });
        return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
      };
      const broken = await post('application/json', '{"resourceSpans": 7}');
      expect(broken.status).toBe(400);
      expect(JSON.parse(broken.text).message).toContain('resourceSpans');
      const bytes = await post('application/x-protobuf', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0x0f]));
      expect(bytes).toMatchObject({ status: 400, type: 'application/x-protobuf' });
      expect(bytes.text).toContain('not an OTLP trace request');
      expect((await post('application/json', 'x', { 'content-encoding': 'gzip' })).status).toBe(400);
      expect((await post('text/plain', 'hello')).status).toBe(415);
      expect((await post('application/json', Buffer.alloc(17 << 20))).status).toBe(413);
      expect((await post('application/json', gzipSync(Buffer.alloc(65 << 20)), { 'content-encoding': 'gzip' })).status).toBe(413);
      expect((await fetch(`${url}/nothing`)).status).toBe(404);
      expect((await fetch(`${url}/v1/traces`)).status).toBe(405);
      expect((await post('application/json', json('3'.repeat(32), 'after'))).status).toBe(200);
      expect(take('after').spans.length).toBe(1);
    });

    it('says that it is alive, and frees its port', async () => {
      const { url, close } = await start();
      expect((await fetch(`${url}/healthz`)).status).toBe(200);
      await close();
      await expect(fetch(`${url}/healthz`)).rejects.toThrow();
    });
  });
}

/** What each source prints, and what must be read from it. A collector without an entry fails the suite. */
const prints: { readonly [collector: string]: { readonly text: string; readonly reading: unknown } } = {
  vllm: {
    text: vllmPage({ engines: [{ running: 3, waiting: 2, kvUse: 0.25, tokensOut: 100 }] }),
    reading: {
      engine: { source: 'vllm', engines: [{ id: '0', running: 3, waiting: 2, kvUse: 0.25, counters: { tokensOut: 100 } }] },
      gpus: [],
    },
  },
  'llama-cpp': {
    text: llamaCppPage,
    reading: {
      engine: {
        source: 'llama-cpp',
        engines: [{ running: 2, waiting: 1, kvUse: null, counters: { tokensIn: 6886, tokensCached: null, tokensOut: 3469 } }],
      },
      gpus: [],
    },
  },
  dcgm: {
    text: dcgmPage,
    reading: {
      engine: null,
      gpus: [
        { id: 'GPU-aaaa', index: '0', utilization: 0.75, memoryUsedMb: 1024, memoryTotalMb: 81_559, powerW: 250.5 },
        { id: 'GPU-bbbb', index: '1', utilization: 0.5, memoryUsedMb: null, memoryTotalMb: null, powerW: null },
      ],
    },
  },
  'nvidia-smi': {
    text: smiOutput,
    reading: {
      engine: null,
      gpus: [
        { id: 'GPU-aaaa', index: '0', utilization: 0.41, memoryUsedMb: 1024, memoryTotalMb: 81_559, powerW: 120.5 },
        { id: 'GPU-bbbb', index: '1', utilization: null, memoryUsedMb: 0, memoryTotalMb: 81_559, powerW: null },
      ],
    },
  },
};

describe.each(registered.filter(isMetricsCollector).map((descriptor) => [descriptor.id, descriptor] as const))(
  'collector %s',
  (id, descriptor) => {
    const readBy = (collector: MetricsCollector, text: string): Reading =>
      collector.from === 'page' ? collector.read(parsePrometheus(text)) : collector.read(text);

    it('reads what its source prints, and the same every time', async () => {
      const collector = await descriptor.load();
      const given = prints[id];
      expect(given, `add what ${id} prints to this suite`).toBeDefined();
      expect(readBy(collector, given?.text ?? '')).toMatchObject(given?.reading as object);
      expect(readBy(collector, given?.text ?? '')).toEqual(readBy(collector, given?.text ?? ''));
    });

    it('says nothing where there is nothing for it', async () => {
      const collector = await descriptor.load();
      expect(readBy(collector, '')).toEqual({ engine: null, gpus: [] });
      if (collector.from === 'page')
        expect(readBy(collector, 'up 1\nprocess_cpu_seconds_total 12.5\n')).toEqual({ engine: null, gpus: [] });
      else expect(() => collector.read('NVIDIA-SMI has failed')).toThrow(RangeError);
    });

    it('takes the pages of all others for what they are', async () => {
      const collector = await descriptor.load();
      if (collector.from !== 'page') return;
      for (const [other, { text }] of Object.entries(prints)) {
        if (other === id || other === 'nvidia-smi') continue;
        const reading = readBy(collector, text);
        expect([reading.engine, reading.gpus]).toEqual([null, []]);
      }
    });
  },
);
