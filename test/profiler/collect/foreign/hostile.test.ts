import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TraceDigest } from '../../../../compiler/contracts/index.ts';
import { DmasError } from '../../../../compiler/contracts/index.ts';
import { buildTraces } from '../../../../profiler/analyze/tree.ts';
import { digestFile, digestOf, gzipped, otlpDocument, type TestSpan } from '../../analyze/foreign/fixture.ts';

const good: readonly TestSpan[] = [
  { id: 'a', kind: 'server', at: [0, 10] },
  { id: 'b', parent: 'a', kind: 'client', at: [1, 9], attributes: { 'peer.service': 'x' } },
];
const line = JSON.stringify(otlpDocument(good));

async function refusal(content: string | Uint8Array): Promise<string> {
  try {
    await digestOf(content);
  } catch (error) {
    if (error instanceof DmasError && error.code === 'DMAS_TRACES_EMPTY') return error.message.replace(/^.*\n[^:]*: /, '');
    throw error;
  }
  throw new Error('it was read');
}
const reasonsOf = ({ sources }: TraceDigest) =>
  sources.flatMap(({ reasons }) => reasons.map(({ reason, count, firstAt }) => `${count} × ${reason} @ ${firstAt}`));

describe('a file that is nothing of ours', () => {
  it.each([
    ['', /an empty file/],
    ['hello world', /neither OTLP .* nor Jaeger JSON \(byte 0\)/],
    [Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), /neither OTLP/],
    [Buffer.from('28b52ffd00', 'hex'), /zstd.*decompress/],
    [Buffer.from('504b0304', 'hex'), /zip archive/],
    [gzipped(''), /nothing in it/],
    [gzipSync(gzipped(line)), /compressed twice/],
    [gzipped(line).subarray(0, 60), /damaged gzip|nothing in it|ends inside/],
    ['{}', /no spans in it/],
    ['[]', /no spans in it/],
    ['{"resourceSpans":[]}', /no spans in it/],
    ['{"resourceSpans":17}', /no spans in it/],
    ['{"hello":"world"}', /an object that holds no spans \(document 1/],
    ['{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"', /ends inside of resourceSpans › scopeSpans › spans/],
    ['{"a" 1}', /a key without a colon \(document 1, byte 5\)/],
    ['[1 2]', /not between|without a comma|neither/],
    ['{"resourceSpans":[{"scopeSpans":[{"spans":[{]}]}]}', /not JSON|ends inside/],
    ['['.repeat(1_000_000), /ends inside/],
    ['{"result":'.repeat(1_000_000), /ends inside/],
    [`{"resourceSpans":[{"scopeSpans":[{"spans":[${'['.repeat(1_000_000)}`, /ends inside/],
    [Buffer.concat([Buffer.from([0x0a, 0x80, 0x80, 0x80, 0x04, 0x0a])]), /ends inside of a message|neither/],
    [Buffer.from([0x0a, 0x05, 0x12, 0xff, 0xff, 0xff, 0x0f]), /not an OTLP message|neither/],
  ])('%#', async (content, reason) => {
    expect(await refusal(content)).toMatch(reason);
  });

  it('a folder, or nothing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dmas-opt-foreign-'));
    try {
      await expect(digestFile(folder)).rejects.toThrow(/a folder; name the files in it/);
      await expect(digestFile(join(folder, 'absent'))).rejects.toThrow(/cannot be read: ENOENT/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('a file with something wrong in it', () => {
  const withSpan = (fields: object) => {
    const document = otlpDocument(good) as { resourceSpans: { scopeSpans: { spans: object[] }[] }[] };
    const [span] = document.resourceSpans[0]?.scopeSpans[0]?.spans ?? [];
    document.resourceSpans[0]?.scopeSpans[0]?.spans.push({
      ...span,
      spanId: '00000000000000ff',
      parentSpanId: '0000000000000061',
      ...fields,
    });
    return JSON.stringify(document);
  };

  it.each<[object, string]>([
    [{ traceId: 5 }, 'a span without a valid trace or span id'],
    [{ spanId: '' }, 'a span without a valid trace or span id'],
    [{ spanId: '0000000000000000' }, 'a span without a valid trace or span id'],
    [{ traceId: 'x'.repeat(65) }, 'an id of more than 64 characters'],
    [{ startTimeUnixNano: 1e300 }, 'a start time that is not between 1970 and 2200'],
    [{ startTimeUnixNano: '99999999999999999999' }, 'a start time that is not between 1970 and 2200'],
    [{ startTimeUnixNano: '-5' }, 'a time that is not a number of nanoseconds'],
    [{ startTimeUnixNano: {} }, 'a time that is not a number of nanoseconds'],
    [{ endTimeUnixNano: 1e300 }, 'an end time that is not between 1970 and 2200'],
  ])('%j is refused with its place, and the rest is read', async (fields, reason) => {
    const digest = await digestOf(withSpan(fields));
    expect(digest.quality.spans).toBe(2);
    expect(reasonsOf(digest)).toEqual([expect.stringMatching(new RegExp(`^1 × ${reason} @ document 1, byte \\d+$`))]);
  });

  it('an end before its start is a point, and counted', async () => {
    const digest = await digestOf(withSpan({ endTimeUnixNano: '1000' }));
    expect(digest.quality).toMatchObject({ spans: 3, impossibleTimes: 1 });
    expect(JSON.stringify(digest)).not.toMatch(/:-\d/);
  });

  it('wrong types and keys that mean something to JavaScript', async () => {
    const hostile = `{"__proto__":{"polluted":1},"constructor":7,${withSpan({ name: 9, kind: 'x', attributes: 'no', links: [null], status: [] }).slice(1)}`;
    const digest = await digestOf(
      hostile.replace(
        '"attributes":[',
        '"attributes":[null,7,{"key":"__proto__","value":{"stringValue":"x"}},{"key":1},{"key":"toString","value":null},',
      ),
    );
    expect(digest.quality).toMatchObject({ spans: 3, traces: 1 });
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    const components = await digestOf(JSON.stringify(otlpDocument([{ id: 'a', service: '__proto__', kind: 'server', at: [0, 1] }])));
    expect(components.components[0]?.name).toBe('__proto__');
  });

  it('a line cut off in the middle costs that line', async () => {
    const digest = await digestOf(`${line}\n${line.slice(0, 150)}\n${line}\nnonsense\n${line.slice(0, line.length / 2)}`);
    expect(digest.quality.duplicateSpanIds).toBe(2);
    expect(reasonsOf(digest).length).toBeGreaterThanOrEqual(2);
    expect(reasonsOf(digest).join('\n')).toMatch(/the line ends inside of a (document|string) @ document 2/);
  });

  it('damaged gzip gives what was before', async () => {
    const lines = Array.from({ length: 3_000 }, (_, i) => JSON.stringify(otlpDocument(good.map((span) => ({ ...span, trace: `t${i}` })))));
    const whole = gzipped(lines.join('\n'));
    const digest = await digestOf(whole.subarray(0, whole.length / 2));
    expect(digest.quality.spans).toBeGreaterThan(100);
    expect(reasonsOf(digest).join('\n')).toMatch(/damaged gzip data/);
  });

  it('a zip bomb is left where it becomes one', async () => {
    const bomb = gzipSync(Buffer.concat([Buffer.from(`${line}\n`), Buffer.alloc(200 << 20, 0x20)]));
    expect(bomb.length).toBeLessThan(300_000);
    const digest = await digestOf(bomb);
    expect(digest.quality.spans).toBe(2);
    expect(reasonsOf(digest).join()).toMatch(/more than 200 times its size after decompression/);
    const limited = await digestOf(gzipped(`${line}\n`.repeat(1000)), { maxInflatedBytes: 50_000 });
    expect(reasonsOf(limited).join()).toMatch(/more than 50000 bytes after decompression/);
  });

  it('spans beyond the limit are refused and counted', async () => {
    const digest = await digestOf(line, { maxSpans: 1 });
    expect(digest.sources[0]).toMatchObject({ spans: 1, rejected: 1 });
    expect(reasonsOf(digest).join()).toMatch(/beyond the number of spans/);
  });

  it('a huge attribute and a huge name', async () => {
    const digest = await digestOf(
      withSpan({ name: 'n'.repeat(5_000_000), attributes: [{ key: 'input.value', value: { stringValue: 'p'.repeat(20_000_000) } }] }),
    );
    expect(digest.quality.spans).toBe(3);
    expect(JSON.stringify(digest).length).toBeLessThan(20_000);
  });
});

describe('traces no application makes', () => {
  it('a chain of very many spans', async () => {
    const length = process.env.DMAS_OPT_FULL === '1' ? 1_000_000 : 100_000;
    const pieces: string[] = [];
    const id = (i: number) => (i + 1).toString(16).padStart(16, '0');
    for (let i = 0; i < length; i++) {
      const parent = i === 0 ? '' : `"parentSpanId":"${id(i - 1)}",`;
      pieces.push(
        `{"traceId":"${'a'.repeat(32)}","spanId":"${id(i)}",${parent}"kind":${i % 2 === 0 ? 2 : 3},"startTimeUnixNano":"1760000000000000000","endTimeUnixNano":"1760000001000000000"}`,
      );
    }
    const digest = await digestOf(`{"resourceSpans":[{"scopeSpans":[{"spans":[${pieces.join(',')}]}]}]}`);
    expect(digest.quality).toMatchObject({ spans: length, complete: 1 });
    // Too deep for what walks single requests.
    expect(digest.sample).toMatchObject({ traces: 0, of: 0 });
  }, 60_000);

  it('chains and fans of agents, of answers and of linked traces', async () => {
    const n = 20_000;
    const turn = (i: number, parent: string | undefined, more: Partial<TestSpan> = {}): TestSpan => ({
      id: `${i}`,
      ...(parent === undefined ? {} : { parent }),
      at: [0, 10],
      attributes: { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': `a${i % 7}` },
      ...more,
    });
    const chat = (i: number): TestSpan => ({
      id: `m${i}`,
      parent: `${i}`,
      at: [1, 2],
      attributes: { 'gen_ai.request.model': 'm', 'gen_ai.usage.input_tokens': 1 },
    });
    const some = Array.from({ length: n }, (_, i) => i);
    const chain = some.flatMap((i) => [turn(i, i === 0 ? undefined : `${i - 1}`), chat(i)]);
    expect((await digestOf(JSON.stringify(otlpDocument(chain)))).modelUse.reduce((sum, { calls }) => sum + calls, 0)).toBe(n);
    const client: TestSpan = { id: 'c', parent: 'root', kind: 'client', at: [0, 10] };
    const fan = some.map((i) => turn(i, 'c', { service: 'other', kind: 'server', attributes: {} }));
    const root: TestSpan = { id: 'root', kind: 'server', at: [0, 10] };
    expect((await digestOf(JSON.stringify(otlpDocument([root, client, ...fan])))).edges).toMatchObject([{ calls: n, gap: null }]);
    const linked = some.map((i) =>
      turn(i, undefined, { trace: `t${n - i}`, kind: 'consumer', attributes: {}, link: { trace: `t${n - i - 1}`, id: `${i + 1}` } }),
    );
    expect((await digestOf(JSON.stringify(otlpDocument(linked)))).quality).toMatchObject({ traces: 1, complete: 1 });
  }, 60_000);

  it('any parents, kinds and times give a digest of numbers', async () => {
    const attributes = fc.constantFrom<TestSpan['attributes']>(
      {},
      { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'a' },
      { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'a' },
      { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'm', 'gen_ai.usage.input_tokens': 5 },
      { 'openinference.span.kind': 'AGENT' },
      { 'messaging.system': 'kafka' },
      { 'db.system': 'redis' },
      { 'mcp.method.name': 'tools/call', 'gen_ai.tool.name': 'b' },
      { hitl: true },
      { 'dmas.to': 'a', 'dmas.request.id': 'r' },
    );
    const span = fc.record({
      id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
      parent: fc.option(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'z'), { nil: undefined }),
      trace: fc.constantFrom('1', '2'),
      service: fc.constantFrom('s', 't'),
      name: fc.constantFrom('ingress', 'call a', 'serve a', 'invoke_agent a', 'x'),
      kind: fc.constantFrom('internal', 'server', 'client', 'producer', 'consumer'),
      at: fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 50 })),
      attributes,
      link: fc.option(fc.record({ trace: fc.constantFrom('1', '2'), id: fc.constantFrom('a', 'b') }), { nil: undefined }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(span, { minLength: 1, maxLength: 14 }), async (spans) => {
        const digest = await digestOf(JSON.stringify(otlpDocument(spans as TestSpan[])));
        const { quality, components, edges, roots, criticalPath } = digest;
        expect(quality.complete + Object.values(quality.partial).reduce((a, b) => a + b, 0)).toBe(quality.traces);
        const names = components.map(({ name }) => name);
        expect(new Set(names).size).toBe(names.length);
        for (const { from, to } of edges) expect(names).toEqual(expect.arrayContaining([from, to]));
        for (const each of components) expect(each.self.totalMs).toBeGreaterThanOrEqual(0);
        for (const each of components) expect(each.self.totalMs).toBeLessThanOrEqual(each.held.totalMs + 1e-6);
        expect(JSON.stringify(digest)).not.toMatch(/NaN|Infinity|null,null,null/);
        const shares = [...criticalPath.components, ...criticalPath.edges].reduce((sum, { share }) => sum + share, 0);
        if (criticalPath.meanMs > 0) expect(shares).toBeCloseTo(1, 6);
        const human = roots.reduce((sum, { humanWait }) => sum + (humanWait?.totalMs ?? 0), 0);
        const whole = roots.reduce((sum, { latency }) => sum + latency.totalMs, 0);
        expect(criticalPath.meanMs * criticalPath.requests).toBeCloseTo(whole, 3);
        expect(human).toBeGreaterThanOrEqual(0);
        const forest = buildTraces(digest.sample.spans);
        expect(forest.requests.filter(({ unbroken }) => unbroken)).toHaveLength(digest.sample.traces);
      }),
      { numRuns: 200 },
    );
  });

  it('any bytes, and any damage to a file, are answered', async () => {
    const kinds = fc.constantFrom(
      Buffer.from(line),
      Buffer.from(`${line}\n${line}\n`),
      gzipped(line),
      Buffer.from(JSON.stringify(otlpDocument(good), null, 1)),
    );
    const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }).map((bytes) => [Buffer.from(bytes), []] as const),
          fc.tuple(kinds, damage),
        ),
        async ([bytes, changes]) => {
          const file = Buffer.from(bytes);
          for (const [at, value] of changes) if (file.length > 0) file[at % file.length] = value;
          try {
            const { sources, quality } = await digestOf(file);
            expect(quality.spans + (sources[0]?.rejected ?? 0)).toBeGreaterThan(0);
          } catch (error) {
            expect(error).toBeInstanceOf(DmasError);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
