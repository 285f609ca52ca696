import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agent, chat, hop, request, type SpanSpec } from '../../profiler/analyze/otlp-file.ts';
import { analysisOfSpans, pricing } from './analysis-of.ts';

const many = (make: (i: number) => SpanSpec, n = 30) => Array.from({ length: n }, (_, i) => make(i));
const prices = {
  ...pricing,
  models: { 'gpt-test': { inputPerMillionUsd: 2.5, outputPerMillionUsd: 10, cachedPerMillionUsd: 1.25 } },
};

/** Two agents, almost all of it in two model calls. */
const llmHeavy = (i: number) =>
  request(
    agent('planner', {
      at: 0,
      ms: 1000 + i,
      children: [
        chat('planner', 5, 490),
        hop('planner', 496, agent('weather', { at: 497, ms: 4 }), 2, 500),
        chat('planner', 503, 490 + i, { in: 1500, out: 200 }),
      ],
    }),
  );
/** Three agents, half of it in hops. */
const hopHeavy = (i: number, language?: string | null) => {
  const told = language === undefined ? {} : { language };
  return request(
    agent('a', {
      at: 0,
      ms: 40 + i / 10,
      ...told,
      children: [
        hop('a', 5, agent('b', { at: 10, ms: 5 + i / 10, ...told }), 10, 2000),
        hop('a', 23, agent('c', { at: 28, ms: 5, ...told }), 10, 2000),
      ],
    }),
  );
};

describe('the answer', () => {
  it('is "not worth it" in its first line where model calls take all the time and tokens all the money', async () => {
    const { verdict, layout, where } = await analysisOfSpans(many(llmHeavy), { pricing: prices, sampledShare: 1 });
    expect(verdict.kind).toBe('not-worth-it');
    expect(verdict.sentence).toMatch(/^Not worth it: no layout could save more than [\d.]+ % of latency or [\d.]+ % of cost\.$/);
    expect(verdict.detail).toContain('% of the time is model calls');
    expect(layout.latency[0]?.savingShare.high).toBeLessThan(0.03);
    expect(where.criticalPath.model).toBeGreaterThan(0.9);
    // 2500 tokens in and 300 out per request.
    const tokens = where.money.find(({ kind }) => kind === 'tokens');
    expect(tokens?.usdPer1000?.low).toBeCloseTo((2500 * 2.5 + 300 * 10) / 1000, 6);
  });

  it('is worth trying where hops take half of it, with the saving inside the interval', async () => {
    const { verdict, layout, changes, topology } = await analysisOfSpans(
      many((i) => hopHeavy(i)),
      { sampledShare: 1 },
    );
    expect(verdict.kind).toBe('worth-trying');
    expect(verdict.next).toBe('dmas-opt import traces.jsonl');
    const [room] = layout.latency;
    // 20 of about 41 ms are hops; own time may be anything.
    expect(room?.savingShare.low).toBeGreaterThan(0.2);
    expect(room?.savingShare.low).toBeLessThan(20 / 41.5);
    expect(room?.savingShare.high).toBeGreaterThan(20 / 41.5);
    expect(changes[0]).toMatchObject({ processes: 1, who: 'dmas-opt' });
    expect(changes).toHaveLength(3);
    for (const { latencySavingShare, computeSavingShare, why } of changes) {
      expect(latencySavingShare.high).toBeLessThanOrEqual(room?.savingShare.high ?? 0);
      expect(computeSavingShare.low).toBeLessThanOrEqual(computeSavingShare.high);
      expect(why).toMatch(/ms of hops go away/);
    }
    expect(topology.edges.map(({ hopMsP50 }) => hopMsP50)).toEqual([expect.closeTo(10, 1), expect.closeTo(10, 1)]);
  });

  it('says by whom where dmas-opt cannot build them into one process, and joins no two languages', async () => {
    const python = await analysisOfSpans(many((i) => hopHeavy(i, 'python')));
    expect(python.changes[0]?.who).toBe('you');
    expect(python.changes[0]?.risk).toContain('by their owners');
    expect(python.verdict.detail).toContain('by the owners of the code');
    const mixed = await analysisOfSpans(
      many(() => request(agent('a', { at: 0, ms: 40, children: [hop('a', 5, agent('b', { at: 10, ms: 5, language: 'python' }), 20)] }))),
    );
    expect(mixed.layout.nothing).toContain('same language');
    expect(mixed.verdict.kind).toBe('nothing-to-say');
  });

  it('widens the interval by what is not told: without CPU figures the low end is lower', async () => {
    // Both make the other wait when all of their long own time is CPU.
    const busy = (known: boolean) => (i: number) =>
      request(
        agent('a', {
          at: 0,
          ms: 80 + (i % 7),
          attributes: known ? { 'dmas.active_ms': 1, 'dmas.concurrency': 1, 'dmas.unit': 'a' } : {},
          children: [
            hop('a', 5, agent('b', { at: 7, ms: 30, attributes: known ? { 'dmas.active_ms': 1, 'dmas.concurrency': 1 } : {} }), 5),
            hop('a', 5, agent('c', { at: 7, ms: 30, attributes: known ? { 'dmas.active_ms': 1, 'dmas.concurrency': 1 } : {} }), 5),
          ],
        }),
      );
    const [told, untold] = await Promise.all([analysisOfSpans(many(busy(true))), analysisOfSpans(many(busy(false)))]);
    const low = (each: typeof told) => each.changes.find(({ processes }) => processes === 1)?.latencySavingShare.low ?? 0;
    expect(low(untold)).toBeLessThan(low(told));
    expect(untold.assumptions.map(({ what }) => what)).toContain('CPU of agents and tools');
  });
});

