import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallError } from '../../../compiler/contracts/call-errors.ts';
import { Cancellation, ownCancellation } from '../../../runtime/agent/cancellation.ts';
import { type Pass, Slots } from '../../../runtime/agent/slots.ts';

const forEver = () => new Cancellation(new AbortController().signal, Number.POSITIVE_INFINITY);

describe('slots', () => {
  it('never hold more than the limit, lose none and keep the order of waiting, whatever comes', async () => {
    const event = fc.oneof(fc.constant('enter' as const), fc.constant('leave' as const), fc.constant('abort' as const));
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 3 }),
        fc.array(event, { maxLength: 40 }),
        async (limit, queue, events) => {
          const slots = new Slots('agent', limit, queue);
          const running: Pass[] = [];
          const waiting: { id: number; pass: Pass; abort: () => void }[] = [];
          const granted: number[] = [];
          let next = 0;
          for (const kind of events) {
            if (kind === 'enter') {
              const id = next++;
              const own = ownCancellation(Number.POSITIVE_INFINITY);
              const free = slots.inUse < limit;
              const full = slots.waiting >= queue;
              try {
                const pass = slots.enter(own.cancellation, false);
                expect(pass.ready === undefined).toBe(free);
                if (pass.ready === undefined) running.push(pass);
                else {
                  const entry = { id, pass, abort: () => own.abort(new CallError({ code: 'cancelled', message: 'gone' })) };
                  waiting.push(entry);
                  pass.ready.then(
                    () => {
                      granted.push(id);
                      running.push(pass);
                    },
                    () => pass.release(),
                  );
                }
              } catch (error) {
                expect((error as CallError).value).toMatchObject({ code: 'overloaded', neverStarted: true });
                expect([free, full]).toEqual([false, true]);
              }
            } else if (kind === 'leave') running.shift()?.release();
            else waiting.pop()?.abort();
            await Promise.resolve();
            await Promise.resolve();
            expect(slots.inUse).toBeLessThanOrEqual(limit);
            expect(slots.waiting).toBeLessThanOrEqual(queue);
            expect(slots.inUse).toBe(running.length);
          }
          expect(granted).toEqual([...granted].sort((a, b) => a - b));
        },
      ),
    );
  });

  it('gives a re-entrant turn a slot beyond the limit, and none to others until they are below it again', async () => {
    const slots = new Slots('agent', 1, 5);
    const outer = slots.enter(forEver(), false);
    const inner = slots.enter(forEver(), true);
    const third = slots.enter(forEver(), false);
    let third_ready = false;
    third.ready?.then(() => {
      third_ready = true;
    });
    inner.release();
    await Promise.resolve();
    expect([slots.inUse, third_ready]).toEqual([1, false]);
    outer.release();
    await third.ready;
    expect([slots.inUse, third_ready]).toEqual([1, true]);
  });

  it('releases once, however often it is told to', () => {
    const slots = new Slots('agent', 2, 0);
    const pass = slots.enter(forEver(), false);
    slots.enter(forEver(), false);
    pass.release();
    pass.release();
    expect(slots.inUse).toBe(1);
  });
});
