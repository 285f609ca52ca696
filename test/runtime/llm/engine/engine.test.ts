import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEngine, type EngineEvent } from '../../../../runtime/llm/engine/engine.ts';
import { engineOf } from '../../../../runtime/llm/engine/options.ts';
import { checkEngineParams, type EngineParams, genericSmall } from '../../../../runtime/llm/engine/params.ts';
import { type Arrival, simulateArrivals as simulate } from '../../../../runtime/llm/engine/simulate.ts';

const simulateArrivals = (params: EngineParams, requests: readonly Arrival[]) => simulate(engineOf({ ...params }), requests);

const tight: EngineParams = { ...genericSmall, maxNumSeqs: 4, maxBatchedTokens: 64, kvTokens: 600, contextMsPerToken: 0.001 };

function create(params: EngineParams) {
  const { args, stepTime } = engineOf({ ...params });
  return createEngine(args, stepTime);
}

const arrival = fc.record({
  atMs: fc.integer({ min: 0, max: 400 }),
  tokensIn: fc.integer({ min: 1, max: 300 }),
  tokensOut: fc.integer({ min: 1, max: 200 }),
  cachedShare: fc.double({ min: 0, max: 1, noNaN: true }),
});
const arrivals = fc
  .array(arrival, { minLength: 1, maxLength: 40 })
  .map((list) => list.map(({ cachedShare, ...rest }): Arrival => ({ ...rest, tokensCached: Math.floor(rest.tokensIn * cachedShare) })));
const params = fc.record({
  maxNumSeqs: fc.integer({ min: 1, max: 8 }),
  extraBatched: fc.integer({ min: 0, max: 200 }),
  kvTokens: fc.integer({ min: 512, max: 4000 }),
  contextMsPerToken: fc.constantFrom(0, 0.0001, 0.01),
});
const anyParams = params.map(
  ({ maxNumSeqs, extraBatched, ...rest }): EngineParams => ({
    ...genericSmall,
    ...rest,
    maxNumSeqs,
    maxBatchedTokens: maxNumSeqs + extraBatched,
  }),
);

/** Feeds sorted arrivals as they come and asks at every arrival and every wake, as the server does. */
function live(engineParams: EngineParams, list: readonly Arrival[], askEveryMs: number) {
  const engine = create(engineParams);
  const events: EngineEvent[] = [];
  let most = 0;
  const sorted = list.map((request, index) => ({ ...request, id: String(index) })).sort((a, b) => a.atMs - b.atMs);
  let ms = 0;
  for (let guard = 0; guard < 200_000; guard++) {
    while (sorted[0] && sorted[0].atMs <= ms) engine.submit(sorted.shift() as (typeof sorted)[number]);
    events.push(...engine.advanceTo(ms));
    most = Math.max(most, engine.stats().running);
    const next = Math.min(engine.nextWakeAtMs() ?? Infinity, sorted[0]?.atMs ?? Infinity);
    if (next === Infinity) return { events, most, stats: engine.stats() };
    ms = Math.min(next, ms + askEveryMs);
  }
  throw new Error('the engine never came to rest');
}

const finished = (events: readonly EngineEvent[]) => events.flatMap((event) => (event.kind === 'finished' ? [event] : []));

