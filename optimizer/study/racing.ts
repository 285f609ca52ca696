import { type Block, type Comparison, configurationId } from '../../compiler/contracts/index.ts';
import { limitsHold } from '../../profiler/stats/limits.ts';
import { looksOf } from '../../profiler/stats/paired.ts';
import { type BenchTools, hasFailed } from '../race/bench.ts';
import { bestReference, type Choice, chooseForConfirmation } from '../race/choose.ts';
import type { Confirmation } from '../race/decide.ts';
import { compareArms, type Goal, objectiveVerdict, type Standing, standingOf } from '../race/evidence.ts';
import type { StudyInput } from './input.ts';
import { openArms, planPhase, runPhase } from './phase.ts';
import { blocksOf, type EntryOf, type Recorder } from './recorder.ts';
import { type TrialArm, trialArms } from './trials.ts';

export interface Race {
  readonly challengers: readonly Standing[];
  readonly comparisons: readonly Comparison[];
  readonly choice: Choice | null;
  readonly bestReferenceId: string;
  /** Why the baseline did not run; absent when it did. */
  readonly baselineFailure?: string;
  readonly validBlocks: number;
}

/** Baseline, plain layouts and candidates against each other, interleaved; and who is worth confirming. */
export async function raceLayouts(input: StudyInput, goal: Goal, tools: BenchTools): Promise<Race> {
  const { recorder, budget, context } = tools;
  context.emit({ type: 'phase', phase: 'race', title: 'Layouts against each other, interleaved' });
  const baselineId = configurationId(input.baseline);
  const arms = inRaceOrder(baselineId, recorder, tools);
  const reserveMs = budget.deployMs() + 2 * input.timing.minRounds * budget.blockMs();
  const plan = await planPhase(
    'race',
    arms.filter((arm) => !hasFailed(recorder, arm.configurationId)),
    reserveMs,
    input,
    tools,
  );
  const looks = looksOf(plan.minRounds, plan.maxRounds);
  const evidence = (blocks: readonly Block[]) => {
    // Where the baseline has nothing to show, the others are ranked against the first that has.
    const shown = plan.arms.filter((id) => blocks.some((block) => block.configurationId === id && block.quality.valid));
    const reference = shown.includes(baselineId) ? baselineId : (shown[0] ?? baselineId);
    const comparisons = compareArms({ blocks, reference, challengers: plan.arms.filter((id) => id !== reference), goal, looks });
    const standings = plan.arms.map((id) => standingOf(id, blocks, comparisons, goal));
    const open = reference === baselineId ? openArms(standings, baselineId, goal) : plan.arms;
    return { comparisons, standings, open };
  };
  const blocks = await runPhase(
    plan,
    reserveMs,
    { open: (sofar) => evidence(sofar).open, undecided: (sofar) => evidence(sofar).open.length > 0 },
    input,
    tools,
  );

  const { comparisons, standings } = evidence(blocks);
  const baseline = standings.find((standing) => standing.configurationId === baselineId) ?? standingOf(baselineId, [], [], goal);
  const others = standings.filter((standing) => standing.configurationId !== baselineId);
  const isReference = (id: string) => arms.some((arm) => arm.configurationId === id && arm.roles.some((role) => referenceRoles.has(role)));
  const best = bestReference(
    baseline,
    others.filter((standing) => isReference(standing.configurationId)),
  ).configurationId;
  const rest = plan.arms.filter((id) => id !== best && id !== baselineId);
  const againstBest = best === baselineId ? [] : compareArms({ blocks, reference: best, challengers: rest, goal, looks });
  const compared = await recorder.once(
    'compared',
    (entry) => entry.phase === 'race',
    () => ({ type: 'compared', phase: 'race', comparisons: [...comparisons, ...againstBest] }),
  );
  // As of the end of the race: what fails later must not change who was chosen.
  const failures = failuresBefore(recorder, compared);
  const baselineFailure = failures.get(baselineId);
  const challengers = inTrialOrder(others, arms).filter((standing) => !failures.has(standing.configurationId));
  const baselineFailed = baselineFailure !== undefined;
  const choice = chooseForConfirmation({ baseline, baselineFailed, challengers, margin: goal.margin });
  tellChoice(choice, arms, tools);
  return {
    challengers,
    comparisons: compared.comparisons,
    choice,
    bestReferenceId: best,
    ...(baselineFailed ? { baselineFailure } : {}),
    validBlocks: blocks.filter((block) => block.quality.valid).length,
  };
}
const referenceRoles: ReadonlySet<string> = new Set(['all-in-one', 'one-per-agent']);

