import type { Block } from '../../compiler/contracts/index.ts';
import { blocksOf } from '../study/recorder.ts';
import { type Arm, type BenchTools, gpusOf, hasFailed, openBench } from './bench.ts';
import { armOrder, blockId, type RacePhase, roundSeed } from './schedule.ts';

export interface RoundsInput {
  readonly phase: RacePhase;
  readonly arms: readonly Arm[];
  readonly minRounds: number;
  readonly maxRounds: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  readonly samplingRatio: number;
  readonly seed: number;
  /** Time kept for what comes after; only the first `minRounds` may use it. */
  readonly reserveMs: number;
  /**
   * Which arms need another round, from the blocks so far. Asked after each round from `minRounds` on; none ends the
   * phase. It must depend on the blocks alone, so that a resumed study asks and answers the same.
   */
  readonly stillOpen: (blocks: readonly Block[]) => readonly string[];
}

/** Blocks that could not measure are repeated at most this often per arm and phase: a busy host stays busy. */
const repeatsPerArm = 2;

/**
 * Runs the rounds of a phase, arms interleaved, on one fresh set of deployments. What the journal has is not run again;
 * a failed arm drops out; a block that could not measure is repeated once if the budget allows. Returns all blocks of
 * the phase. A budget that ends it is written down as `capped`.
 */
export async function runRounds(input: RoundsInput, tools: BenchTools): Promise<readonly Block[]> {
  const { phase, arms, minRounds, maxRounds } = input;
  const { recorder, budget } = tools;
  const bench = openBench(arms, tools);
  const isCapped = () => recorder.find('capped', (entry) => entry.phase === phase) !== undefined;
  try {
    for (let round = 0; round < maxRounds; round++) {
      const before = blocksOf(recorder.study, phase).filter((block) => block.round < round);
      const open = round < minRounds ? arms.map((arm) => arm.configurationId) : input.stillOpen(before);
      // What was begun in an earlier session was decided there.
      const begun = blocksOf(recorder.study, phase).some((block) => block.round >= round);
      const taking = arms.filter((arm) => open.includes(arm.configurationId));
      if (!begun) {
        const standing = taking.filter((arm) => !hasFailed(recorder, arm.configurationId));
        if (standing.length === 0 || isCapped()) break;
        const gpus = gpusOf(
          tools,
          arms.filter((arm) => !hasFailed(recorder, arm.configurationId)),
        );
        const broken = budget.wouldBreak(standing.length, round < minRounds ? 0 : input.reserveMs, gpus);
        if (broken !== null) {
          await recorder.record({ type: 'capped', phase, cap: broken.cap, detail: `after ${round} rounds: ${broken.detail}` });
          break;
        }
      }
      await runRound(round, taking, arms);
    }
  } finally {
    await bench.close();
  }
  return blocksOf(recorder.study, phase);

  async function runRound(round: number, taking: readonly Arm[], all: readonly Arm[]): Promise<void> {
    const order = armOrder(all, round).filter((arm) => taking.includes(arm));
    const run = (arm: Arm, attempt: number) =>
      bench.block(arm, {
        id: blockId(phase, round, arm.configurationId, attempt),
        purpose: phase,
        round,
        seed: roundSeed(input.seed, phase, round),
        warmupMs: input.warmupMs,
        durationMs: input.durationMs,
        samplingRatio: input.samplingRatio,
      });
    const unmeasured: Arm[] = [];
    for (const arm of order) {
      const outcome = await run(arm, 1);
      if (outcome !== null && !outcome.block.quality.valid) unmeasured.push(arm);
    }
    for (const arm of unmeasured) if (mayRepeat(round, arm)) await run(arm, 2);
  }

  function mayRepeat(round: number, arm: Arm): boolean {
    const blocks = blocksOf(recorder.study, phase);
    if (blocks.some((block) => block.id === blockId(phase, round, arm.configurationId, 2))) return true;
    if (blocks.some((block) => block.round > round)) return false;
    const repeated = blocks.filter((block) => block.id === blockId(phase, block.round, arm.configurationId, 2));
    return repeated.length < repeatsPerArm && budget.wouldBreak(1, input.reserveMs) === null;
  }
}
