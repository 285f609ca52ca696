import { availableParallelism } from 'node:os';
import {
  attr,
  type Block,
  type Configuration,
  configurationId,
  type Prediction,
  type Profile,
  type ProtocolPrice,
  type SpanRecord,
} from '../compiler/contracts/index.ts';
import { createGrantsCounter } from '../compiler/plan/grants.ts';
import { explain } from '../optimizer/explain.ts';
import { computeHeadroom } from '../optimizer/headroom.ts';
import type { Journal } from '../optimizer/journal.ts';
import { createAnalyticPredictor } from '../optimizer/predict/analytic.ts';
import { createAnalyticBound } from '../optimizer/predict/bound.ts';
import { type Calibration, calibrate } from '../optimizer/predict/calibrate.ts';
import type { Engines, PredictorInput } from '../optimizer/predict/input.ts';
import { createNoWorse } from '../optimizer/predict/pricing.ts';
import { createSimulatedPredictor, createSimulator } from '../optimizer/predict/simulated.ts';
import { thinServing } from '../optimizer/predict/thin-serving.ts';
import { workloadOf } from '../optimizer/predict/workload.ts';
import { searchLayouts, withoutDominatedProtocols } from '../optimizer/search/search-layouts.ts';
import type { Planning } from '../optimizer/study/input.ts';
import { buildProfile } from '../profiler/analyze/profile.ts';
import { readTraces, tracesFile } from '../profiler/store/traces.ts';
import { measureProtocolPrices } from '../runtime/protocols/prices.ts';
import { withScratchFolder } from '../runtime/targets/process/scratch.ts';
import { engineSetup } from './engine-setups.ts';
import { planRequest } from './planning.ts';
import type { Project } from './project.ts';
import { protocols, searchStrategies } from './registry.ts';
import { type RoomForSearch, roomForSearch } from './room.ts';
import type { RunFolder } from './run-folder.ts';

export interface StudyPlanning extends Planning {
  /** Why a layout differs from the baseline, in sentences; empty for the baseline itself or without a profile. */
  explain(winner: Configuration): readonly string[];
}