/** The chosen layout, the baseline and the best plain layout once more, on deployments nobody has measured yet. */
export async function confirmChoice(input: StudyInput, goal: Goal, race: Race, tools: BenchTools): Promise<Confirmation | null> {
  const { choice, bestReferenceId } = race;
  if (choice === null) return null;
  tools.context.emit({ type: 'phase', phase: 'confirm', title: 'The winner again, on fresh deployments' });
  const { recorder } = tools;
  const baselineId = configurationId(input.baseline);
  const challengerId = choice.configurationId;
  const wanted = [...new Set([...(race.baselineFailure === undefined ? [baselineId] : []), challengerId, bestReferenceId])];
  const arms = wanted.flatMap((id) => trialArms(tools).find((arm) => arm.configurationId === id && !hasFailed(recorder, id)) ?? []);
  const plan = await planPhase('confirm', arms, 0, input, tools);
  const looks = looksOf(plan.minRounds, plan.maxRounds);
  const raced = blocksOf(recorder.study, 'race');
  const evidence = (blocks: readonly Block[]): Confirmation & { open: readonly string[]; undecided: boolean } => {
    const compareWith = (reference: string) => compareArms({ blocks, reference, challengers: [challengerId], goal, looks });
    const comparisons = compareWith(baselineId);
    const standing = (id: string): Standing => {
      const fresh = standingOf(id, blocks, comparisons, goal);
      // Limits are told from all blocks of the layout together, but never against what the fresh ones say.
      const limits = fresh.limits === false ? false : limitsHold(of(id, [...raced, ...blocks]), goal.slo);
      return { ...fresh, limits };
    };
    const [baseline, challenger] = [standing(baselineId), standing(challengerId)];
    const againstBest = [baselineId, challengerId].includes(bestReferenceId) ? [] : compareWith(bestReferenceId);
    const withoutBaseline = race.baselineFailure !== undefined;
    const undecided = withoutBaseline ? challenger.limits === null : openArms([baseline, challenger], baselineId, goal).length > 0;
    // A proven gain is also held against the best plain layout, as long as there are rounds left to do it.
    const proven = challenger.verdict === 'better' && challenger.limits === true;
    const unquoted = proven && againstBest.length > 0 && objectiveVerdict(againstBest, goal) === 'inconclusive';
    const open = undecided || (unquoted && plan.arms.includes(bestReferenceId)) ? plan.arms : [];
    return { baseline, challenger, comparisons: [...comparisons, ...againstBest], bestReferenceId, open, undecided };
  };
  const blocks = await runPhase(
    plan,
    0,
    { open: (sofar) => evidence(sofar).open, undecided: (sofar) => evidence(sofar).undecided },
    input,
    tools,
  );
  const { open: _open, undecided: _undecided, ...found } = evidence(blocks);
  const { comparisons } = await recorder.once(
    'compared',
    (entry) => entry.phase === 'confirm',
    () => ({ type: 'compared', phase: 'confirm', comparisons: found.comparisons }),
  );
  return { ...found, comparisons };
}

const reasons: { readonly [why in Choice['why']]: string } = {
  better: 'ahead of the baseline',
  'meets-limits': 'meets the limits the baseline breaks',
  promising: 'perhaps ahead of the baseline',
  'baseline-failed': 'runs where the baseline does not',
};

function tellChoice(choice: Choice | null, arms: readonly TrialArm[], tools: BenchTools): void {
  const [baseline] = arms;
  const label = arms.find((arm) => arm.configurationId === choice?.configurationId)?.label ?? baseline?.label ?? '';
  const sentence =
    choice === null ? 'No layout is ahead of the baseline' : `Best so far: ${label}, ${reasons[choice.why]}; to be confirmed`;
  tools.context.emit({ type: 'best', label, sentence });
}

const of = (id: string, blocks: readonly Block[]) => blocks.filter((block) => block.configurationId === id);

/** Baseline, the best candidate, the plain layouts, the other candidates: when time is short the last are left out. */
function inRaceOrder(baselineId: string, recorder: Recorder, tools: BenchTools): readonly TrialArm[] {
  const arms = trialArms(tools);
  const chosen = recorder.find('searched')?.chosen ?? [];
  const references = arms.filter((arm) => arm.roles.some((role) => referenceRoles.has(role))).map((arm) => arm.configurationId);
  const order = new Set([baselineId, ...chosen.slice(0, 1), ...references, ...chosen, ...arms.map((arm) => arm.configurationId)]);
  return [...order].flatMap((id) => arms.find((arm) => arm.configurationId === id) ?? []);
}

function inTrialOrder(standings: readonly Standing[], arms: readonly TrialArm[]): readonly Standing[] {
  const numberOf = (standing: Standing) => arms.find((arm) => arm.configurationId === standing.configurationId)?.number ?? arms.length;
  return [...standings].sort((a, b) => numberOf(a) - numberOf(b));
}

/** Message of each trial that had failed by then. */
function failuresBefore(recorder: Recorder, compared: EntryOf<'compared'>): ReadonlyMap<string, string> {
  const { entries } = recorder.study;
  const until = entries.slice(0, entries.indexOf(compared));
  return new Map(until.flatMap((entry) => (entry.type === 'trial-failed' ? [[entry.configurationId, entry.message] as const] : [])));
}
