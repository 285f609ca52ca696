import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SpanRecord } from '../../../compiler/contracts/index.ts';
import { createSpanPool } from '../../../profiler/collect/otlp/pool.ts';

let next = 0;
const span = (trace: string, block?: string): SpanRecord => ({
  traceId: trace,
  spanId: String(next++),
  name: 'x',
  kind: 'internal',
  startMs: 0,
  durationMs: 1,
  ok: true,
  attributes: block === undefined ? {} : { 'dmas.block.id': block },
});

describe('the span pool', () => {
  it('gives a block every span of its traces, whatever the order of arrival, and only once', () => {
    const traces = fc.uniqueArray(fc.record({ id: fc.uuid(), block: fc.constantFrom('a', 'b'), spans: fc.integer({ min: 1, max: 6 }) }), {
      selector: (trace) => trace.id,
      maxLength: 12,
    });
    fc.assert(
      fc.property(traces, fc.nat(), (made, seed) => {
        const pool = createSpanPool(1000, 1000);
        const all = made.flatMap(({ id, block, spans }) => [span(id, block), ...Array.from({ length: spans - 1 }, () => span(id))]);
        const order = all.map((item, i) => ({ item, rank: (i * 7919 + seed) % 10_007 })).sort((x, y) => x.rank - y.rank);
        for (const { item } of order) pool.add([item]);
        for (const block of ['a', 'b']) {
          const mine = made.filter((trace) => trace.block === block);
          const taken = pool.take(block);
          expect(taken.spans.length).toBe(mine.reduce((n, trace) => n + trace.spans, 0));
          expect(new Set(taken.spans.map((each) => each.traceId))).toEqual(new Set(mine.map((trace) => trace.id)));
          expect(taken.dropped).toBe(0);
          expect(pool.take(block).spans).toEqual([]);
        }
        expect(pool.size).toBe(0);
      }),
    );
  });

  it('finds the block of a span that comes after its trace was taken', () => {
    const pool = createSpanPool(10, 10);
    pool.add([span('t', 'a')]);
    pool.take('a');
    pool.add([span('t')]);
    expect(pool.take('a').spans.length).toBe(1);
  });

  it('stays within its bound and says how many it dropped', () => {
    const pool = createSpanPool(100, 1000);
    for (let i = 0; i < 500; i++) pool.add([span(`orphan-${i}`)]);
    expect(pool.size).toBeLessThanOrEqual(100);
    const kept = pool.size;
    pool.add([span('mine', 'a')]);
    const taken = pool.take('a');
    expect(taken.spans.length).toBe(1);
    expect(taken.dropped).toBe(500 - kept + (kept - pool.size));
  });

  it('drops claimed spans last', () => {
    const pool = createSpanPool(10, 1000);
    for (let i = 0; i < 8; i++) pool.add([span(`claimed-${i}`, 'a')]);
    for (let i = 0; i < 40; i++) pool.add([span(`orphan-${i}`)]);
    expect(pool.take('a').spans.length).toBe(8);
  });
});
