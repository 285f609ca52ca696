import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { engineOf } from '../../../../runtime/llm/engine/options.ts';
import { createPool, type PoolRequest, type PoolSetup, simulatePool } from '../../../../runtime/llm/engine/pool.ts';
import { simulateArrivals } from '../../../../runtime/llm/engine/simulate.ts';
import { routers } from '../../../../runtime/llm/engine/step-time.ts';

const setupOf = (options: object = {}): PoolSetup => engineOf({ maxNumSeqs: 4, maxNumBatchedTokens: 256, kvBlocks: 200, ...options });
const conversation = (name: number, blocks: number) => Array.from({ length: blocks }, (_, index) => `${name}/${index}`);

/** Turns of a few conversations, in any order of arrival. */
const requests = fc.array(
  fc.record({
    atMs: fc.nat(2000),
    conversation: fc.nat(4),
    blocks: fc.integer({ min: 1, max: 20 }),
    tokensOut: fc.integer({ min: 1, max: 40 }),
  }),
  { maxLength: 60 },
);
const poolRequest = ({
  atMs,
  conversation: name,
  blocks,
  tokensOut,
}: {
  atMs: number;
  conversation: number;
  blocks: number;
  tokensOut: number;
}): PoolRequest => ({
  atMs,
  tokensIn: blocks * 16 + 5,
  tokensOut,
  prefix: conversation(name, blocks),
});
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

