import { describe, expect, it } from 'vitest';
import type { RequestTimings } from '../../../../runtime/llm/engine/engine.ts';
import { engineOf } from '../../../../runtime/llm/engine/options.ts';
import { createPool, type PoolRequest, simulatePool } from '../../../../runtime/llm/engine/pool.ts';
import { routers } from '../../../../runtime/llm/engine/step-time.ts';
import { createLiveEngine } from '../../../../runtime/llm/server/live-engine.ts';

const pauseMs = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('a pool in real time', () => {
  // Timers may be late as they like: times are those of the engines' clock.
  it.each(routers)('%s: gives a burst and what trickles in after it the times the library gives the same arrivals', async (router) => {
    const setup = engineOf({ stepFixedMs: 3, maxNumSeqs: 3, maxNumBatchedTokens: 128, engineReplicas: 3, router });
    const pool = createPool(setup);
    const arrived: PoolRequest[] = [];
    const live = createLiveEngine(
      {
        ...pool,
        submit: ({ id: _, ...request }) => {
          arrived.push(request);
          return pool.submit({ ...request, id: String(arrived.length - 1) });
        },
      },
      5,
    );
    const timings: (RequestTimings & { replica: number })[] = [];
    const chunks: number[][] = [];
    const ask = (index: number) =>
      new Promise<void>((resolve) => {
        chunks[index] = [];
        live.submit({
          id: String(index),
          tokensIn: 50 + 16 * (index % 5),
          tokensOut: 5 + (index % 7) * 4,
          prefix: Array.from({ length: 3 + (index % 5) }, (_, block) => `${index % 4}/${block}`),
          onFirst: () => {},
          ...(index % 2 === 0 ? { onTokens: (tokens: number) => chunks[index]?.push(tokens) } : {}),
          onFinished: (times, replica) => {
            timings[index] = { ...times, replica };
            resolve();
          },
        });
      });
    const burst = Array.from({ length: 20 }, (_, index) => ask(index));
    const later: Promise<void>[] = [];
    for (let index = 20; index < 30; index++) {
      await pauseMs(7);
      later.push(ask(index));
    }
    await Promise.all([...burst, ...later]);
    live.stop();

    const expected = simulatePool(setup, arrived);
    expect(arrived.length).toBe(30);
    expected.forEach(({ totalMs: _, ...wanted }, index) => {
      const found = timings[index];
      expect(found?.replica).toBe(wanted.replica);
      expect(found?.tokensCached).toBe(wanted.tokensCached);
      for (const part of ['queuedMs', 'prefillMs', 'decodeMs'] as const) expect(found?.[part]).toBeCloseTo(wanted[part], 6);
    });
    // Streams saw their tokens grow, never more than there were.
    chunks.forEach((seen, index) => {
      if (index % 2 === 1) expect(seen).toEqual([]);
      expect(seen).toEqual([...seen].sort((a, b) => a - b));
      expect(Math.max(0, ...seen)).toBeLessThanOrEqual(arrived[index]?.tokensOut ?? 0);
    });
    expect(chunks.flat().length).toBeGreaterThan(10);
  });

  it('says of a cancelled request how far it came, and nothing of one that had ended', async () => {
    const live = createLiveEngine(createPool(engineOf({ stepFixedMs: 2 })), 5);
    let ended = 0;
    const request = { tokensIn: 10, onFirst: () => {}, onFinished: () => ended++ };
    live.submit({ ...request, id: 'long', tokensOut: 100_000 });
    live.submit({ ...request, id: 'short', tokensOut: 2 });
    await expect.poll(() => ended).toBe(1);
    expect(live.cancel('short')).toBeUndefined();
    const left = live.cancel('long');
    expect(left?.replica).toBe(0);
    expect(left?.tokensProduced).toBeGreaterThan(1);
    expect(live.cancel('long')).toBeUndefined();
    await expect.poll(() => live.stats()[0]?.stats.running).toBe(0);
    live.stop();
  });
});
