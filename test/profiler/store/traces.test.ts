import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SpanRecord } from '../../../compiler/contracts/index.ts';
import { readTraces, streamTraces, tracesFile, writeTraces } from '../../../profiler/store/traces.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dmas-traces-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const span = fc.record({
  traceId: fc.uuid(),
  spanId: fc.uuid(),
  name: fc.string({ unit: 'grapheme' }),
  kind: fc.constantFrom('internal' as const, 'client' as const),
  startMs: fc.double({ min: 0, max: 2e12, noNaN: true }),
  durationMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
  ok: fc.boolean(),
  attributes: fc.dictionary(fc.stringMatching(/^[a-z.]+$/), fc.oneof(fc.string(), fc.boolean(), fc.integer())),
});
const same = (spans: readonly SpanRecord[]) => JSON.parse(JSON.stringify(spans)) as SpanRecord[];

describe('stored traces', () => {
  it('come back as they were written', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(span, { maxLength: 20 }), async (spans) => {
        const file = tracesFile(folder, 'b1');
        await writeTraces(file, spans);
        expect(await readTraces(file)).toEqual(same(spans));
      }),
      { numRuns: 30 },
    );
  });

  it('are one flat object per line and nothing else', async () => {
    const spans = fc.sample(span, { seed: 1, numRuns: 1200 });
    const file = tracesFile(folder, 'b2');
    expect(file.endsWith(join('traces', 'b2.ndjson'))).toBe(true);
    await writeTraces(file, spans);
    const text = await readFile(file, 'utf8');
    expect(text.endsWith('\n')).toBe(true);
    const lines = text.trimEnd().split('\n');
    expect(lines.length).toBe(1200);
    for (const line of lines) expect(Object.keys(JSON.parse(line))).toContain('traceId');
    let count = 0;
    for await (const each of streamTraces(file)) count += each.name === undefined ? 0 : 1;
    expect(count).toBe(1200);
  });

  it('survive a torn last line, but not a broken one in between', async () => {
    const file = join(folder, 'torn.ndjson');
    const spans = fc.sample(span, { seed: 2, numRuns: 3 });
    await writeTraces(file, spans);
    await appendFile(file, '{"traceId":"cut o');
    expect(await readTraces(file)).toEqual(same(spans));
    await writeFile(file, '{"traceId":"a"}\nnot json\n{"traceId":"b"}\n');
    await expect(readTraces(file)).rejects.toThrow(/:2: not a span/);
  });
});
