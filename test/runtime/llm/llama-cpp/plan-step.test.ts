import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseSlot, planStep } from '../../../../runtime/llm/llama-cpp/plan-step.ts';

const running = fc.array(fc.record({ promptLeft: fc.oneof(fc.constant(0), fc.nat(900)) }), { maxLength: 16 });

describe('planStep', () => {
  it('gives every decode its token and the rest to prompts, first come first served', () => {
    fc.assert(
      fc.property(running, fc.integer({ min: 16, max: 600 }), (jobs, batchTokens) => {
        const shares = planStep(jobs, batchTokens);
        const total = shares.reduce((sum, share) => sum + share, 0);
        expect(shares).toHaveLength(jobs.length);
        expect(total).toBeLessThanOrEqual(batchTokens);
        let short = false;
        jobs.forEach(({ promptLeft }, index) => {
          if (promptLeft === 0) expect(shares[index]).toBe(1);
          // Once a prompt was cut, the later ones get nothing.
          else if (short) expect(shares[index]).toBe(0);
          else short = (shares[index] ?? 0) < promptLeft;
        });
        // Nothing is left unused while a prompt waits.
        if (short) expect(total).toBe(batchTokens);
      }),
    );
  });

  it('fills a batch of 8 as documented', () => {
    expect(planStep([{ promptLeft: 5 }, { promptLeft: 0 }, { promptLeft: 7 }, { promptLeft: 2 }], 8)).toEqual([5, 1, 2, 0]);
  });
});

describe('chooseSlot', () => {
  it('takes the longest shared beginning in blocks of 16, then the one unused for longest', () => {
    const tokens = fc.array(fc.nat(9), { maxLength: 2 }).map((ends) => [...Array(40).fill(1), ...ends]);
    const cut = fc.tuple(tokens, fc.nat(42)).map(([all, length]) => all.slice(0, length));
    const slots = fc.uniqueArray(fc.record({ held: cut, lastUsed: fc.nat(50) }), { selector: ({ lastUsed }) => lastUsed, maxLength: 6 });
    fc.assert(
      fc.property(slots, cut, (idle, prompt) => {
        fc.pre(prompt.length > 0);
        const choice = chooseSlot(idle, prompt);
        if (idle.length === 0) {
          expect(choice).toBeUndefined();
          return;
        }
        const sharedWith = (held: readonly number[]) => {
          const different = prompt.findIndex((token, index) => held[index] !== token);
          return Math.min(different < 0 ? prompt.length : different, prompt.length - 1);
        };
        const blocksOf = (held: readonly number[]) => Math.floor(sharedWith(held) / 16);
        const most = Math.max(...idle.map(({ held }) => blocksOf(held)));
        const oldest = Math.min(...idle.filter(({ held }) => blocksOf(held) === most).map(({ lastUsed }) => lastUsed));
        const chosen = idle[choice?.index ?? -1];
        expect(chosen?.lastUsed).toBe(oldest);
        expect(choice?.shared).toBe(sharedWith(chosen?.held ?? []));
      }),
    );
  });
});