describe('a pool as a library', () => {
  it.each(routers)('%s: answers every request once, alike each time, in any order given', (router) => {
    fc.assert(
      fc.property(requests, fc.integer({ min: 1, max: 4 }), (given, engineReplicas) => {
        const setup = setupOf({ router, engineReplicas });
        const list = given.map(poolRequest);
        const timings = simulatePool(setup, list);
        expect(timings.length).toBe(list.length);
        timings.forEach((timing, index) => {
          expect(timing.replica >= 0 && timing.replica < engineReplicas).toBe(true);
          expect(timing.totalMs).toBeCloseTo(timing.queuedMs + timing.prefillMs + timing.decodeMs, 9);
          expect(timing.queuedMs).toBeGreaterThanOrEqual(0);
          expect(timing.tokensCached).toBeLessThan((list[index] as PoolRequest).tokensIn);
        });
        expect(simulatePool(setup, list)).toEqual(timings);
      }),
      { numRuns: 40 },
    );
  });

  it('of one replica is that engine', () => {
    fc.assert(
      fc.property(requests, (given) => {
        const setup = setupOf();
        const list = given.map(poolRequest);
        const alone = simulateArrivals(setup, list);
        simulatePool(setup, list).forEach((timing, index) => {
          expect(timing.totalMs).toBeCloseTo(alone[index]?.totalMs ?? -1, 6);
        });
      }),
      { numRuns: 30 },
    );
  });

  it('sees those that come at the same time at the same time', () => {
    const burst = [0, 1, 2].map((): PoolRequest => ({ atMs: 10, tokensIn: 20, tokensOut: 3 }));
    const timings = simulatePool(setupOf(), burst);
    expect(timings.map(({ queuedMs }) => queuedMs)).toEqual([0, 0, 0]);
    expect(new Set(timings.map(({ totalMs }) => totalMs)).size).toBe(1);
  });

  it('tells the same story however often it is asked', () => {
    fc.assert(
      fc.property(requests, fc.array(fc.nat(4000), { maxLength: 30 }), fc.boolean(), (given, asked, all) => {
        const setup = setupOf({ engineReplicas: 3, router: 'least-outstanding' });
        const list = given.map(poolRequest).sort((a, b) => a.atMs - b.atMs);
        const pool = createPool(setup);
        const ended: string[] = [];
        const times = [...list.map(({ atMs }) => atMs), ...asked].sort((a, b) => a - b);
        let next = 0;
        let lastMs = 0;
        const advance = (ms: number) => {
          for (const event of pool.advanceTo(ms, all)) {
            expect(event.atMs).toBeGreaterThanOrEqual(lastMs);
            lastMs = event.atMs;
            if (event.kind === 'finished') ended[Number(event.id)] = `${event.replica} ${event.atMs.toFixed(6)}`;
          }
        };
        for (const ms of times) {
          advance(ms);
          for (; list[next]?.atMs === ms; next++) pool.submit({ ...(list[next] as PoolRequest), id: String(next) });
        }
        advance(Number.POSITIVE_INFINITY);
        const expected = simulatePool(setup, list).map(
          (timing, index) => `${timing.replica} ${((list[index]?.atMs ?? 0) + timing.totalMs).toFixed(6)}`,
        );
        expect(ended).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  it('finds more in its caches where conversations keep to their replicas', () => {
    const turns = Array.from({ length: 48 }, (_, index): PoolRequest => {
      const [turn, name] = [Math.floor(index / 6), index % 6];
      return { atMs: index * 400, tokensIn: 16 * 6 * (turn + 1) + 5, tokensOut: 20, prefix: conversation(name, 6 * (turn + 1)) };
    });
    const cached = (router: string) =>
      sum(simulatePool(setupOf({ router, engineReplicas: 4, kvBlocks: 2000 }), turns).map((each) => each.tokensCached));
    const [affinity, inTurn] = [cached('prefix-affinity'), cached('round-robin')];
    // All but the new six blocks of each turn.
    expect(affinity).toBe(sum(turns.map(({ tokensIn }) => tokensIn - 5)) - 48 * 96);
    expect(inTurn).toBeLessThan(0.8 * affinity);
  });

  it('least outstanding beats turns where some requests are long', () => {
    const mixed = Array.from(
      { length: 60 },
      (_, index): PoolRequest => ({ atMs: index * 25, tokensIn: 40, tokensOut: index % 3 === 0 ? 400 : 10 }),
    );
    const mean = (router: string) =>
      sum(simulatePool(setupOf({ router, engineReplicas: 3, maxNumSeqs: 2 }), mixed).map(({ totalMs }) => totalMs)) / 60;
    // In turns all the long ones meet on one replica.
    expect(mean('least-outstanding')).toBeLessThan(0.6 * mean('round-robin'));
  });

  it('takes nothing before a replica has started, and counts that wait', () => {
    const setup = setupOf({ engineReplicas: 2, coldStartMs: 1000 });
    const list: PoolRequest[] = [100, 100, 1500].map((atMs) => ({ atMs, tokensIn: 20, tokensOut: 5 }));
    const both = simulatePool(setup, list);
    expect(both.map(({ queuedMs }) => queuedMs)).toEqual([900, 900, 0]);
    expect(both[0]?.replica).not.toBe(both[1]?.replica);
    // The second replica is started later: until then the first has everything.
    const staggered = simulatePool(setup, list, { startedAtMs: [0, 2000] });
    expect(staggered.map(({ replica }) => replica)).toEqual([0, 0, 0]);
    const warm = simulatePool(setup, list, { startedAtMs: [-1000, -1000] });
    expect(warm.map(({ queuedMs }) => queuedMs)).toEqual([0, 0, 0]);
  });

  it('lets go of what is cancelled, wherever it is', () => {
    const pool = createPool(setupOf({ engineReplicas: 2, coldStartMs: 50 }));
    const request = { tokensIn: 20, tokensOut: 100 };
    expect(pool.submit({ ...request, id: 'early', atMs: 0 })).toBeUndefined();
    expect(pool.waiting()).toBe(1);
    pool.cancel('early', 10);
    expect(pool.nextWakeAtMs()).toBeUndefined();
    expect(pool.submit({ ...request, id: 'a', atMs: 60 })).toBe(0);
    expect(pool.submit({ ...request, id: 'b', atMs: 60 })).toBe(1);
    pool.advanceTo(100, true);
    pool.cancel('a', 100);
    // The replica it left is the less busy one now.
    expect(pool.submit({ ...request, id: 'c', atMs: 100 })).toBe(0);
    const ended = pool.advanceTo(Number.POSITIVE_INFINITY).flatMap((event) => (event.kind === 'finished' ? [event.id] : []));
    expect(ended.sort()).toEqual(['b', 'c']);
    expect(pool.stats().every(({ running, waiting, kvBlocksUsed }) => running + waiting + kvBlocksUsed === 0)).toBe(true);
  });

  it('refuses what could never run and stays as it was', () => {
    const pool = createPool(setupOf({ engineReplicas: 2 }));
    expect(() => pool.submit({ id: 'big', tokensIn: 10_000, tokensOut: 5, atMs: 0 })).toThrow(RangeError);
    expect(pool.submit({ id: 'a', tokensIn: 10, tokensOut: 5, atMs: 0 })).toBeDefined();
    expect(pool.advanceTo(Number.POSITIVE_INFINITY).filter(({ kind }) => kind === 'finished').length).toBe(1);
  });
});
