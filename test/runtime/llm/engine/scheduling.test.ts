import { describe, expect, it } from 'vitest';
import { createEngine, type EngineEvent, type EngineRequest } from '../../../../runtime/llm/engine/engine.ts';
import type { EngineArgs, StepBatch, StepTime } from '../../../../runtime/llm/engine/step-time.ts';

const args: EngineArgs = {
  maxNumSeqs: 8,
  maxNumBatchedTokens: 100,
  blockSize: 4,
  kvBlocks: 100,
  prefixCaching: true,
  tensorParallelSize: 1,
  dataParallelSize: 1,
  expertParallel: false,
};

/** Every step takes 10 ms; what was in each is kept. */
function tenMs(): StepTime & { readonly batches: StepBatch[] } {
  const batches: StepBatch[] = [];
  return {
    batches,
    stepMs: (batch) => {
      batches.push({ ...batch });
      return 10;
    },
  };
}

function run(over: Partial<EngineArgs>, requests: readonly EngineRequest[], time: StepTime = tenMs()) {
  const engine = createEngine({ ...args, ...over }, time);
  for (const request of requests) engine.submit(request);
  const events = engine.advanceTo(Number.POSITIVE_INFINITY);
  const of = (id: string) =>
    events.find((event) => event.kind === 'finished' && event.id === id) as Extract<EngineEvent, { kind: 'finished' }>;
  return { events, of, stats: engine.stats() };
}

const request = (id: string, atMs: number, tokensIn: number, tokensOut: number, more: Partial<EngineRequest> = {}): EngineRequest => ({
  id,
  atMs,
  tokensIn,
  tokensOut,
  ...more,
});

