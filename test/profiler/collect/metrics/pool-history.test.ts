import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PoolHistory } from '../../../../profiler/collect/metrics/pool-history.ts';
import { parsePrometheus } from '../../../../profiler/collect/metrics/prometheus.ts';
import { readVllm } from '../../../../profiler/collect/metrics/vllm.ts';
import { type EngineSketch, vllmPage } from './pages.ts';

const of = { pool: 'main', model: 'main', source: 'vllm' as const };
const whole = { fromMs: 0, toMs: 1e9 };
const read = (...engines: readonly EngineSketch[]) => readVllm(parsePrometheus(vllmPage({ engines })));

/** Ticks of servers `a`, `b`, …, 500 ms apart; null: that one did not answer, undefined: it is not there. */
function history(...ticks: readonly { readonly [server: string]: EngineSketch | readonly EngineSketch[] | null }[]): PoolHistory {
  const made = new PoolHistory();
  ticks.forEach((tick, index) => {
    const servers = Object.entries(tick).map(([id, sketch]) => ({
      id,
      engine: sketch === null ? null : read(...(Array.isArray(sketch) ? (sketch as EngineSketch[]) : [sketch as EngineSketch])),
    }));
    made.record({ atMs: index * 500, servers, gpus: [] });
  });
  return made;
}

describe('what a pool told while it was watched', () => {
  it('counts from the first reading, not from the start of the engine', () => {
    const load = history(
      { a: { tokensIn: 1000, tokensOut: 500, tokensCached: 100, preemptions: 3 } },
      { a: { tokensIn: 1600, tokensOut: 520, tokensCached: 130, preemptions: 4 } },
    ).load(of, whole);
    expect(load).toMatchObject({ tokensIn: 600, tokensOut: 20, tokensCached: 30, preemptions: 1, replicas: 1, gaps: 0, source: 'vllm' });
  });

  it('adds replicas and engines, and takes the mean of their caches', () => {
    const load = history(
      { a: [{ tokensOut: 10 }, { tokensOut: 20 }], b: { tokensOut: 5 } },
      {
        a: [
          { tokensOut: 11, running: 2, waiting: 1, kvUse: 0.2 },
          { tokensOut: 22, running: 3, waiting: 0, kvUse: 0.4 },
        ],
        b: { tokensOut: 9, running: 1, waiting: 5, kvUse: 0.9 },
      },
    ).load(of, whole);
    expect(load).toMatchObject({ tokensOut: 1 + 2 + 4, replicas: 2 });
    expect(load?.samples.at(-1)).toEqual({ atMs: 500, running: 6, waiting: 6, kvUse: 0.5 });
  });

  it('goes on counting over the restart of an engine', () => {
    const load = history(
      { a: { tokensOut: 100, firstToken: { counts: [5, 5, 0], sum: 2 } } },
      { a: { tokensOut: 120, firstToken: { counts: [6, 5, 0], sum: 2.5 } } },
      { a: { tokensOut: 7, firstToken: { counts: [0, 1, 0], sum: 0.4 } } },
      { a: { tokensOut: 9, firstToken: { counts: [0, 1, 1], sum: 3.4 } } },
    ).load(of, whole);
    expect(load?.tokensOut).toBe(20 + 9);
    expect(load?.timeToFirstTokenMs).toEqual({ boundsMs: [100, 1000], counts: [1, 1, 1], sumMs: expect.closeTo(3900) });
  });

  it('counts all of a replica that came while it watched, and nothing of what another did before it first answered', () => {
    const load = history({ a: null }, { a: { tokensOut: 1000 } }, { a: { tokensOut: 1010 }, b: { tokensOut: 30 } }).load(of, whole);
    expect(load).toMatchObject({ tokensOut: 10 + 30, gaps: 1 });
    expect(load?.samples.map(({ atMs }) => atMs)).toEqual([500, 1000]);
  });

  it('counts one stretch, as near as readings bound it', () => {
    const made = history({ a: { tokensOut: 0 } }, { a: { tokensOut: 10 } }, { a: { tokensOut: 25 } }, { a: { tokensOut: 100 } });
    expect(made.load(of, { fromMs: 600, toMs: 1100 })).toMatchObject({ tokensOut: 15, fromMs: 500, toMs: 1000 });
    expect(made.load(of, { fromMs: 600, toMs: 1100 })?.samples).toHaveLength(4);
  });

  it('says nothing where nothing was told, and null of what an engine does not tell', () => {
    expect(history({ a: null }, { a: null }).load(of, whole)).toBeNull();
    expect(history({}).load(of, whole)).toBeNull();
    expect(history({ a: {} }, { a: {} }).load(of, whole)).toMatchObject({ queueMs: null, decodeMs: null, tokensOut: 0 });
  });

  it('never makes up a token, and without restarts never loses one', () => {
    // Each step: tokens made since the last, whether the engine was restarted before them, and whether it answers.
    const step = fc.record({ tokens: fc.nat(50), restarted: fc.boolean(), answers: fc.boolean() });
    fc.assert(
      fc.property(fc.nat(1000), fc.array(step, { maxLength: 20 }), fc.boolean(), (start, steps, restarts) => {
        const made = new PoolHistory();
        let counter = start;
        let since = 0;
        let readable = 0;
        const tick = (atMs: number, answers: boolean) =>
          made.record({ atMs, servers: [{ id: 'a', engine: answers ? read({ tokensOut: counter }) : null }], gpus: [] });
        tick(0, true);
        for (const [index, { tokens, restarted, answers }] of steps.entries()) {
          counter = restarts && restarted ? tokens : counter + tokens;
          since += tokens;
          if (answers) readable = since;
          tick(index + 1, answers);
        }
        const counted = made.load(of, whole)?.tokensOut ?? 0;
        expect(counted).toBeLessThanOrEqual(since);
        if (!restarts) expect(counted).toBe(readable);
      }),
    );
  });
});
