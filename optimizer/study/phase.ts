import type { Block } from '../../compiler/contracts/index.ts';
import type { Arm, BenchTools } from '../race/bench.ts';
import type { Goal, Standing } from '../race/evidence.ts';
import { runRounds } from '../race/rounds.ts';
import type { RacePhase } from '../race/schedule.ts';
import type { StudyInput } from './input.ts';
import { planRounds } from './plan.ts';
import { defaultVerdictSampling } from './profiling.ts';
import type { EntryOf } from './recorder.ts';
import { trialArms } from './trials.ts';

/** Fixes who takes part and how many rounds fit, before the first block; `reserveMs` is kept for what comes after. */
export async function planPhase(
  phase: RacePhase,
  arms: readonly Arm[],
  reserveMs: number,
  input: StudyInput,
  tools: BenchTools,
): Promise<EntryOf<'planned'>> {
  const { recorder, budget, context } = tools;
  return recorder.once(
    'planned',
    (entry) => entry.phase === phase,
    () => {
      const plan = planRounds({
        timing: input.timing,
        arms: arms.length,
        leastArms: Math.min(2, arms.length),
        blockMs: budget.blockMs(),
        availableMs: budget.remainingMs() - budget.deployMs(),
        reserveMs,
      });
      const left = arms.slice(plan.arms).map((arm) => arm.label);
      if (left.length > 0) context.emit({ type: 'notice', severity: 'warning', message: `no time to measure ${left.join(', ')}` });
      const { minRounds, maxRounds } = plan;
      return { type: 'planned', phase, arms: arms.slice(0, plan.arms).map((arm) => arm.configurationId), minRounds, maxRounds };
    },
  );
}

/** What a phase asks of its blocks, and nothing else, so that a resumed study asks and answers the same. */
export interface Questions {
  /** Arms that need another round; none ends the phase. */
  readonly open: (blocks: readonly Block[]) => readonly string[];
  /** Whether the verdict itself is open; a time budget that leaves it so is written down. */
  readonly undecided: (blocks: readonly Block[]) => boolean;
}

/** Runs the rounds of a planned phase on fresh deployments. */
export async function runPhase(
  plan: EntryOf<'planned'>,
  reserveMs: number,
  questions: Questions,
  input: StudyInput,
  tools: BenchTools,
): Promise<readonly Block[]> {
  const { phase, minRounds, maxRounds } = plan;
  const trials = trialArms(tools);
  const blocks = await runRounds(
    {
      phase,
      arms: plan.arms.flatMap((id) => trials.find((arm) => arm.configurationId === id) ?? []),
      minRounds,
      maxRounds,
      warmupMs: input.timing.warmupMs,
      durationMs: input.timing.durationMs,
      samplingRatio: input.verdictSampling ?? defaultVerdictSampling,
      seed: tools.context.seed,
      reserveMs,
      stillOpen: questions.open,
    },
    tools,
  );
  if (maxRounds < input.timing.maxRounds && questions.undecided(blocks)) {
    const detail = `${maxRounds} of ${input.timing.maxRounds} rounds fit into ${Math.round(input.budget.timeMs / 1000)} s`;
    await tools.recorder.once(
      'capped',
      (entry) => entry.phase === phase,
      () => ({ type: 'capped', cap: 'time', phase, detail }),
    );
  }
  return blocks;
}

/**
 * Arms that need another round: none when all is settled, else all but those out of the running. A pure function of the
 * evidence, so that a resumed study asks and answers the same.
 */
export function openArms(standings: readonly Standing[], baselineId: string, goal: Goal): readonly string[] {
  const isOut = (standing: Standing) => standing.limits === false || standing.verdict === 'worse' || standing.verdict === 'same';
  const limitsOpen = (standing: Standing) => goal.slo.length > 0 && standing.limits === null;
  const baseline = standings.find((standing) => standing.configurationId === baselineId);
  const challengers = standings.filter((standing) => standing.configurationId !== baselineId);
  // A baseline that breaks a limit gives way whatever the objective says, so only the limits are in question then.
  const baselineBreaks = baseline?.limits === false;
  const running = challengers.filter((standing) => (baselineBreaks ? standing.limits !== false : !isOut(standing)));
  const unsettled = running.some((standing) => limitsOpen(standing) || (!baselineBreaks && standing.verdict === 'inconclusive'));
  const baselineOpen = baseline !== undefined && running.length > 0 && limitsOpen(baseline);
  if (!unsettled && !baselineOpen) return [];
  return [...(baseline === undefined ? [] : [baselineId]), ...running.map((standing) => standing.configurationId)];
}
