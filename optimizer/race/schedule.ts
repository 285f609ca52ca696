import { deriveSeed } from '../../compiler/contracts/index.ts';

export type RacePhase = 'race' | 'confirm';

/**
 * Order of the arms in a round: every second round mirrors the one before (A B, B A), so that a steady drift cancels
 * over each pair of rounds, and every pair starts at the next arm, so that no arm always follows the same one.
 */
export function armOrder<T>(arms: readonly T[], round: number): readonly T[] {
  if (arms.length === 0) return [];
  const start = Math.floor(round / 2) % arms.length;
  const turned = [...arms.slice(start), ...arms.slice(0, start)];
  return round % 2 === 0 ? turned : turned.reverse();
}

/** All arms of a round meet the same arrivals, inputs and replies. */
export const roundSeed = (seed: number, phase: RacePhase, round: number): number => deriveSeed(seed, phase, round);

/** The same decision always has the same id, so that resume finds the block. `attempt` 1 is the first. */
export const blockId = (phase: RacePhase, round: number, configurationId: string, attempt = 1): string =>
  `${phase}-${round}-${configurationId}${attempt === 1 ? '' : `-${attempt}`}`;
