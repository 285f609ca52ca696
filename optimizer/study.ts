import { configurationId, fail, type StageContext, type Study, type TrialRole, weakest } from '../compiler/contracts/index.ts';
import { type BenchTools, Interrupted, leave } from './race/bench.ts';
import { decide } from './race/decide.ts';
import { goalOf } from './race/evidence.ts';
import { servingSentence } from './serving-sentence.ts';
import { createBudget } from './study/budget.ts';
import type { StudyInput } from './study/input.ts';
import { planBlocks } from './study/plan.ts';
import { profileLayouts } from './study/profiling.ts';
import { confirmChoice, type Race, raceLayouts } from './study/racing.ts';
import { createRecorder, type Recorder } from './study/recorder.ts';
import { searchCandidates, tellHeadroom } from './study/searching.ts';
import { addTrial, describeTrial, labelOf, trialArms } from './study/trials.ts';

/**
 * Profiles what runs today, says how much there is to gain, searches, races the best against the plain layouts, proves
 * the winner on fresh deployments, and decides. A function of the journal and of what is measured: every decision is an
 * entry, and what stands in the journal is not done again.
 *
 * Failed trials and Ctrl-C are part of the study that comes back; thrown are only a full disk and a journal of another
 * scenario.
 *
 * @throws DmasError DMAS_ENV_DISK, DMAS_RUN_CORRUPT
 */
export async function runStudy(input: StudyInput, context: StageContext): Promise<Study> {
  const recorder = createRecorder(input.journal, context.now);
  if (recorder.find('study-ended') !== undefined) return recorder.study;
  const tools = await startOrResume(input, context, recorder);
  try {
    await goThrough(input, tools);
    await leave(tools);
    await recorder.record({ type: 'study-ended' });
  } catch (error) {
    if (!(error instanceof Interrupted) && !isAbort(error, context)) {
      await input.laboratory.close?.().catch(() => undefined);
      throw error;
    }
    await leave(tools);
    await recorder.record({ type: 'interrupted', reason: reasonOf(context.signal) });
  }
  return recorder.study;
}

/** What a planning function throws when the user stops it: the reason of the signal, or what Node.js throws in its place. */
const isAbort = (error: unknown, { signal }: StageContext) =>
  signal.aborted && (error === signal.reason || (error as Error | undefined)?.name === 'AbortError');

const reasonOf = ({ reason }: AbortSignal): string => (reason instanceof Error ? reason.message : String(reason ?? 'stopped'));

async function goThrough(input: StudyInput, tools: BenchTools): Promise<void> {
  const goal = goalOf(input.scenario.config);
  await addBaseline(input, tools);
  const profiled = await profileLayouts(input, tools);
  if (profiled === null) return recordDecision(input, tools, null, null);
  await tellHeadroom(input, profiled, tools);
  await searchCandidates(input, profiled, tools);
  const race = await raceLayouts(input, goal, tools);
  const confirmation = await confirmChoice(input, goal, race, tools);
  return recordDecision(input, tools, race, confirmation);
}

async function startOrResume(input: StudyInput, context: StageContext, recorder: Recorder): Promise<BenchTools> {
  const { studyId, toolVersion, machine, scenario, timing } = input;
  const started = recorder.find('study-started');
  if (started === undefined) {
    const { sha256: scenarioSha256 } = scenario;
    await recorder.record({ type: 'study-started', schemaVersion: 1, studyId, seed: context.seed, toolVersion, scenarioSha256, machine });
  } else {
    if (started.scenarioSha256 !== scenario.sha256 || started.seed !== context.seed) {
      fail('DMAS_RUN_CORRUPT', 'the scenario or its seed has changed since this run was started', { fix: 'Start a new run.' });
    }
    await recorder.record({ type: 'study-resumed', toolVersion });
  }
  context.emit({ type: 'plan', ...planBlocks(timing, armsOf(input)) });
  return { laboratory: input.laboratory, recorder, context, budget: createBudget(recorder, input.budget, timing) };
}

/** Most layouts the race may have: baseline, plain layouts that differ from it, candidates. */
function armsOf(input: StudyInput): number {
  const { allInOne, onePerAgent } = input.references();
  const plain = [input.baseline, allInOne, onePerAgent].filter((layout) => layout !== null).map(configurationId);
  return Math.min(input.budget.trials, new Set(plain).size + input.scenario.config.search.candidates);
}

/** The baseline is trial 0, whatever else it is. */
async function addBaseline(input: StudyInput, tools: BenchTools): Promise<void> {
  const { allInOne, onePerAgent } = input.references();
  const id = configurationId(input.baseline);
  const is = (other: typeof allInOne) => other !== null && configurationId(other) === id;
  const roles: TrialRole[] = [
    'baseline',
    ...(is(allInOne) ? ['all-in-one' as const] : []),
    ...(is(onePerAgent) ? ['one-per-agent' as const] : []),
  ];
  await addTrial(tools, input.baseline, roles);
}

async function recordDecision(
  input: StudyInput,
  tools: BenchTools,
  race: Race | null,
  confirmation: Awaited<ReturnType<typeof confirmChoice>>,
): Promise<void> {
  const { recorder, context } = tools;
  const trials = trialArms(tools);
  const label = (id: string) => trials.find((arm) => arm.configurationId === id)?.label ?? labelOf(trials.length, []);
  const capped = recorder.all('capped').at(-1)?.detail;
  const { winner, sentence } = await recorder.once(
    'decided',
    () => true,
    () => ({
      type: 'decided',
      ...decide({
        goal: goalOf(input.scenario.config),
        baselineId: configurationId(input.baseline),
        challengers: race?.challengers ?? [],
        nothingMeasured: race === null || race.validBlocks === 0,
        faults: faultsOf(recorder),
        raceComparisons: race?.comparisons ?? [],
        choice: race?.choice ?? null,
        confirmation,
        labelOf: label,
        describe: (id) =>
          describeTrial(
            trials.find((arm) => arm.configurationId === id),
            label(id),
          ),
        serving: (id) => servingOf(input, tools, id),
        ...(race?.baselineFailure === undefined ? {} : { baselineFailure: race.baselineFailure }),
        ...(capped === undefined ? {} : { capped }),
      }),
    }),
  );
  context.emit({ type: 'best', label: label(winner), sentence });
}

function servingOf(input: StudyInput, { recorder }: BenchTools, id: string): string | undefined {
  const trial = recorder.all('trial-added').find((entry) => entry.configurationId === id);
  if (trial === undefined) return undefined;
  const blocks = [...recorder.study.blocks.values()].filter((block) => block.configurationId === id);
  return servingSentence({
    before: input.baseline,
    after: trial.configuration,
    pricing: input.scenario.config.prices,
    provenance: weakest(blocks.map((block) => block.provenance)),
    prediction: trial.prediction,
  });
}

/** What kept layouts or blocks from being measured, each once. */
function faultsOf(recorder: Recorder): readonly string[] {
  const failures = recorder.all('trial-failed').map((entry) => entry.message);
  const faults = [...recorder.study.blocks.values()].flatMap((block) => block.quality.faults.map(({ fault }) => fault));
  return [...new Set([...failures, ...faults])];
}
