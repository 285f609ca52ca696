import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ModelContent } from '../../../compiler/contracts/index.ts';
import { createQuota } from '../../../runtime/llm/limiter/quota.ts';
import { createTape } from '../../../runtime/replay/tape.ts';
import { createTapeDesk } from '../../../runtime/replay/tape-desk.ts';
import { createTimedPrefixCache } from '../../../runtime/replay/timed-prefix-cache.ts';
import { modelEntry } from './support.ts';

const asked = (key: string, conversation?: string, caller?: string) => ({
  kind: 'model' as const,
  target: 'main',
  keys: { exact: key, near: key, loose: key },
  conversation,
  caller,
});
const textOf = (found: ReturnType<ReturnType<typeof createTape>['draw']>) => (found.entry?.reply.content as ModelContent | undefined)?.text;

describe('a tape', () => {
  const twice = [modelEntry('k', 'first'), modelEntry('k', 'second', { occurrence: 2 })];

  it('gives the n-th time what the n-th time got, per conversation, and after the last one the last', () => {
    const tape = createTape(twice);
    expect([1, 2, 3].map(() => textOf(tape.draw(asked('k', 'a'))))).toEqual(['first', 'second', 'second']);
    expect(textOf(tape.draw(asked('k', 'b')))).toBe('first');
    expect([1, 2].map(() => textOf(tape.draw(asked('k'))))).toEqual(['first', 'first']);
  });

  it('gives each conversation the same, however they are interleaved, and whatever the order of the lines', () => {
    const steps = fc.array(fc.record({ conversation: fc.constantFrom('a', 'b', 'c'), key: fc.constantFrom('k', 'l') }), { maxLength: 30 });
    const entries = [...twice, modelEntry('l', 'x'), modelEntry('l', 'y', { occurrence: 2 }), modelEntry('l', 'z')];
    const played = (list: readonly { conversation: string; key: string }[], tape = createTape(entries)) => {
      const told: Record<string, (string | undefined)[]> = {};
      for (const { conversation, key } of list) {
        told[conversation] ??= [];
        told[conversation]?.push(textOf(tape.draw(asked(key, conversation))));
      }
      return told;
    };
    fc.assert(
      fc.property(steps, (list) => {
        // One after the other instead of mixed.
        const sorted = [...list].sort((a, b) => (a.conversation < b.conversation ? -1 : a.conversation > b.conversation ? 1 : 0));
        expect(played(sorted)).toEqual(played(list));
        expect(played(list, createTape([...entries].reverse()))).toEqual(played(list));
      }),
    );
  });

  it('counts per component, so that parallel branches do not take each other’s turn', () => {
    const tape = createTape([modelEntry('k', 'of x', { caller: 'x' }), modelEntry('k', 'of y', { caller: 'y' })]);
    expect(textOf(tape.draw(asked('k', 'a', 'y')))).toBe('of y');
    expect(textOf(tape.draw(asked('k', 'a', 'x')))).toBe('of x');
    expect(tape.draw(asked('k', 'a', 'z')).entry).toBeDefined();
  });

  it('prefers the closest recording, and says where several fit and differ', () => {
    const entry = (exact: string, text: string) => modelEntry(exact, text, { keys: { exact, near: 'n', loose: 'l' } });
    const tape = createTape([entry('e1', 'one'), entry('e2', 'two')]);
    const draw = (exact: string, near: string, loose = 'l') => tape.draw({ kind: 'model', target: 'main', keys: { exact, near, loose } });
    expect(draw('e2', 'n')).toMatchObject({ by: 'exact', ambiguous: false });
    expect(textOf(draw('e2', 'n'))).toBe('two');
    expect(draw('e3', 'n')).toMatchObject({ by: 'near', ambiguous: true });
    expect(draw('e3', 'm')).toMatchObject({ by: 'loose', ambiguous: true });
    expect(draw('e3', 'm', 'o').entry).toBeUndefined();
    expect(tape.draw({ ...asked('e1'), target: 'large' }).entry).toBeUndefined();
  });
});