describe('hops that nobody timed', () => {
  /** The server span hangs on the agent’s own: no client span says when the call left. */
  const unseen = (i: number) =>
    request(
      agent('a', {
        at: 0,
        ms: 40 + i / 10,
        children: [
          {
            ...hop('a', 10, agent('b', { at: 10, ms: 10 }), 0),
            kind: 'server' as const,
            service: 'b',
            name: 'POST /run',
            children: [agent('b', { at: 10, ms: 10 })],
          },
        ],
      }),
    );
  const price = { protocol: 'http-json', options: '{}', latencyFixedMs: 8, latencyPerKbMs: 0, cpuFixedMs: 0, cpuPerKbMs: 0 };

  it('widen the interval by what a hop may take, and say so', async () => {
    const [without, priced] = await Promise.all([
      analysisOfSpans(many(unseen)),
      analysisOfSpans(many(unseen), { protocolPrices: [price] }),
    ]);
    const high = (each: typeof without) => each.changes[0]?.latencySavingShare.high ?? 0;
    // 8 of about 41 ms.
    expect(high(priced) - high(without)).toBeGreaterThan(0.1);
    expect(priced.changes[0]?.latencySavingShare.low).toBeLessThanOrEqual(0.01);
    expect(priced.assumptions.map(({ what }) => what)).toContain('Hops seen from one side only');
  });
});

describe('what is not a matter of layout', () => {
  it('names the slow model, repeated context, serial calls, errors and fan-out', async () => {
    const heavy = await analysisOfSpans(many(llmHeavy), { pricing: prices });
    expect(heavy.notLayout.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['slow-model-call', 'repeated-context']));
    expect(heavy.notLayout.find(({ kind }) => kind === 'repeated-context')?.detail).toMatch(/save \$[\d.]+ per 1000 requests/);

    const serial = await analysisOfSpans(many((i) => hopHeavy(i)));
    const chain = serial.notLayout.find(({ kind }) => kind === 'serial-calls');
    expect(chain?.title).toBe('a calls b and c one after another');
    // The shorter of two calls of about 15 ms in about 41 ms.
    expect(chain?.latencyShare).toBeCloseTo(15 / 41.5, 1);

    const failing = await analysisOfSpans(
      many((i) =>
        request(
          agent('a', {
            at: 0,
            ms: 60,
            children: Array.from({ length: 10 }, (_, k) => {
              const call = hop('a', 5 + 5 * k, agent('b', { at: 6 + 5 * k, ms: 1 }), 2);
              return i % 2 === 0 && k === 0 ? { ...call, failed: true } : call;
            }),
          }),
        ),
      ),
    );
    expect(failing.notLayout.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['errors', 'chatty', 'retries']));
    expect(failing.notLayout.find(({ kind }) => kind === 'chatty')?.title).toBe('a calls b 10 times per turn');
  });
});

