import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEngine, type EngineEvent, type EngineRequest } from '../../../../runtime/llm/engine/engine.ts';
import type { EngineArgs, StepBatch, StepTime } from '../../../../runtime/llm/engine/step-time.ts';
import { linearStepTime } from '../../../../runtime/llm/engine/step-times.ts';

const stepTime = linearStepTime({ stepFixedMs: 2, prefillMsPerToken: 0.05, decodeMsPerSequence: 0.1, contextMsPerToken: 0.003 });
/** The same without its closed form, and a record of every step. */
function stepByStep(): StepTime & { readonly batches: StepBatch[] } {
  const batches: StepBatch[] = [];
  return {
    batches,
    stepMs: (batch) => {
      batches.push({ ...batch });
      return stepTime.stepMs(batch);
    },
  };
}

const anyArgs = fc
  .record({
    maxNumSeqs: fc.integer({ min: 1, max: 8 }),
    more: fc.integer({ min: 0, max: 120 }),
    blockSize: fc.constantFrom(1, 4, 16),
    kvTokens: fc.integer({ min: 320, max: 1500 }),
    prefixCaching: fc.boolean(),
    prefixLifetimeMs: fc.constantFrom(undefined, 0, 50),
    dataParallelSize: fc.constantFrom(1, 1, 2, 3),
    expertParallel: fc.boolean(),
    asyncScheduling: fc.boolean(),
  })
  .map(
    ({ more, kvTokens, prefixLifetimeMs, ...rest }): EngineArgs => ({
      ...rest,
      ...(prefixLifetimeMs === undefined ? {} : { prefixLifetimeMs }),
      maxNumBatchedTokens: rest.maxNumSeqs + more,
      kvBlocks: Math.ceil(kvTokens / rest.blockSize),
      tensorParallelSize: 1,
    }),
  );