describe('serving engine', () => {
  it('times one request as the step formula says', () => {
    const [one] = simulateArrivals(genericSmall, [{ atMs: 5, tokensIn: 100, tokensOut: 3 }]);
    const { stepFixedMs, prefillMsPerToken, decodeMsPerSequence, contextMsPerToken } = genericSmall;
    expect(one?.queuedMs).toBe(0);
    expect(one?.prefillMs).toBeCloseTo(stepFixedMs + 100 * prefillMsPerToken, 9);
    expect(one?.decodeMs).toBeCloseTo(2 * (stepFixedMs + decodeMsPerSequence) + (101 + 102) * contextMsPerToken, 9);
  });

  it('cuts long prompts into chunks of the token budget', () => {
    const [one] = simulateArrivals({ ...genericSmall, maxBatchedTokens: 300 }, [{ atMs: 0, tokensIn: 1000, tokensOut: 1 }]);
    expect(one?.prefillMs).toBeCloseTo(4 * genericSmall.stepFixedMs + 1000 * genericSmall.prefillMsPerToken, 9);
  });

  it('skips cached prompt tokens, but always computes one', () => {
    const [full] = simulateArrivals(genericSmall, [{ atMs: 0, tokensIn: 1000, tokensCached: 1000, tokensOut: 1 }]);
    expect(full?.prefillMs).toBeCloseTo(genericSmall.stepFixedMs + genericSmall.prefillMsPerToken, 9);
  });

  it('lets a request wait for a slot and for KV space', () => {
    const slots = simulateArrivals({ ...genericSmall, maxNumSeqs: 1 }, [
      { atMs: 0, tokensIn: 10, tokensOut: 10 },
      { atMs: 0, tokensIn: 10, tokensOut: 10 },
    ]);
    expect(slots[1]?.queuedMs).toBeCloseTo(slots[0]?.totalMs ?? 0, 9);
    const memory = simulateArrivals({ ...genericSmall, kvTokens: 32 }, [
      { atMs: 0, tokensIn: 20, tokensOut: 10 },
      { atMs: 0, tokensIn: 20, tokensOut: 10 },
    ]);
    expect(memory[1]?.queuedMs).toBeCloseTo(memory[0]?.totalMs ?? 0, 9);
  });

  it('finishes every request exactly once, first token before the end, in order of time', () => {
    fc.assert(
      fc.property(anyParams, arrivals, (engineParams, list) => {
        const { events, stats } = live(engineParams, list, Infinity);
        expect(
          finished(events)
            .map((event) => Number(event.id))
            .sort((a, b) => a - b),
        ).toEqual(list.map((_, index) => index));
        expect(events.filter((event) => event.kind === 'firstToken')).toHaveLength(list.length);
        for (const [index, event] of events.entries()) expect(event.atMs).toBeGreaterThanOrEqual(events[index - 1]?.atMs ?? 0);
        for (const event of finished(events)) {
          const request = list[Number(event.id)] as Arrival;
          expect(event.queuedMs).toBeGreaterThanOrEqual(0);
          expect(request.atMs + event.queuedMs + event.prefillMs + event.decodeMs).toBeCloseTo(event.atMs, 6);
          // Nobody is faster than alone.
          const [alone] = simulateArrivals(engineParams, [request]);
          expect(event.prefillMs + event.decodeMs).toBeGreaterThanOrEqual((alone?.totalMs ?? 0) - 1e-6);
        }
        expect(stats).toMatchObject({ running: 0, waiting: 0, kvBlocksUsed: 0 });
      }),
      { numRuns: 150 },
    );
  });

  it('never runs more sequences than it may', () => {
    fc.assert(
      fc.property(anyParams, arrivals, (engineParams, list) => {
        expect(live(engineParams, list, 1).most).toBeLessThanOrEqual(engineParams.maxNumSeqs);
      }),
      { numRuns: 50 },
    );
  });

  it('says the same however often it is asked, and live as in one go', () => {
    fc.assert(
      fc.property(anyParams, arrivals, fc.double({ min: 0.3, max: 60, noNaN: true }), (engineParams, list, askEveryMs) => {
        const rarely = live(engineParams, list, Infinity).events;
        expect(live(engineParams, list, askEveryMs).events).toEqual(rarely);
        const oneGo = simulateArrivals(engineParams, list);
        for (const event of finished(rarely)) expect(event).toMatchObject({ queuedMs: oneGo[Number(event.id)]?.queuedMs });
      }),
      { numRuns: 100 },
    );
  });

  it('is never idle while a request waits: busy time is the sum of its steps', () => {
    fc.assert(
      fc.property(arrivals, (list) => {
        const together = list.map((request) => ({ ...request, atMs: 0 }));
        // With room for all four, so that nothing is computed twice.
        const roomy = { ...tight, kvTokens: 2048 };
        const { events, stats } = live(roomy, together, Infinity);
        const prompt = together.reduce((sum, r) => sum + Math.max(1, r.tokensIn - (r.tokensCached ?? 0)), 0);
        const decode = together.reduce((sum, r) => sum + r.tokensOut - 1, 0);
        // Token k of a reply attends to the prompt and the k tokens before it.
        const context = together.reduce((sum, { tokensIn, tokensOut: n }) => sum + (n - 1) * (tokensIn + 1) + ((n - 1) * (n - 2)) / 2, 0);
        const busyMs =
          stats.steps * tight.stepFixedMs +
          prompt * tight.prefillMsPerToken +
          decode * tight.decodeMsPerSequence +
          context * tight.contextMsPerToken;
        expect(events.at(-1)?.atMs).toBeCloseTo(busyMs, 6);
      }),
      { numRuns: 100 },
    );
  });

  // With arrivals over time this is not so: a longer step can put a boundary where a later arrival profits from it.
  it('does not get faster for those already there when one more joins the end of the queue', () => {
    fc.assert(
      fc.property(anyParams, arrivals, arrival, (engineParams, list, { cachedShare: _, ...more }) => {
        const together = list.map((request) => ({ ...request, atMs: 0 }));
        const before = simulateArrivals(engineParams, together);
        const after = simulateArrivals(engineParams, [...together, { ...more, atMs: 0 }]);
        for (const [index, { totalMs }] of before.entries()) expect(after[index]?.totalMs).toBeGreaterThanOrEqual(totalMs - 1e-6);
      }),
      { numRuns: 100 },
    );
  });

  it('starts requests in order of arrival', () => {
    fc.assert(
      fc.property(anyParams, arrivals, (engineParams, list) => {
        const sorted = [...list].sort((a, b) => a.atMs - b.atMs);
        const starts = simulateArrivals(engineParams, sorted).map((timing, index) => (sorted[index]?.atMs ?? 0) + timing.queuedMs);
        for (const [index, start] of starts.entries()) expect(start).toBeGreaterThanOrEqual((starts[index - 1] ?? 0) - 1e-9);
      }),
      { numRuns: 100 },
    );
  });

  it('forgets a cancelled request, frees its room and serves the rest', () => {
    fc.assert(
      fc.property(anyParams, arrivals, fc.integer({ min: 0, max: 300 }), (engineParams, list, cancelAtMs) => {
        const engine = create(engineParams);
        for (const [index, request] of list.entries()) engine.submit({ ...request, atMs: 0, id: String(index) });
        const events = engine.advanceTo(cancelAtMs);
        engine.cancel('0', cancelAtMs);
        const rest = engine.advanceTo(Infinity);
        expect(rest.some((event) => event.id === '0')).toBe(false);
        const done = new Set(finished([...events, ...rest]).map((event) => event.id));
        for (let index = 1; index < list.length; index++) expect(done.has(String(index))).toBe(true);
        expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, kvBlocksUsed: 0 });
      }),
      { numRuns: 100 },
    );
  });

  it('counts the tokens produced so far', () => {
    const engine = create(genericSmall);
    engine.submit({ id: 'a', atMs: 0, tokensIn: 10, tokensOut: 50 });
    engine.advanceTo(0);
    expect(engine.tokensProduced('a')).toBe(0);
    let seen = 0;
    for (let guard = 0; guard < 100; guard++) {
      engine.advanceTo(engine.afterStepsMs(1) ?? Infinity);
      const now = engine.tokensProduced('a');
      if (now === 0) break;
      expect(now).toBe(seen + 1);
      seen = now;
    }
    expect(seen).toBe(49);
  });

  it('refuses what cannot work', () => {
    expect(() => checkEngineParams({ ...genericSmall, maxBatchedTokens: 8, maxNumSeqs: 9 })).toThrow(/maxBatchedTokens/);
    expect(() => checkEngineParams({ ...genericSmall, stepFixedMs: -1 })).toThrow(/stepFixedMs/);
    const engine = create(tight);
    expect(() => engine.submit({ id: 'big', atMs: 0, tokensIn: 600, tokensOut: 1 })).toThrow(/KV cache/);
    engine.submit({ id: 'a', atMs: 10, tokensIn: 1, tokensOut: 1 });
    expect(() => engine.submit({ id: 'a', atMs: 11, tokensIn: 1, tokensOut: 1 })).toThrow(/already/);
    expect(() => engine.submit({ id: 'b', atMs: 9, tokensIn: 1, tokensOut: 1 })).toThrow(/past/);
  });
});