describe('what traces may lack', () => {
  it.each([
    ['no model calls', many((i) => hopHeavy(i)), /No model call was recognized/],
    [
      'no token counts',
      many(() =>
        request(agent('p', { at: 0, ms: 99, children: [chat('p', 5, 40, null), hop('p', 50, agent('w', { at: 51, ms: 10 }), 2)] })),
      ),
      /carry no token counts/,
    ],
    ['no CPU', many(llmHeavy), /No span says how much CPU/],
    [
      'no parents across processes',
      many((i) => ({ ...request(agent(i % 2 ? 'a' : 'b', { at: 0, ms: 40 })), name: 'GET /x' })),
      /spans do not name parents/,
    ],
    ['one component', many(() => request(agent('planner', { at: 0, ms: 50, children: [chat('planner', 5, 40)] }))), null],
  ] as const)('%s: says so in a sentence', async (what, traces, note) => {
    const { quality, layout, verdict, changes } = await analysisOfSpans(traces);
    if (note) expect(quality.notes.join('\n')).toMatch(note);
    if (what === 'one component') {
      expect(layout.nothing).toBe('Only planner was seen from inside: with one component there is nothing to arrange.');
      expect(verdict.sentence).toBe('No layout would change anything.');
      expect(changes).toEqual([]);
    }
    if (what === 'no parents across processes') expect(verdict.sentence).toBe('Nothing can be said of the layout.');
  });

  it('only partial traces: counts them, and judges no layout', async () => {
    const broken = many((i) => hopHeavy(i)).flatMap(({ children = [] }) => children.map((child) => ({ ...child, orphan: true })));
    const { quality, verdict, layout } = await analysisOfSpans(broken);
    expect(quality.unbrokenShare).toBe(0);
    expect(quality.notes[0]).toMatch(/None of the 30 traces is whole/);
    expect(layout).toMatchObject({ judged: false, latency: [] });
    expect(verdict.kind).toBe('nothing-to-say');
  });
});

describe('whatever the traces', () => {
  it('keeps every interval in order, within 0 and 1 for what any layout could save, and every change below it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          own: fc.integer({ min: 1, max: 200 }),
          callee: fc.integer({ min: 1, max: 200 }),
          hopMs: fc.integer({ min: 0, max: 100 }),
          model: fc.integer({ min: 0, max: 500 }),
          replicas: fc.integer({ min: 1, max: 3 }),
          everyMs: fc.integer({ min: 5, max: 1000 }),
        }),
        async ({ own, callee, hopMs, model, replicas, everyMs }) => {
          const traces = many((i) => {
            const instance = `a-${i % replicas}`;
            const ms = own + callee + hopMs + model + (i % 5);
            const call = { ...hop('a', 1, agent('b', { at: 1 + hopMs / 2, ms: callee }), hopMs), instance };
            return request(
              agent('a', {
                at: 0,
                ms,
                instance,
                children: [call, ...(model > 0 ? [{ ...chat('a', 1 + callee + hopMs, model), instance }] : [])],
              }),
            );
          }, 12);
          const { layout, changes, where } = await analysisOfSpans(traces, { sampledShare: 1 }, everyMs);
          for (const { savingShare } of layout.latency) {
            expect(savingShare.low).toBeGreaterThanOrEqual(0);
            expect(savingShare.low).toBeLessThanOrEqual(savingShare.high);
            expect(savingShare.high).toBeLessThanOrEqual(1);
          }
          for (const change of changes) {
            expect(change.latencySavingShare.low).toBeLessThanOrEqual(change.latencySavingShare.high);
            expect(change.latencySavingShare.high).toBeLessThanOrEqual((layout.latency[0]?.savingShare.high ?? 0) + 1e-9);
            expect(change.computeSavingShare.high).toBeLessThanOrEqual((layout.compute?.savingShare.high ?? 0) + 1e-9);
          }
          expect(Object.values(where.criticalPath).reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 6);
        },
      ),
      { numRuns: 15, seed: 4 },
    );
  });
});