/** Profiler, predictor and search as the study wants them. Each is a function of its arguments and the journal, so that resume finds the same. */
export function createStudyPlanning(
  project: Project,
  folder: RunFolder,
  journal: Pick<Journal, 'study'>,
  given?: readonly Configuration[],
  room: RoomForSearch = roomForSearch(project, null),
): StudyPlanning {
  const { scenario, workflow, workload, baseline } = project;
  /** The layout a block ran; the first plain layout is profiled where the baseline does not start. */
  const configurationOf = (id: string): Configuration => {
    const entry = journal.study.entries.find((candidate) => candidate.type === 'trial-added' && candidate.configurationId === id);
    return entry?.type === 'trial-added' ? entry.configuration : baseline;
  };

  const { minimize, slo } = scenario.config.objective;
  const counted = [...minimize, ...slo.map(({ metric }) => metric)].includes('grants');
  const grants = counted ? createGrantsCounter(planRequest(project, baseline)) : undefined;
  const asksFirst = [...minimize, ...slo.map(({ metric }) => metric)].some((metric) => metric.startsWith('firstToken.'));
  const firstTokens = asksFirst ? workload.classes.flatMap((each) => (each.stream ? [each.name] : [])) : [];
  // One for all predictors of a profile: what its pools were found to take is kept with it.
  const engines = new Map<Profile, Engines>();
  const enginesOf = (profile: Profile): Engines => {
    let known = engines.get(profile);
    if (!known) {
      known = {
        reference: configurationOf(profile.configurationId),
        setupOf: (model, serving) => engineSetup({ config: scenario.config, profiles: project.profiles }, model, serving),
        calls: callsPerPool(project),
      };
      engines.set(profile, known);
    }
    return known;
  };
  const input = (profile: Profile, prices: readonly ProtocolPrice[], calibration?: Calibration): PredictorInput => ({
    profile,
    workflow,
    prices,
    workload: workloadOf(workload),
    pricing: scenario.config.prices,
    hostCores: availableParallelism(),
    seed: scenario.config.seed,
    engines: enginesOf(profile),
    firstTokens,
    ...(calibration ? { calibration } : {}),
    ...(grants ? { grants } : {}),
  });
  /** Both tiers, each corrected by what the profiled layout showed of its error. */
  const predictors = (profile: Profile, prices: readonly ProtocolPrice[]) => {
    const configuration = configurationOf(profile.configurationId);
    const measured = profile.blockIds.flatMap((id) => journal.study.blocks.get(id) ?? []).map((block) => ({ configuration, block }));
    const calibrations = {
      analytic: calibrate(createAnalyticPredictor(input(profile, prices)), measured),
      simulated: calibrate(createSimulatedPredictor(input(profile, prices)), measured),
    };
    return {
      calibrations,
      analytic: createAnalyticPredictor(input(profile, prices, calibrations.analytic)),
      simulated: createSimulatedPredictor(input(profile, prices, calibrations.simulated)),
    };
  };

  return {
    explain: (winner) => {
      const profile = journal.study.entries.findLast((entry) => entry.type === 'profiled')?.profile;
      const prices = journal.study.entries.findLast((entry) => entry.type === 'prices-measured')?.prices;
      if (!profile || !prices || configurationId(winner) === configurationId(baseline)) return [];
      const simulator = createSimulator(input(profile, prices));
      return explain({ baseline, winner, profile, workflow, prices, pricing: scenario.config.prices, simulator }).sentences;
    },
    prices: (signal) => withScratchFolder('prices', (scratch) => measureProtocolPrices(usedProtocols(project), signal, scratch)),
    profile: (blocks, spans) =>
      buildProfile({ workflow, configuration: configurationOf(blocks[0]?.configurationId ?? ''), blocks: withTheirSpans(blocks, spans) }),
    headroom: (profile, _prices, blocks) => {
      const [block] = blocks;
      if (!block) throw new RangeError('headroom needs a measured block');
      return computeHeadroom({
        profile,
        baseline: block,
        baselineConfiguration: configurationOf(block.configurationId),
        pricing: scenario.config.prices,
        space: project.space,
        objective: scenario.config.objective,
      });
    },
    search: async (profile, prices, count, signal) => {
      const { analytic, simulated, calibrations } = predictors(profile, prices);
      if (given) return asGiven(given, simulated);
      const strategy = await searchStrategies.find((candidate) => candidate.id === scenario.config.search.strategy)?.load();
      const { space, ...serving } = thinServing(input(profile, prices, calibrations.analytic), project.space);
      return searchLayouts({
        space: withoutDominatedProtocols(space, createNoWorse(prices)),
        serving,
        analytic: room.quickly(analytic),
        simulated: room.exactly(simulated),
        boundFor: (objective, space) => createAnalyticBound({ ...input(profile, prices, calibrations.analytic), space, objective }),
        objective: scenario.config.objective,
        count,
        ...(strategy ? { strategy } : {}),
        seed: scenario.config.seed,
        signal,
      });
    },
    predict: (configuration, profile, prices) => predictors(profile, prices).simulated(configuration),
    spansOf: (blockId) => readTraces(tracesFile(folder.path, blockId)).catch(() => []),
  };
}

/** Spans belong to the block their trace's ingress span names. */
function withTheirSpans(blocks: readonly Block[], spans: readonly SpanRecord[]) {
  const blockOf = new Map<string, unknown>();
  for (const span of spans) if (attr.blockId in span.attributes) blockOf.set(span.traceId, span.attributes[attr.blockId]);
  return blocks.map((block) => ({
    block,
    spans: blocks.length === 1 ? spans : spans.filter((span) => blockOf.get(span.traceId) === block.id),
  }));
}

/** Model calls all pools together are judged by before anything is searched: seconds. */
const judgedCalls = 600_000;

/** Many pools are judged by fewer calls each, but enough to see one pile up. */
function callsPerPool({ space }: Project): number {
  const pools = new Map(space.serving.flatMap((shape) => shape.pools.map((pool) => [pool.id, pool.options.length] as const)));
  const settings = [...pools.values()].reduce((sum, count) => sum + count, 0);
  return Math.max(200, Math.min(3_000, Math.floor(judgedCalls / Math.max(1, settings))));
}

/** Layouts a user wants tried, in the user's order, each with its prediction. */
function asGiven(given: readonly Configuration[], predict: (configuration: Configuration) => Prediction) {
  const best = given.map((configuration, rank) => ({ configuration, prediction: predict(configuration), objective: rank }));
  return {
    best,
    certificate: { strategy: 'given', evaluated: given.length, pruned: 0, spaceSize: given.length, optimalUnder: 'none' as const, gap: 0 },
  };
}

/** Only what the space may use is priced: the micro-benchmark costs seconds. */
function usedProtocols({ space }: Project) {
  const used = new Set(Object.values(space.protocols).flatMap((choices) => choices.map((choice) => choice.protocol)));
  return protocols.filter((protocol) => used.has(protocol.id));
}
