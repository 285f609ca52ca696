import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { describe, expect, it } from 'vitest';
import type { TraceDigest } from '../../../../compiler/contracts/index.ts';
import { digestFile, digestOf, gzipped, otlpDocument, sharedData, type TestSpan } from '../../analyze/foreign/fixture.ts';
import { encodeProtobuf } from './encode.ts';

const spans: readonly TestSpan[] = [
  {
    id: 'root',
    service: 'gateway',
    kind: 'server',
    at: [0, 100.25],
    name: 'GET /a',
    attributes: { 'http.route': '/a', 'http.request.method': 'GET' },
  },
  {
    id: 'call',
    service: 'gateway',
    parent: 'root',
    kind: 'client',
    at: [10, 90],
    attributes: { 'server.address': 'worker', 'http.request.method': 'GET' },
  },
  {
    id: 'serve',
    service: 'worker',
    parent: 'call',
    kind: 'server',
    at: [12, 88],
    attributes: { 'http.request.method': 'GET' },
    error: true,
  },
];
const otherTrace = spans.map((span) => ({ ...span, trace: 'other' }));
const document = otlpDocument(spans);
const json = JSON.stringify(document);
const otherJson = JSON.stringify(otlpDocument(otherTrace));

/** What must be the same in every encoding. */
const essence = ({ components, edges, roots, quality, criticalPath, window }: TraceDigest) => ({
  components,
  edges,
  roots,
  quality,
  criticalPath,
  window,
});

const delimited = (message: Uint8Array) => new BinaryWriter().bytes(message).finish();
const prefixed = (message: Uint8Array) => {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message]);
};

describe('one trace in every encoding', async () => {
  const expected = essence(await digestOf(json));
  const protobuf = encodeProtobuf(document);
  const encodings: { readonly [name: string]: string | Uint8Array } = {
    'one JSON document': json,
    'a pretty-printed document': JSON.stringify(document, null, 2),
    'a document with a byte order mark': `\uFEFF${json}`,
    'an array of requests': `[${json}]`,
    'one request on a line': `${document.resourceSpans.map((group) => JSON.stringify({ resourceSpans: [group] })).join('\n')}\n`,
    'requests without anything between': document.resourceSpans.map((group) => JSON.stringify({ resourceSpans: [group] })).join(''),
    'names as in the .proto file': json
      .replaceAll('"resourceSpans"', '"resource_spans"')
      .replaceAll('"scopeSpans"', '"scope_spans"')
      .replaceAll('"traceId"', '"trace_id"')
      .replaceAll('"spanId"', '"span_id"')
      .replaceAll('"parentSpanId"', '"parent_span_id"')
      .replaceAll('"startTimeUnixNano"', '"start_time_unix_nano"')
      .replaceAll('"endTimeUnixNano"', '"end_time_unix_nano"'),
    'ids in base64': json.replace(
      /"(traceId|spanId|parentSpanId)":"([0-9a-f]+)"/g,
      (_all, key, id) => `"${key}":"${Buffer.from(id, 'hex').toString('base64')}"`,
    ),
    'the resource behind its spans': JSON.stringify({
      resourceSpans: document.resourceSpans.map((group) => {
        const { resource, scopeSpans } = group as { [key: string]: unknown };
        return { scopeSpans, resource };
      }),
    }),
    "Tempo's batches": json.replace('"resourceSpans"', '"batches"'),
    'gzip of JSON': gzipped(json),
    'one protobuf message': protobuf,
    'protobuf messages behind varint lengths': delimited(protobuf),
    'protobuf messages behind 4 bytes of length': prefixed(protobuf),
    'gzip of protobuf': gzipped(''),
  };
  const { gzipSync } = await import('node:zlib');
  const files = { ...encodings, 'gzip of protobuf': gzipSync(protobuf) };

  it.each(Object.entries(files))('%s', async (name, content) => {
    const digest = await digestOf(content);
    expect(essence(digest)).toEqual(expected);
    const [source] = digest.sources;
    expect(source).toMatchObject({
      spans: 3,
      rejected: 0,
      reasons: [],
      gzip: name.startsWith('gzip'),
      format: /proto(buf)/.test(name) ? 'otlp-protobuf' : 'otlp-json',
    });
  });

  it('several length-delimited messages', async () => {
    const both = [encodeProtobuf(document), encodeProtobuf(otlpDocument(otherTrace))];
    for (const frame of [delimited, prefixed]) {
      const digest = await digestOf(Buffer.concat(both.map(frame)));
      expect(digest.quality).toMatchObject({ spans: 6, traces: 2, complete: 2 });
      expect(digest.sources[0]?.rejected).toBe(0);
    }
  });

  it('several files', async () => {
    const { withFile } = await import('../../analyze/foreign/fixture.ts');
    const { digestTraces } = await import('../../../../profiler/analyze/digest.ts');
    const digest = await withFile(json, (a) =>
      withFile(otherJson, (b) =>
        digestTraces(
          [a, b].map((path) => ({ kind: 'file', path }) as const),
          {},
          { signal: new AbortController().signal, seed: 1 },
        ),
      ),
    );
    expect(digest.sources.map(({ spans: count }) => count)).toEqual([3, 3]);
    expect(digest.roots[0]?.requests).toBe(2);
  });

  it('chunks cut anywhere', async () => {
    const { createJsonReader } = await import('../../../../profiler/collect/foreign/json-reader.ts');
    const text = Buffer.from(JSON.stringify({ ...document, note: 'a "quoted" \\ backslash, ü and 🙂 {[' }, null, 1));
    for (let size = 1; size < 40; size++) {
      const names: string[] = [];
      const reasons: string[] = [];
      const reader = createJsonReader({ span: ({ name }) => names.push(name), reject: (reason) => reasons.push(reason) }, () => {});
      for (let at = 0; at < text.length; at += size) reader.write(text.subarray(at, at + size));
      reader.end();
      expect({ names, reasons }).toEqual({ names: ['GET /a', 'call', 'serve'], reasons: [] });
    }
  });
});