const anyRequests = fc
  .array(
    fc.record({
      gapMs: fc.double({ min: 0, max: 60, noNaN: true }),
      tokensIn: fc.integer({ min: 1, max: 200 }),
      tokensOut: fc.integer({ min: 1, max: 100 }),
      conversation: fc.integer({ min: 0, max: 3 }),
      cached: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 30 },
  )
  .map((list) => {
    let atMs = 0;
    return list.map(({ gapMs, conversation, cached, ...rest }, index) => {
      atMs += gapMs;
      return { ...rest, id: String(index), atMs, conversation, cached };
    });
  });

type Made = ReturnType<typeof requestOf>;
const requestOf = (
  args: EngineArgs,
  { conversation, cached, ...rest }: { conversation: number; cached: number | undefined } & Omit<EngineRequest, 'prefix'>,
): EngineRequest => ({
  ...rest,
  ...(cached === undefined
    ? { prefix: Array.from({ length: Math.floor(rest.tokensIn / args.blockSize) }, (_, index) => `${conversation}/${index}`) }
    : { tokensCached: Math.floor(cached * rest.tokensIn) }),
});

function run(args: EngineArgs, requests: readonly Made[], time: StepTime, askEveryMs = Number.POSITIVE_INFINITY) {
  const engine = createEngine(args, time);
  for (const request of requests) engine.submit(request);
  const events: EngineEvent[] = [];
  let peakBlocks = 0;
  let peakRunning = 0;
  if (askEveryMs === Number.POSITIVE_INFINITY) events.push(...engine.advanceTo(Number.POSITIVE_INFINITY));
  else {
    for (let ms = 0; engine.nextWakeAtMs() !== undefined; ms += askEveryMs) {
      events.push(...engine.advanceTo(ms));
      const stats = engine.stats();
      for (const rank of stats.perRank) {
        peakBlocks = Math.max(peakBlocks, rank.kvBlocksUsed);
        peakRunning = Math.max(peakRunning, rank.running);
      }
    }
  }
  return { events, stats: engine.stats(), peakBlocks, peakRunning };
}

const finished = (events: readonly EngineEvent[]) => events.flatMap((event) => (event.kind === 'finished' ? [event] : []));

describe('serving engine, whatever comes', () => {
  it('finishes every request once, keeps within memory and slots, and gives everything back', () => {
    fc.assert(
      fc.property(anyArgs, anyRequests, (args, list) => {
        const requests = list.map((each) => requestOf(args, each));
        const { events, stats, peakBlocks, peakRunning } = run(args, requests, stepTime, 7);
        expect(
          finished(events)
            .map(({ id }) => Number(id))
            .sort((a, b) => a - b),
        ).toEqual(list.map((_, index) => index));
        expect(events.filter(({ kind }) => kind === 'firstToken')).toHaveLength(list.length);
        expect(peakBlocks).toBeLessThanOrEqual(args.kvBlocks);
        expect(peakRunning).toBeLessThanOrEqual(args.maxNumSeqs);
        expect(stats).toMatchObject({ running: 0, waiting: 0, kvBlocksUsed: 0, kvBlocks: args.kvBlocks * args.dataParallelSize });
        for (const { unseenMs, queuedMs, prefillMs, decodeMs } of finished(events)) {
          expect(unseenMs).toBeGreaterThanOrEqual(0);
          expect(queuedMs).toBeGreaterThanOrEqual(unseenMs);
          expect(prefillMs).toBeGreaterThan(0);
          expect(decodeMs).toBeGreaterThanOrEqual(0);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('computes step by step what it computes in closed form, however often it is asked', () => {
    fc.assert(
      fc.property(anyArgs, anyRequests, fc.double({ min: 0.5, max: 40, noNaN: true }), (args, list, askEveryMs) => {
        const requests = list.map((each) => requestOf(args, each));
        const closed = run(args, requests, stepTime);
        const often = run(args, requests, stepTime, askEveryMs);
        expect(often.events).toEqual(closed.events);
        const single = run(args, requests, { stepMs: stepTime.stepMs });
        expect(single.stats.steps).toBe(closed.stats.steps);
        expect(single.stats.preemptions).toBe(closed.stats.preemptions);
        expect(single.stats.prefixHitTokens).toBe(closed.stats.prefixHitTokens);
        expect(single.events).toHaveLength(closed.events.length);
        for (const [index, event] of single.events.entries()) {
          expect(event.id).toBe(closed.events[index]?.id);
          expect(event.atMs).toBeCloseTo(closed.events[index]?.atMs ?? -1, 6);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('gives every step no more tokens than its budget, and every token of a reply exactly one sample', () => {
    fc.assert(
      fc.property(anyArgs, anyRequests, (args, list) => {
        const requests = list.map((each) => requestOf(args, each));
        const time = stepByStep();
        const { stats } = run({ ...args, expertParallel: false }, requests, time);
        let samples = 0;
        for (const batch of time.batches) {
          expect(batch.decodes + batch.prefillTokens).toBeGreaterThan(0);
          expect(batch.decodes + batch.prefillTokens).toBeLessThanOrEqual(args.maxNumBatchedTokens);
          expect(batch.decodeContextTokens).toBeGreaterThanOrEqual(batch.decodeContextMax);
          expect(batch.decodeContextTokens).toBeLessThanOrEqual(batch.decodes * batch.decodeContextMax);
          samples += batch.samples;
        }
        expect(samples).toBe(requests.reduce((sum, { tokensOut }) => sum + tokensOut, 0));
        const computed = time.batches.reduce((sum, batch) => sum + batch.prefillTokens, 0);
        const asked = requests.reduce((sum, { tokensIn }) => sum + tokensIn, 0) - stats.prefixHitTokens;
        if (stats.preemptions === 0) expect(computed).toBe(asked);
        else expect(computed).toBeGreaterThanOrEqual(asked);
      }),
      { numRuns: 150 },
    );
  });

  it('admits first come first served on one rank', () => {
    fc.assert(
      fc.property(anyArgs, anyRequests, (args, list) => {
        const requests = list.map((each) => requestOf(args, each));
        const done = finished(run({ ...args, dataParallelSize: 1 }, requests, stepTime).events);
        const starts = requests.map(({ id, atMs }) => atMs + (done.find((event) => event.id === id)?.queuedMs ?? 0));
        for (const [index, start] of starts.entries()) expect(start).toBeGreaterThanOrEqual((starts[index - 1] ?? 0) - 1e-9);
      }),
      { numRuns: 100 },
    );
  });
});
