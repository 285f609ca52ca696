import {
  type Configuration,
  createRandom,
  type SkeletonCall,
  type SkeletonVisit,
  type Workflow,
} from '../../../compiler/contracts/index.ts';
import { poolSetup } from '../../../optimizer/predict/engine-setup.ts';
import type { PredictorInput } from '../../../optimizer/predict/input.ts';
import type { Workload } from '../../../optimizer/predict/workload.ts';
import { buildSpace } from '../../../optimizer/space/build.ts';
import type { Space } from '../../../optimizer/space/space.ts';
import { engineOf } from '../../../runtime/llm/engine/options.ts';
import { simulatePool } from '../../../runtime/llm/engine/pool.ts';
import type { ScenarioConfig } from '../../../scenarios/schema.ts';
import { call, defaults, inputOf, profileOf, scenario, skeleton, visit, workflowOf } from '../synthetic-profile.ts';

/** Two agents behind an entry that ask one model: short prompts of people who wait, long ones of a batch. */
export const servingWorkflow: Workflow = {
  ...workflowOf({ front: {}, chat: {}, digest: {} }, [
    ['front', 'chat'],
    ['front', 'digest'],
  ]),
  channels: [
    ...workflowOf({ front: {}, chat: {}, digest: {} }, [
      ['front', 'chat'],
      ['front', 'digest'],
    ]).channels,
    ...['chat', 'digest'].map((agent) => ({
      id: `${agent}->main`,
      kind: 'model' as const,
      from: [agent],
      to: ['main'],
      patterns: ['request' as const],
      repeatable: true,
    })),
  ],
};

/** An eight-billion-parameter model on one data-centre card; nothing was measured behind its step times. */
export const options = { profile: 'estimate', gpu: 'l40s', model: 'Qwen/Qwen3-8B' };
export const today = { main: { replicas: 1, options } };
export const gpuHourUsd = { l40s: 1.8 };

export interface Load {
  readonly chatPerSecond: number;
  readonly digestPerSecond: number;
  readonly digestTokens?: number;
  /** Replicas of the shared pool that was profiled; default 1. */
  readonly measuredOn?: number;
}

const asks = (tokensIn: number, tokensOut: number, measuredMs: number, model = 'main'): SkeletonCall => ({
  kind: 'model',
  model,
  tokensIn,
  tokensCached: 0,
  tokensOut,
  measuredMs,
});

const streams = (callee: SkeletonVisit): SkeletonCall => ({
  ...(call(callee) as Extract<SkeletonCall, { kind: 'component' }>),
  pattern: 'stream',
});

const variants = 12;
/** Requests of each kind in the profile. */
const profiled = 120;
const chatTokens = (i: number) => [240 + 10 * i, 60 + 4 * i] as const;
const digestTokens = (load: Load, i: number) => [(load.digestTokens ?? 12_000) + 200 * i, 250 + 5 * i] as const;

/** Arrivals of both kinds over ten minutes. */
export function arrivalsOf(load: Load, seed: number) {
  const random = createRandom(seed);
  const list: { readonly atMs: number; readonly tokensIn: number; readonly tokensOut: number; readonly kind: 'chat' | 'digest' }[] = [];
  for (const kind of ['chat', 'digest'] as const) {
    const gapMs = 1000 / (kind === 'chat' ? load.chatPerSecond : load.digestPerSecond);
    let n = 0;
    for (let atMs = random.exponential(gapMs); atMs < 600_000; atMs += random.exponential(gapMs)) {
      const variant = n++ % variants;
      const [tokensIn, tokensOut] = kind === 'chat' ? chatTokens(variant) : digestTokens(load, variant);
      list.push({ atMs, tokensIn, tokensOut, kind });
    }
  }
  return list.sort((x, y) => x.atMs - y.atMs);
}

/** Calls as today's engines take them under this load, and 5 ms of network and client: some of each kind, as they came. */
function measuredCalls(load: Load): (kind: 'chat' | 'digest') => readonly SkeletonCall[] {
  const arrivals = arrivalsOf(load, 4);
  const times = simulatePool(
    { ...engineOf(options), replicas: load.measuredOn ?? 1 },
    arrivals.map(({ kind: _, ...request }) => request),
  );
  return (kind) =>
    arrivals
      .map((arrival, i) => ({ ...arrival, ms: (times[i]?.totalMs ?? 0) + 5 }))
      .filter((arrival) => arrival.kind === kind)
      .slice(20, 20 + profiled)
      .map(({ tokensIn, tokensOut, ms }) => asks(tokensIn, tokensOut, ms));
}

export function servingInput(load: Load, config: ScenarioConfig, overrides: Partial<PredictorInput> = {}): PredictorInput {
  const calls = measuredCalls(load);
  const skeletons = [
    ...calls('chat').map((each) => skeleton(visit('front', 0.5, [streams(visit('chat', 0.5, [each]))]), 'chat')),
    ...calls('digest').map((each) => skeleton(visit('front', 0.5, [call(visit('digest', 0.5, [each]))]), 'digest')),
  ];
  const workload: Workload = {
    chat: { process: 'poisson', perSecond: load.chatPerSecond },
    digest: { process: 'poisson', perSecond: load.digestPerSecond },
  };
  return inputOf(servingWorkflow, profileOf(skeletons), workload, {
    pricing: config.prices,
    hostCores: 8,
    requests: 1_200,
    firstTokens: ['chat'],
    engines: {
      reference: { serving: { main: { replicas: load.measuredOn ?? 1, options } } },
      setupOf: (_, setting) => poolSetup(setting.options, setting.replicas),
      calls: 800,
    },
    ...overrides,
  });
}

export const servingScenario = (search: object, slo: readonly object[] = []): ScenarioConfig =>
  scenario({ search, objective: { minimize: 'cost', slo }, prices: { gpuHourUsd } });

export function servingSpace(config: ScenarioConfig): Space {
  const { space, problems } = buildSpace({
    workflow: servingWorkflow,
    config,
    targetTraits: { unixSockets: true, enforces: { vcpu: true, memory: true } } as never,
    protocolIds: ['http-json'],
    defaults: { ...defaults, serving: today },
    fits: (_, given) => engineOf(given).fits,
  });
  if (problems.length > 0) throw new Error(problems.map((problem) => problem.message).join('; '));
  return space;
}

/** `main@chat 1 + main@digest 1`. */
export const poolsOf = ({ serving }: Pick<Configuration, 'serving'>): string =>
  Object.entries(serving)
    .map(([id, { replicas }]) => `${id} ${replicas}`)
    .sort()
    .join(' + ');
