import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { armOrder, blockId, roundSeed } from '../../../optimizer/race/schedule.ts';
import { planRounds } from '../../../optimizer/study/plan.ts';

describe('armOrder', () => {
  it('is A B, B A, B A, A B for two arms', () => {
    expect([0, 1, 2, 3].map((round) => armOrder(['A', 'B'], round).join(''))).toEqual(['AB', 'BA', 'BA', 'AB']);
  });

  it('runs each arm once a round, and gives every arm the same mean position over a full turn', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 0, max: 30 }), (count, start) => {
        const arms = Array.from({ length: count }, (_, i) => i);
        const positions = arms.map(() => 0);
        for (let round = 2 * start; round < 2 * (start + count); round++) {
          const order = armOrder(arms, round);
          expect([...order].sort((a, b) => a - b)).toEqual(arms);
          for (const [position, arm] of order.entries()) positions[arm] = (positions[arm] ?? 0) + position;
        }
        expect(new Set(positions).size).toBe(1);
      }),
    );
    expect(armOrder([], 3)).toEqual([]);
  });

  it('mirrors every second round, so that a steady drift cancels', () => {
    expect(armOrder(['a', 'b', 'c', 'd'], 5)).toEqual([...armOrder(['a', 'b', 'c', 'd'], 4)].reverse());
  });
});

describe('seeds and ids', () => {
  it('are those of the decision: equal for equal ones, different for different ones', () => {
    expect(roundSeed(1, 'race', 2)).toBe(roundSeed(1, 'race', 2));
    const seeds = new Set([roundSeed(1, 'race', 2), roundSeed(1, 'race', 3), roundSeed(1, 'confirm', 2), roundSeed(2, 'race', 2)]);
    expect(seeds.size).toBe(4);
    const made = new Set([
      blockId('race', 1, 'x'),
      blockId('race', 1, 'x', 2),
      blockId('race', 2, 'x'),
      blockId('confirm', 1, 'x'),
      blockId('race', 1, 'y'),
    ]);
    expect(made.size).toBe(5);
    expect(blockId('race', 1, 'x', 1)).toBe(blockId('race', 1, 'x'));
  });
});

describe('planRounds', () => {
  const timing = { warmupMs: 1000, durationMs: 4000, minRounds: 3, maxRounds: 6 };
  const plan = (availableMs: number, reserveMs = 0) => planRounds({ timing, arms: 5, leastArms: 2, blockMs: 1000, availableMs, reserveMs });

  it('shrinks in the order rounds, arms, reserve, least rounds', () => {
    expect(plan(100_000)).toEqual({ arms: 5, minRounds: 3, maxRounds: 6 });
    expect(plan(21_000)).toEqual({ arms: 5, minRounds: 3, maxRounds: 4 });
    expect(plan(13_000)).toEqual({ arms: 4, minRounds: 3, maxRounds: 3 });
    expect(plan(14_000, 8_000)).toEqual({ arms: 2, minRounds: 3, maxRounds: 3 });
    expect(plan(12_000, 9_000)).toEqual({ arms: 2, minRounds: 3, maxRounds: 3 });
    expect(plan(5_000)).toEqual({ arms: 2, minRounds: 2, maxRounds: 2 });
    expect(plan(-1)).toEqual({ arms: 2, minRounds: 0, maxRounds: 0 });
  });

  it('never plans longer than there is time', () => {
    fc.assert(
      fc.property(fc.integer({ min: -5_000, max: 60_000 }), fc.integer({ min: 0, max: 30_000 }), (availableMs, reserveMs) => {
        const { arms, minRounds, maxRounds } = plan(availableMs, reserveMs);
        expect(arms * maxRounds * 1000).toBeLessThanOrEqual(Math.max(0, availableMs));
        expect(minRounds).toBeLessThanOrEqual(maxRounds);
      }),
    );
  });
});
