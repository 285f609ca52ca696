import { assumedBlockOverheadMs } from './budget.ts';
import type { StudyTiming } from './input.ts';

export interface BlockPlan {
  /** Blocks when every comparison is decided at the first look. */
  readonly blocks: number;
  readonly secondsLow: number;
  readonly secondsHigh: number;
}

/** Start of one arena, from a warm cache and few units to a cold one and many. */
const deploySeconds = { low: 1, high: 8 };

/**
 * What a study of so many arms (baseline and references included) will measure. Low: nothing is worth confirming.
 * High: all rounds are needed, and the winner meets baseline and best reference again.
 */
export function planBlocks(timing: StudyTiming, arms: number): BlockPlan {
  const blockSeconds = (timing.warmupMs + timing.durationMs + assumedBlockOverheadMs) / 1000;
  const profile = 1;
  const low = profile + arms * timing.minRounds;
  const high = profile + arms * timing.maxRounds + Math.min(3, arms) * timing.maxRounds;
  return {
    blocks: low + Math.min(2, arms) * timing.minRounds,
    secondsLow: Math.round(low * blockSeconds + 2 * deploySeconds.low),
    secondsHigh: Math.round(high * blockSeconds + 3 * deploySeconds.high),
  };
}

export interface RoundPlan {
  /** How many of the arms, in the order given, take part. */
  readonly arms: number;
  readonly minRounds: number;
  readonly maxRounds: number;
}

/**
 * Rounds that fit into the time: all arms if that leaves the least number of rounds, else fewer arms (the last go
 * first, `leastArms` stay), else what is reserved for later is used up, else fewer rounds. No rounds when not even one
 * fits.
 */
export function planRounds(input: {
  readonly timing: StudyTiming;
  readonly arms: number;
  readonly leastArms: number;
  readonly blockMs: number;
  readonly availableMs: number;
  /** Kept of it for what comes after. */
  readonly reserveMs: number;
}): RoundPlan {
  const { timing, blockMs, availableMs, reserveMs } = input;
  const roundsFor = (arms: number, ms: number) => Math.max(0, Math.floor(ms / (arms * blockMs)));
  let arms = input.arms;
  while (arms > input.leastArms && roundsFor(arms, availableMs - reserveMs) < timing.minRounds) arms -= 1;
  const kept = roundsFor(arms, availableMs - reserveMs);
  const rounds = kept < timing.minRounds ? Math.min(timing.minRounds, roundsFor(arms, availableMs)) : kept;
  const maxRounds = Math.min(timing.maxRounds, rounds);
  return { arms, minRounds: Math.min(timing.minRounds, maxRounds), maxRounds };
}