describe('Jaeger', () => {
  const tag = (key: string, value: unknown) => ({ key, type: typeof value, value });
  const trace = {
    traceID: 'abc123',
    spans: [
      {
        traceID: 'abc123',
        spanID: '1',
        operationName: 'GET /a',
        startTime: 1_760_000_000_000_000,
        duration: 100_250,
        processID: 'p1',
        references: [],
        tags: [tag('span.kind', 'server'), tag('http.method', 'GET')],
      },
      {
        traceID: 'abc123',
        spanID: '2',
        operationName: 'call',
        startTime: 1_760_000_000_010_000,
        duration: 80_000,
        processID: 'p1',
        references: [{ refType: 'CHILD_OF', traceID: 'abc123', spanID: '1' }],
        tags: [tag('span.kind', 'client'), tag('peer.service', 'worker')],
      },
      {
        traceID: 'abc123',
        spanID: '3',
        operationName: 'serve',
        startTime: 1_760_000_000_012_000,
        duration: 76_000,
        processID: 'p2',
        references: [{ refType: 'CHILD_OF', traceID: 'abc123', spanID: '2' }],
        tags: [tag('span.kind', 'server'), tag('error', true)],
      },
    ],
    processes: { p1: { serviceName: 'gateway', tags: [tag('hostname', 'h1')] }, p2: { serviceName: 'worker', tags: [] } },
  };

  it.each([
    ['as the query service writes it', { data: [trace], total: 0, limit: 0, offset: 0, errors: null }],
    ['one trace by itself', trace],
    ['an array of traces', [trace]],
    ['processes before the spans', { data: [{ traceID: trace.traceID, processes: trace.processes, spans: trace.spans }] }],
  ])('%s', async (_name, content) => {
    const digest = await digestOf(JSON.stringify(content));
    expect(digest.sources[0]).toMatchObject({ format: 'jaeger-json', spans: 3, rejected: 0 });
    expect(digest.edges).toMatchObject([{ from: 'gateway', to: 'worker', calls: 1, errors: 1, kind: 'sync' }]);
    expect(digest.edges[0]?.gap?.p50Ms).toBeCloseTo(4, 2);
    expect(digest.components.map(({ name, kind }) => [name, kind])).toEqual(
      expect.arrayContaining([
        ['gateway', 'service'],
        ['worker', 'service'],
      ]),
    );
  });

  const found = sharedData('jaeger', 'deathstarbench.json');
  it.skipIf(found === null)('DeathStarBench, whose spans tell no kinds (needs shared/data beside the checkout)', async () => {
    const digest = await digestFile(found ?? '');
    expect(digest.quality).toMatchObject({ spans: 330, traces: 10, complete: 10, unbrokenShare: 1, darkComponents: [] });
    // 33 spans of a request: 12 services, 11 hops with a span around each, the rest inside of services.
    expect(digest.components).toHaveLength(12);
    expect(digest.edges).toHaveLength(11);
    for (const edge of digest.edges) expect(edge).toMatchObject({ calls: 10, callsPerRequest: 1, kind: 'sync', sameInstanceShare: 0 });
    expect(digest.roots).toMatchObject([{ name: '/wrk2-api/post/compose', entry: 'nginx-web-server', requests: 10 }]);
    const shares = [...digest.criticalPath.components, ...digest.criticalPath.edges].reduce((sum, { share }) => sum + share, 0);
    expect(shares).toBeCloseTo(1, 9);
    expect(digest.criticalPath.meanMs).toBeCloseTo(digest.roots[0]?.latency.meanMs ?? 0, 9);
  });
});
