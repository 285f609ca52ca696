import { type Block, deriveSeed, type Profile, type ProtocolPrice, type SpanRecord } from '../../compiler/contracts/index.ts';
import { type Arm, type BenchTools, hasFailed, openBench } from '../race/bench.ts';
import type { StudyInput } from './input.ts';
import { addTrial, trialArms } from './trials.ts';

export interface Profiled {
  readonly profile: Profile;
  readonly prices: readonly ProtocolPrice[];
  readonly blocks: readonly Block[];
}

/**
 * Profiles the baseline, or the first plain layout that runs when the baseline does not, and measures its capacity on
 * the same deployment when asked. Null when nothing could be profiled.
 */
export async function profileLayouts(input: StudyInput, tools: BenchTools): Promise<Profiled | null> {
  const { recorder, context } = tools;
  context.emit({ type: 'phase', phase: 'prices', title: 'Price of a hop per protocol' });
  const { prices } = await recorder.once(
    'prices-measured',
    () => true,
    async () => ({ type: 'prices-measured', prices: (await input.planning.prices?.(context.signal)) ?? [] }),
  );
  context.emit({ type: 'phase', phase: 'profile', title: 'Profile of the present layout' });
  const [baseline] = trialArms(tools);
  if (baseline === undefined) throw new RangeError('a study has a baseline');
  const known = recorder.find('profiled')?.profile.configurationId;
  if (known === undefined || known === baseline.configurationId) {
    const found = await profileOne(input, baseline, tools);
    if (found !== null) return { ...found, prices };
  }
  for (const arm of await addReferences(input, tools)) {
    const found = await profileOne(input, arm, tools);
    if (found !== null) return { ...found, prices };
  }
  return null;
}

/** The plain layouts, which the race needs anyway, one of which may run where the baseline does not. */
async function addReferences(input: StudyInput, tools: BenchTools): Promise<readonly Arm[]> {
  const { allInOne, onePerAgent } = input.references();
  if (allInOne !== null) await addTrial(tools, allInOne, ['all-in-one']);
  if (onePerAgent !== null) await addTrial(tools, onePerAgent, ['one-per-agent']);
  return trialArms(tools).slice(1);
}

async function profileOne(input: StudyInput, arm: Arm, tools: BenchTools): Promise<Omit<Profiled, 'prices'> | null> {
  const { recorder, context } = tools;
  const bench = openBench([arm], tools);
  try {
    const spans = new Map<string, readonly SpanRecord[]>();
    const run = async (attempt: number): Promise<Block | null> => {
      const outcome = await bench.block(arm, {
        id: `profile-0-${arm.configurationId}${attempt === 1 ? '' : `-${attempt}`}`,
        purpose: 'profile',
        round: 0,
        seed: deriveSeed(context.seed, 'profile'),
        warmupMs: input.timing.warmupMs,
        durationMs: input.timing.durationMs,
        samplingRatio: 1,
        rateScale: input.profileRateScale ?? 1,
      });
      if (outcome?.spans) spans.set(outcome.block.id, outcome.spans);
      return outcome?.block ?? null;
    };
    const first = await run(1);
    const known = recorder.find('profiled');
    const second = first !== null && !first.quality.valid && mayRepeat(first, known?.profile, tools) ? await run(2) : null;
    const measured = [first, second].filter((block) => block !== null);
    const valid = measured.filter((block) => block.quality.valid);
    // A profile only picks candidates; one from a busy host is better than none, verdicts are guarded later.
    const blocks = valid.length > 0 ? valid : measured.filter(hasAnswers).slice(-1);
    if (blocks.length === 0) {
      if (first !== null) await giveUp(arm, measured, tools);
      return null;
    }
    const entry = await recorder.once(
      'profiled',
      () => true,
      async () => {
        const ofBlocks = await Promise.all(blocks.map(async (block) => spans.get(block.id) ?? input.planning.spansOf(block.id)));
        return { type: 'profiled', profile: await input.planning.profile(blocks, ofBlocks.flat()) };
      },
    );
    if (input.capacityClients !== undefined) await measureCapacity(input, arm, input.capacityClients, bench, tools);
    return { profile: entry.profile, blocks };
  } finally {
    await bench.close();
  }
}

const hasAnswers = (block: Block): boolean => Object.values(block.classes).some((result) => result.ok > 0);

function mayRepeat(first: Block, known: Profile | undefined, tools: BenchTools): boolean {
  if (known !== undefined) return tools.recorder.study.blocks.has(`${first.id}-2`);
  return tools.budget.wouldBreak(1) === null;
}

async function giveUp(arm: Arm, blocks: readonly Block[], tools: BenchTools): Promise<void> {
  const reasons = blocks.flatMap((block) => block.quality.faults.map(({ fault, detail }) => `${fault}: ${detail}`));
  const message = `gave no right answer under load (${[...new Set(reasons)].join('; ') || 'no reason known'})`;
  const { configurationId, label } = arm;
  if (hasFailed(tools.recorder, configurationId)) return;
  await tools.recorder.record({ type: 'trial-failed', configurationId, code: 'DMAS_DEPLOY_FAILED', message });
  tools.context.emit({ type: 'trial-failed', configurationId, label, message });
}

async function measureCapacity(
  input: StudyInput,
  arm: Arm,
  clients: number,
  bench: ReturnType<typeof openBench>,
  tools: BenchTools,
): Promise<void> {
  const { recorder, context } = tools;
  if (recorder.find('capacity-measured') !== undefined) return;
  context.emit({ type: 'phase', phase: 'capacity', title: 'Capacity of the present layout' });
  const outcome = await bench.block(arm, {
    id: `capacity-0-${arm.configurationId}`,
    purpose: 'capacity',
    round: 0,
    seed: deriveSeed(context.seed, 'capacity'),
    warmupMs: input.timing.warmupMs,
    durationMs: input.timing.durationMs,
    samplingRatio: input.verdictSampling ?? defaultVerdictSampling,
    closedClients: clients,
  });
  if (outcome === null) return;
  const requestsPerSecond = Object.values(outcome.block.classes).reduce((sum, result) => sum + result.throughputPerSecond, 0);
  await recorder.record({ type: 'capacity-measured', configurationId: arm.configurationId, requestsPerSecond, clients });
}

/** Overhead of tracing stays within 2 % at this rate. */
export const defaultVerdictSampling = 0.05;
