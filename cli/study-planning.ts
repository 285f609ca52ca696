import { availableParallelism } from 'node:os';
import type { Block, Configuration, Prediction, Profile, ProtocolPrice } from '../compiler/contracts/index.ts';
import { computeHeadroom } from '../optimizer/headroom.ts';
import { createAnalyticPredictor, type Predict } from '../optimizer/predict/analytic.ts';
import { createAnalyticBound } from '../optimizer/predict/bound.ts';
import { type Calibration, calibrate } from '../optimizer/predict/calibrate.ts';
import type { PredictorInput } from '../optimizer/predict/input.ts';
import { createSimulatedPredictor } from '../optimizer/predict/simulated.ts';
import { workloadOf } from '../optimizer/predict/workload.ts';
import { searchLayouts } from '../optimizer/search/search-layouts.ts';
import type { Planning } from '../optimizer/study/input.ts';
import { buildProfile } from '../profiler/analyze/profile.ts';
import { readTraces, tracesFile } from '../profiler/store/traces.ts';
import { measureProtocolPrices } from '../runtime/protocols/prices.ts';
import type { Project } from './project.ts';
import { protocols, searchStrategies } from './registry.ts';
import type { RunFolder } from './run-folder.ts';

/** Profiler, predictor and search as the study wants them. Each is a function of its arguments, so that resume finds the same. */
export function createStudyPlanning(project: Project, folder: RunFolder, given?: readonly Configuration[]): Planning {
  const { scenario, workflow, workload, space, baseline } = project;
  const recorded = Object.fromEntries(
    workload.classes.flatMap((each) => (each.arrivals.process === 'log' ? [[each.name, each.arrivals.timesMs]] : [])),
  );

  const input = (profile: Profile, prices: readonly ProtocolPrice[], calibration?: Calibration): PredictorInput => ({
    profile,
    workflow,
    prices,
    workload: workloadOf(scenario.config.workload, recorded),
    pricing: scenario.config.prices,
    hostCores: availableParallelism(),
    seed: scenario.config.seed,
    ...(calibration ? { calibration } : {}),
  });
  /** Both tiers, each corrected by what the baseline showed of its error. */
  const predictors = (profile: Profile, prices: readonly ProtocolPrice[], blocks: readonly Block[]) => {
    const measured = blocks.map((block) => ({ configuration: baseline, block }));
    const corrected = (make: (given: PredictorInput) => Predict): Predict =>
      make(input(profile, prices, calibrate(make(input(profile, prices)), measured)));
    return { analytic: corrected(createAnalyticPredictor), simulated: corrected(createSimulatedPredictor) };
  };

  let baselineBlocks: readonly Block[] = [];
  return {
    prices: (signal) => measureProtocolPrices(usedProtocols(project), signal),
    profile: (blocks, spans) => {
      baselineBlocks = blocks;
      const inBlock = (block: Block) => spans.filter((span) => blocks.length === 1 || span.attributes['dmas.block.id'] === block.id);
      return buildProfile({ workflow, configuration: baseline, blocks: blocks.map((block) => ({ block, spans: inBlock(block) })) });
    },
    headroom: (profile, _prices, blocks) => {
      const [block] = blocks;
      if (!block) throw new RangeError('headroom needs a measured baseline block');
      baselineBlocks = blocks;
      return computeHeadroom({
        profile,
        baseline: block,
        baselineConfiguration: baseline,
        pricing: scenario.config.prices,
        space,
        objective: scenario.config.objective,
      });
    },
    search: async (profile, prices, count, signal) => {
      const { analytic, simulated } = predictors(profile, prices, baselineBlocks);
      if (given) return asGiven(given, simulated);
      const strategy = await searchStrategies.find((candidate) => candidate.id === scenario.config.search.strategy)?.load();
      return searchLayouts({
        space,
        analytic,
        simulated,
        boundFor: (objective, within) => createAnalyticBound({ ...input(profile, prices), space: within, objective }),
        objective: scenario.config.objective,
        count,
        ...(strategy ? { strategy } : {}),
        seed: scenario.config.seed,
        signal,
      });
    },
    predict: (configuration, profile, prices) => predictors(profile, prices, baselineBlocks).simulated(configuration),
    spansOf: (blockId) => readTraces(tracesFile(folder.path, blockId)).catch(() => []),
  };
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