describe('a quota', () => {
  it('lets through what the minute allows, and says when to come again', () => {
    const quota = createQuota({ requestsPerMinute: 60, windowMs: 2_000 });
    expect([0, 0, 0].map((ms) => quota.take(0, ms).admitted)).toEqual([true, true, false]);
    expect(quota.take(0, 500)).toEqual({ admitted: false, limit: 'requests', retryAfterMs: 500 });
    expect(quota.take(0, 1_000).admitted).toBe(true);
    const tokens = createQuota({ tokensPerMinute: 6_000, windowMs: 1_000 });
    expect(tokens.take(90, 0).admitted).toBe(true);
    expect(tokens.take(60, 0)).toEqual({ admitted: false, limit: 'tokens', retryAfterMs: 500 });
    // More than the window holds passes when it is full, and is paid off afterwards.
    expect(tokens.take(500, 5_000).admitted).toBe(true);
    expect(tokens.take(1, 8_000).admitted).toBe(false);
    expect(tokens.take(1, 9_100).admitted).toBe(true);
  });

  it('never lets through more than the rate and one window, and everything after waiting as long as it was told', () => {
    const arrivals = fc.array(fc.record({ gapMs: fc.integer({ min: 0, max: 400 }), tokens: fc.integer({ min: 1, max: 50 }) }), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 60, max: 3_000 }), (list, tokensPerMinute) => {
        const quota = createQuota({ tokensPerMinute, windowMs: 3_000 });
        let now = 0;
        let passed = 0;
        for (const { gapMs, tokens } of list) {
          now += gapMs;
          const small = Math.min(tokens, (tokensPerMinute / 60_000) * 3_000);
          const admission = quota.take(small, now);
          if (!admission.admitted) {
            now += admission.retryAfterMs;
            expect(quota.take(small, now).admitted).toBe(true);
          }
          passed += small;
          expect(passed).toBeLessThanOrEqual((tokensPerMinute / 60_000) * (now + 3_000) + 1e-6);
        }
      }),
    );
  });
});

describe('what a tape gives out', () => {
  it('counts misses per component, throttled calls apart, and refused calls do not move the conversation on', () => {
    const entries = [modelEntry('k', 'first'), modelEntry('k', 'second', { occurrence: 2 })];
    const desk = createTapeDesk(createTape(entries), { limits: { main: { requestsPerMinute: 60, windowMs: 1_000 } }, simulate: new Set() });
    expect(desk.draw(asked('k', 'a', 'x'), 0)).toMatchObject({ found: 'hit', reply: { content: { text: 'first' } } });
    expect(desk.draw(asked('k', 'a', 'x'), 10)).toEqual({ found: 'throttled', limit: 'requests', retryAfterMs: 990 });
    expect(desk.draw(asked('k', 'a', 'x'), 1_000)).toMatchObject({ found: 'hit', reply: { content: { text: 'second' } } });
    expect(desk.draw(asked('other', 'a', 'y'), 2_000)).toEqual({ found: 'miss' });
    expect(desk.draw(asked('other', 'a'), 3_000)).toEqual({ found: 'miss' });
    expect(desk.stats()).toEqual({
      main: { requests: 4, hits: { exact: 2, near: 0, loose: 0 }, misses: { y: 1, unknown: 1 }, throttled: 1, ambiguous: 0, synthetic: 0 },
    });
  });

  it('takes a recording without content as a miss unless made-up replies will do', () => {
    const bare = modelEntry('k', 'x');
    const { content: _, ...reply } = bare.reply;
    const entry = modelEntry('k', 'x', { reply });
    const draw = (simulate: readonly string[]) => {
      const desk = createTapeDesk(createTape([entry]), { limits: {}, simulate: new Set(simulate) });
      return { found: desk.draw(asked('k'), 0).found, ...desk.stats().main };
    };
    expect(draw([])).toMatchObject({ found: 'miss', misses: { unknown: 1 }, synthetic: 0 });
    expect(draw(['main'])).toMatchObject({ found: 'hit', misses: {}, synthetic: 1 });
  });
});

describe('a prefix cache with a lifetime', () => {
  it('forgets what nobody used for so long, and keeps what is used', () => {
    let now = 0;
    const cache = createTimedPrefixCache(1_000, 100, () => now);
    cache.insert(['a', 'ab'], [10, 5]);
    now = 90;
    expect(cache.lookup(['a', 'ax'], [10, 7])).toBe(10);
    now = 150;
    expect(cache.lookup(['a', 'ab'], [10, 5])).toBe(10);
    now = 251;
    expect(cache.lookup(['a'], [10])).toBe(0);
    cache.insert(['a'], [10]);
    expect(cache.lookup(['a', 'ab'], [10, 5])).toBe(10);
  });

  it('without a lifetime forgets for want of room alone', () => {
    let now = 0;
    const cache = createTimedPrefixCache(20, 0, () => now);
    cache.insert(['a'], [10]);
    now = 1e9;
    expect(cache.lookup(['a'], [10])).toBe(10);
    cache.insert(['b', 'bc'], [10, 10]);
    expect(cache.lookup(['a'], [10])).toBe(0);
  });
});
