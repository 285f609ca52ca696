import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Cancellation } from '../../../runtime/agent/cancellation.ts';
import type { Delivery } from '../../../runtime/agent/delivery.ts';
import { Inbox } from '../../../runtime/agent/inbox.ts';
import { type Clock, emptyClock, sourceOf } from '../../../runtime/agent/scope.ts';

function message(topic: string, from: string, sequence: number, clock: Clock = emptyClock, conversation = 'c'): Delivery {
  const cancellation = new Cancellation(new AbortController().signal, Number.POSITIVE_INFINITY);
  return {
    from,
    to: 'editor',
    channel: `topic:${topic}`,
    pattern: 'publish',
    body: `${topic}${sequence}`,
    topic: { name: topic, conversation, sequence, publisher: 'i' },
    scope: {
      requestId: 'r',
      requestClass: undefined,
      sessionId: conversation,
      origin: undefined,
      cancellation,
      ancestors: [],
      trace: { context: undefined, headers: {} },
      clock,
    },
  };
}

const draft = sourceOf('draft', 'writer', 'i');
const done = () => {};
const settle = () => new Promise((resolve) => setImmediate(resolve));
afterEach(() => void vi.useRealTimers());

function inbox(limit = 100, hears: (source: string) => boolean = () => true) {
  const seen: string[] = [];
  const box = new Inbox('editor', limit, async ({ body }) => void seen.push(String(body)), hears);
  return { box, seen };
}

describe('an inbox', () => {
  it('holds a message until the one that caused it was handled', async () => {
    const { box, seen } = inbox();
    box.accept(message('review', 'reviewer', 1, { [draft]: 1 }), done);
    await settle();
    expect(seen).toEqual([]);
    box.accept(message('draft', 'writer', 1), done);
    await settle();
    expect(seen).toEqual(['draft1', 'review1']);
  });

  it('waits for no message that would not come here', async () => {
    const { box, seen } = inbox(100, () => false);
    box.accept(message('review', 'reviewer', 1, { [draft]: 1 }), done);
    await settle();
    expect(seen).toEqual(['review1']);
  });

  it('goes on without a cause that does not come in time', async () => {
    vi.useFakeTimers();
    const { box, seen } = inbox();
    box.accept(message('review', 'reviewer', 1, { [draft]: 1 }), done);
    await vi.advanceTimersByTimeAsync(900);
    expect(seen).toEqual([]);
    await vi.advanceTimersByTimeAsync(200);
    expect(seen).toEqual(['review1']);
  });

  it('drops a repetition, and calls it accepted', async () => {
    const { box, seen } = inbox();
    const finished = vi.fn();
    box.accept(message('draft', 'writer', 2), done);
    box.accept(message('draft', 'writer', 2), finished);
    await settle();
    expect([seen, finished.mock.calls.length]).toEqual([['draft2'], 1]);
  });

  it('refuses beyond its limit, and takes again when there is room', async () => {
    const { box, seen } = inbox(1);
    box.accept(message('draft', 'writer', 1), done);
    expect(() => box.accept(message('draft', 'writer', 2), done)).toThrowError(/queue of editor is full/);
    await settle();
    box.accept(message('draft', 'writer', 2), done);
    await settle();
    expect(seen).toEqual(['draft1', 'draft2']);
  });

  it('handles what one publisher says in order and causes first, in whatever order sources interleave', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }), async (reviewsFirst) => {
        const { box, seen } = inbox();
        let drafts = 0;
        let reviews = 0;
        // Drafts come in their order, each review caused by the draft of its number; the two streams interleave at will.
        for (const review of [...reviewsFirst, ...reviewsFirst.map((first) => !first)]) {
          if (review) box.accept(message('review', 'reviewer', ++reviews, { [draft]: reviews }), done);
          else box.accept(message('draft', 'writer', ++drafts), done);
          if (review === (drafts % 2 === 0)) await settle();
        }
        await settle();
        await settle();
        const place = (name: string) => seen.indexOf(name);
        expect(seen.length).toBe(reviewsFirst.length * 2);
        for (let n = 1; n <= reviewsFirst.length; n++) {
          expect(place(`draft${n}`)).toBeLessThan(place(`review${n}`));
          if (n > 1) expect(place(`draft${n - 1}`)).toBeLessThan(place(`draft${n}`));
          if (n > 1) expect(place(`review${n - 1}`)).toBeLessThan(place(`review${n}`));
        }
      }),
    );
  });
});