describe('scheduling, by hand', () => {
  it('puts whoever arrives during a step into the next one; with asynchronous scheduling into the one after', () => {
    const requests = [request('a', 0, 10, 6), request('b', 3, 10, 2)];
    expect(run({}, requests).of('b')).toMatchObject({ unseenMs: 7, queuedMs: 7, prefillMs: 10, decodeMs: 10 });
    expect(run({ asyncScheduling: true }, requests).of('b')).toMatchObject({ unseenMs: 7, queuedMs: 7, prefillMs: 20, decodeMs: 10 });
  });

  it('keeps a slot until the last token is out, though asynchronous scheduling knows earlier that it will be', () => {
    const requests = [request('a', 0, 10, 2), request('b', 0, 10, 1)];
    // a ends with step 2; without a plan ahead b is in step 3, else step 3 is planned, empty, before a has left.
    expect(run({ maxNumSeqs: 1, maxNumBatchedTokens: 100 }, requests).of('b')).toMatchObject({ queuedMs: 20, prefillMs: 10 });
    expect(run({ maxNumSeqs: 1, asyncScheduling: true }, requests).of('b')).toMatchObject({ queuedMs: 20, prefillMs: 10 });
  });

  it('shares the budget: decodes first, then the rest of a cut prompt, then the next', () => {
    const time = tenMs();
    run({ maxNumBatchedTokens: 20 }, [request('a', 0, 10, 5), request('b', 0, 25, 1), request('c', 0, 4, 1)], time);
    expect(time.batches.map(({ decodes, prefillTokens, prefillChunks }) => [decodes, prefillTokens, prefillChunks])).toEqual([
      [0, 20, 2],
      [1, 19, 2],
      [1, 0, 0],
      [1, 0, 0],
      [1, 0, 0],
    ]);
    expect(time.batches[1]).toMatchObject({
      prefillContextTokens: 10,
      prefillChunkMax: 15,
      prefillPairs: 15 * (10 + 8) + 4 * 2.5,
      samples: 3,
    });
  });

  it('preempts the latest for want of a block, and computes again what its cache lost', () => {
    // 6 blocks of 4: a and b hold 2 each at first and 3 each after 12 tokens; the 13th needs one more.
    const time = tenMs();
    const both = [request('a', 0, 8, 10), request('b', 0, 8, 10)];
    const { of, stats } = run({ kvBlocks: 6, prefixCaching: false }, both, time);
    expect(of('a').preemptions).toBe(0);
    expect(of('b').preemptions).toBe(1);
    expect(stats.preemptions).toBe(1);
    // b had its prompt and 5 tokens when a took its 4th block in step 6, and got no token in that step.
    expect(time.batches[5]).toMatchObject({ decodes: 1, prefillTokens: 0 });
    expect(time.batches.reduce((sum, { prefillTokens }) => sum + prefillTokens, 0)).toBe(8 + 8 + 13);
    // With a prefix cache, the blocks of b that nobody needed meanwhile are found again.
    const kept = tenMs();
    run({ kvBlocks: 6 }, both, kept);
    expect(kept.batches.reduce((sum, { prefillTokens }) => sum + prefillTokens, 0)).toBeLessThan(8 + 8 + 13);
  });

  it('admits a prompt only when all of it fits, though it is computed in chunks', () => {
    const { of } = run({ kvBlocks: 10, maxNumBatchedTokens: 20 }, [request('a', 0, 20, 3), request('b', 0, 24, 1)]);
    expect(of('b').queuedMs).toBe(of('a').queuedMs + of('a').prefillMs + of('a').decodeMs);
  });

  it('finds prefixes, gives up the least recently used, and forgets after their lifetime', () => {
    const keys = (name: string, count: number) => Array.from({ length: count }, (_, index) => `${name}${index}`);
    const first = request('a', 0, 20, 1, { prefix: keys('x', 5) });
    expect(run({}, [first, request('b', 50, 22, 1, { prefix: keys('x', 5) })]).of('b').tokensCached).toBe(20);
    // At least one token is computed, so the last full block of an equal prompt is computed again.
    expect(run({}, [first, request('b', 50, 20, 1, { prefix: keys('x', 5) })]).of('b').tokensCached).toBe(16);
    expect(run({ prefixLifetimeMs: 30 }, [first, request('b', 50, 22, 1, { prefix: keys('x', 5) })]).of('b').tokensCached).toBe(0);
    expect(run({ prefixCaching: false }, [first, request('b', 50, 22, 1, { prefix: keys('x', 5) })]).of('b').tokensCached).toBe(0);
    const crowded = [first, request('y', 50, 28, 1), request('b', 100, 22, 1, { prefix: keys('x', 5) })];
    // 8 blocks: y takes the 3 that were never used and 4 of x, the ends first.
    expect(run({ kvBlocks: 8 }, crowded).of('b').tokensCached).toBe(4);
  });

  it('caches replies under the keys the caller gives for them', () => {
    const talk = Array.from({ length: 6 }, (_, index) => `t${index}`);
    const { of, stats } = run({}, [request('a', 0, 9, 12, { prefix: talk }), request('b', 500, 30, 1, { prefix: talk })]);
    // The last token of a reply is handed out but never computed on: 20 tokens are in the cache.
    expect(of('b').tokensCached).toBe(20);
    expect(stats).toMatchObject({ prefixQueryTokens: 39, prefixHitTokens: 20 });
  });

  it('spreads requests over data-parallel ranks by their load', () => {
    const engine = createEngine({ ...args, dataParallelSize: 2 }, tenMs());
    for (let index = 0; index < 6; index++) engine.submit(request(String(index), index, 10, 20));
    engine.advanceTo(50);
    expect(engine.stats().perRank.map(({ running }) => running)).toEqual([3, 3]);
  });

  it('steps all ranks of an expert-parallel engine together, as slow as the slowest', () => {
    const time: StepTime = { stepMs: ({ prefillTokens }) => (prefillTokens > 50 ? 40 : 10) };
    const requests = [request('a', 0, 10, 3), request('b', 0, 60, 1)];
    expect(run({ dataParallelSize: 2, expertParallel: true }, requests, time).of('a')).toMatchObject({ prefillMs: 40, decodeMs: 20 });
    expect(run({ dataParallelSize: 2 }, requests, time).of('a')).toMatchObject({ prefillMs: 10, decodeMs: 20 });
  });

  it('refuses what can never run', () => {
    expect(() => createEngine({ ...args, maxNumBatchedTokens: 4 }, tenMs())).toThrow(/maxNumBatchedTokens must be at least maxNumSeqs/);
    expect(() => createEngine({ ...args, kvBlocks: 0 }, tenMs())).toThrow(/kvBlocks/);
    expect(() => run({ kvBlocks: 4 }, [request('a', 0, 16, 2)])).toThrow(/17 tokens of KV cache, the engine has 16/);
  });
});
