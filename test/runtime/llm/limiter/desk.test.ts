import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLimiterDesk } from '../../../../runtime/llm/limiter/desk.ts';
import { createQuota, createWindows } from '../../../../runtime/llm/limiter/quota.ts';

describe('sliding windows', () => {
  it('let a window’s worth through, and the next as each leaves', () => {
    const windows = createWindows({ requestsPerMinute: 120, windowMs: 1_000 });
    windows.add(1).fromMs = 0;
    expect(windows.waitMs(1, 100)).toBe(0);
    windows.add(1).fromMs = 300;
    expect(windows.waitMs(1, 500)).toBe(500);
    expect(windows.waitMs(1, 1_000)).toBe(0);
  });

  it('let a call through alone that is larger than a window, and count it until its tokens have flowed in', () => {
    const windows = createWindows({ tokensPerMinute: 6_000, windowMs: 1_000 });
    expect(windows.waitMs(500, 0)).toBe(0);
    windows.add(500).fromMs = 0;
    expect(windows.waitMs(1, 1_000)).toBe(4_000);
    expect(windows.waitMs(1, 5_000)).toBe(0);
  });

  it('let at most one call through per stretch where the window holds less than one', () => {
    const windows = createWindows({ requestsPerMinute: 6, windowMs: 1_000 });
    windows.add(1).fromMs = 0;
    expect(windows.waitMs(1, 5_000)).toBe(5_000);
  });

  it('cannot say when, while a call under way has no place in time', () => {
    const windows = createWindows({ requestsPerMinute: 60, windowMs: 1_000 });
    const call = windows.add(1);
    expect(windows.waitMs(1, 9_000)).toBe(Number.POSITIVE_INFINITY);
    windows.remove(call);
    expect(windows.waitMs(1, 9_000)).toBe(0);
  });
});

/** Calls as they come, each with its size, its way to the provider and its length there. */
const callsOf = fc.array(
  fc.record({
    gapMs: fc.integer({ min: 0, max: 120 }),
    tokens: fc.integer({ min: 1, max: 60 }),
    travelMs: fc.integer({ min: 0, max: 200 }),
    lastsMs: fc.integer({ min: 0, max: 900 }),
  }),
  { minLength: 1, maxLength: 60 },
);

describe('the desk', () => {
  it('keeps every window and the concurrency at the provider, serves in order, and forgets nobody', () => {
    const limits = { requestsPerMinute: 600, tokensPerMinute: 6_000, concurrency: 5, windowMs: 1_000 };
    fc.assert(
      fc.property(callsOf, (calls) => {
        const desk = createLimiterDesk({ main: limits });
        // What the provider's own token bucket would say of the same calls.
        const bucket = createQuota({ requestsPerMinute: 600, tokensPerMinute: 6_000, windowMs: 1_000 });
        const arrived: { at: number; tokens: number; overAt: number }[] = [];
        const events: { at: number; run: (now: number) => void }[] = [];
        const order: number[] = [];
        let at = 0;
        for (const [id, { gapMs, tokens }] of calls.entries()) {
          at += gapMs;
          events.push({ at, run: (now) => desk.ask({ holder: 'h', id, model: 'main', tokens }, now) });
        }
        let now = 0;
        for (let steps = 0; order.length < calls.length; steps++) {
          expect(steps).toBeLessThan(10_000);
          for (const { id } of desk.grants(now)) {
            order.push(id);
            const { tokens, travelMs, lastsMs } = calls[id] as (typeof calls)[number];
            desk.sent('h', id, now);
            const overAt = now + travelMs + lastsMs;
            arrived.push({ at: now + travelMs, tokens, overAt });
            events.push({ at: overAt, run: (end) => desk.leave('h', id, end, tokens) });
          }
          if (order.length === calls.length) break;
          events.sort((a, b) => a.at - b.at);
          const next = Math.min(events[0]?.at ?? Number.POSITIVE_INFINITY, Math.max(now + 0.001, desk.nextMs(now)));
          expect(Number.isFinite(next)).toBe(true);
          now = next;
          while ((events[0]?.at ?? Number.POSITIVE_INFINITY) <= now) events.shift()?.run(now);
        }
        expect(order).toEqual(calls.map((_, id) => id));
        arrived.sort((a, b) => a.at - b.at);
        for (const { at: from } of arrived) {
          const inWindow = arrived.filter((call) => call.at >= from && call.at < from + limits.windowMs);
          expect(inWindow.length).toBeLessThanOrEqual(10);
          expect(inWindow.reduce((sum, call) => sum + call.tokens, 0)).toBeLessThanOrEqual(100);
          expect(arrived.filter((call) => call.at <= from && call.overAt > from).length).toBeLessThanOrEqual(5);
        }
        for (const call of arrived) expect(bucket.take(call.tokens, call.at)).toEqual({ admitted: true });
      }),
      { numRuns: 100 },
    );
  });

  it('takes back everything of a process that is gone, and what was never sent does not count', () => {
    const desk = createLimiterDesk({ main: { requestsPerMinute: 120, concurrency: 2, windowMs: 1_000 } });
    for (const id of [1, 2, 3]) desk.ask({ holder: 'a', id, model: 'main', tokens: 1 }, 0);
    desk.ask({ holder: 'b', id: 1, model: 'main', tokens: 1 }, 0);
    expect(desk.grants(0).map(({ id }) => id)).toEqual([1, 2]);
    // Nobody knows whether its calls went out, so they count.
    desk.drop('a', 100);
    expect(desk.grants(100)).toEqual([]);
    expect(desk.nextMs(100)).toBe(1_100);
    expect(desk.grants(1_100).map(({ holder }) => holder)).toEqual(['b']);
    desk.leave('b', 1, 1_200);
    for (const id of [2, 3]) desk.ask({ holder: 'b', id, model: 'main', tokens: 1 }, 1_200);
    expect(desk.grants(1_200).map(({ id }) => id)).toEqual([2, 3]);
    expect(desk.stats()).toEqual({ main: { granted: 5, waiting: 0, inUse: 2, waitedMs: 1_100 } });
  });
});
