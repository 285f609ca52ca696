import {
  type Arena,
  type Block,
  type BlockFault,
  type BlockRequest,
  type Configuration,
  canonicalConfiguration,
  configurationId,
  createRandom,
  DmasError,
  deriveSeed,
  type JournalEntry,
  type Laboratory,
  type StageContext,
  type StageEvent,
  type Workflow,
} from '../../compiler/contracts/index.ts';
import { foldStudy, type Journal } from '../../optimizer/journal.ts';
import type { StudyInput } from '../../optimizer/study/input.ts';
import { type Scenario, scenarioSchema } from '../../scenarios/schema.ts';
import { normal } from '../bench/statistics.ts';
import { classResult, madeBlock } from '../profiler/stats/blocks.ts';

/** What a configuration is really like. */
export interface Truth {
  readonly p50Ms: number;
  readonly usdPer1000: number;
  readonly cpuSecondsPerRequest: number;
  readonly completion: number;
}

export interface FakeOptions {
  /** By configuration id; what is not named is like `plainTruth`. */
  readonly truth?: { readonly [configurationId: string]: Partial<Truth> };
  /** Standard deviation of the log of a block's latency, its own and the part all arms of a round share. */
  readonly noise?: number;
  readonly roundNoise?: number;
  /** Factor on latency of the n-th block this laboratory runs. */
  readonly drift?: (index: number) => number;
  /** GPUs that a layout holds. */
  readonly gpus?: (configurationId: string) => number;
  readonly failsToDeploy?: (configurationId: string) => boolean;
  /** Throws inside the block. */
  readonly crashes?: (request: BlockRequest) => boolean;
  readonly fault?: (request: BlockRequest, index: number) => BlockFault | null;
  readonly deployMs?: number;
  readonly overheadMs?: number;
  readonly moneyPerBlockUsd?: number;
  readonly onBlock?: (request: BlockRequest, index: number) => void;
}

export const plainTruth: Truth = { p50Ms: 100, usdPer1000: 0.4, cpuSecondsPerRequest: 0.02, completion: 1 };

export interface FakeWorld {
  readonly laboratory: Laboratory;
  readonly context: StageContext;
  readonly requests: BlockRequest[];
  readonly arenas: (readonly string[])[];
  readonly events: StageEvent[];
  readonly openArenas: () => number;
  readonly abort: AbortController;
}

/** A laboratory with a known truth and a clock of its own. Equal seeds and ids give equal blocks, in any order. */
export function createFakeWorld(options: FakeOptions = {}, seed = 1): FakeWorld {
  let nowMs = 1_000_000;
  let open = 0;
  const requests: BlockRequest[] = [];
  const arenas: (readonly string[])[] = [];
  const events: StageEvent[] = [];
  const abort = new AbortController();

  const measure = (request: BlockRequest, deploymentId: string): Block => {
    const index = requests.length - 1;
    const truth = { ...plainTruth, ...options.truth?.[request.configurationId] };
    const own = normal(createRandom(deriveSeed(seed, request.id)));
    const shared = normal(createRandom(deriveSeed(request.seed, 'round')));
    const drift = options.drift?.(index) ?? 1;
    const latencyMs = truth.p50Ms * drift * Math.exp((options.noise ?? 0.02) * own + (options.roundNoise ?? 0.1) * shared);
    const fault = options.fault?.(request, index) ?? null;
    const result = classResult(latencyMs, { completion: truth.completion, errorRate: 1 - truth.completion, requests: 20, ok: 20 });
    return madeBlock({
      id: request.id,
      purpose: request.purpose,
      configurationId: request.configurationId,
      deploymentId,
      round: request.round,
      seed: request.seed,
      startedAtMs: nowMs,
      warmupMs: request.warmupMs,
      durationMs: request.durationMs,
      samplingRatio: request.samplingRatio,
      classes: { default: result },
      usage: [{ id: 'u', replica: 0, cpuSeconds: truth.cpuSecondsPerRequest * 20 * Math.exp(0.01 * own), peakMemoryMb: 50, restarts: 0 }],
      money: { ...madeBlock().money, totalUsd: options.moneyPerBlockUsd ?? 0.001, usdPer1000Requests: truth.usdPer1000 },
      quality: fault === null ? { valid: true, faults: [] } : { valid: false, faults: [{ fault, detail: 'made up' }] },
    });
  };

  const openArena = async (configurations: readonly Configuration[]): Promise<Arena> => {
    const ids = configurations.map(configurationId);
    arenas.push(ids);
    open += 1;
    nowMs += options.deployMs ?? 2_000;
    const number = arenas.length;
    let closed = false;
    const failing = ids.filter((id) => options.failsToDeploy?.(id) ?? false);
    return {
      failures: failing.map((id) => ({ configurationId: id, code: 'DMAS_DEPLOY_FAILED', message: 'did not become ready' })),
      block: async (request) => {
        if (closed || failing.includes(request.configurationId) || !ids.includes(request.configurationId))
          throw new TypeError('no such arm');
        requests.push(request);
        options.onBlock?.(request, requests.length - 1);
        if (options.crashes?.(request)) throw new DmasError({ code: 'DMAS_DEPLOY_FAILED', severity: 'error', message: 'it crashed' });
        const block = measure(request, `d${number}-${request.configurationId}`);
        nowMs += request.warmupMs + request.durationMs + (options.overheadMs ?? 500);
        return { block, spans: [] };
      },
      close: async () => {
        if (!closed) open -= 1;
        closed = true;
      },
    };
  };
  const context = { emit: (event: StageEvent) => void events.push(event), signal: abort.signal, now: () => nowMs, seed };
  const gpusOf = (configurations: readonly Configuration[]) =>
    configurations.reduce((sum, configuration) => sum + (options.gpus?.(configurationId(configuration)) ?? 0), 0);
  return { laboratory: { openArena, gpusOf }, context, requests, arenas, events, openArenas: () => open, abort };
}

/** A journal in memory that starts with these entries; from `diskFullAt` entries on, nothing more fits. */
export function memoryJournal(start: readonly JournalEntry[] = [], diskFullAt = Infinity): Journal {
  const entries = [...start];
  const blocks = new Map(foldStudy(entries).blocks);
  return {
    study: { entries, blocks },
    append: async (entry) => {
      if (entries.length >= diskFullAt) throw new DmasError({ code: 'DMAS_ENV_DISK', severity: 'error', message: 'full' });
      const written = JSON.parse(JSON.stringify(entry)) as JournalEntry;
      if (written.type === 'block-finished' && blocks.has(written.block.id)) throw new Error(`block ${written.block.id} twice`);
      entries.push(written);
      if (written.type === 'block-finished') blocks.set(written.block.id, written.block);
      return written;
    },
    close: async () => undefined,
  };
}

/** A layout named by how its components are grouped. */
export const layout = (...groups: readonly (readonly string[])[]): Configuration =>
  canonicalConfiguration({
    schemaVersion: 1,
    units: groups.map((components) => ({ id: '', components, replicas: 1, resources: { vcpu: 1, memoryMb: 256 } })),
    channels: {},
    serving: {},
  });

export const layouts = {
  apart: layout(['a'], ['b'], ['c']),
  one: layout(['a', 'b', 'c']),
  ab: layout(['a', 'b'], ['c']),
  bc: layout(['a'], ['b', 'c']),
  ac: layout(['a', 'c'], ['b']),
};
export const ids = Object.fromEntries(Object.entries(layouts).map(([name, made]) => [name, configurationId(made)])) as {
  readonly [name in keyof typeof layouts]: string;
};

export interface StudyOverrides extends Partial<Omit<StudyInput, 'scenario'>> {
  readonly objective?: Record<string, unknown>;
  readonly candidates?: readonly Configuration[];
}

/** A study of three agents: one-per-agent is the baseline, ample budget, and the candidates are named by the test. */
export function studyInput(world: FakeWorld, overrides: StudyOverrides = {}): StudyInput {
  const { objective = { minimize: 'latency.p50' }, candidates = [layouts.ab, layouts.bc], ...rest } = overrides;
  const config = scenarioSchema.parse({ workflow: './w.ts', objective, search: { candidates: Math.max(1, candidates.length) } });
  const scenario: Scenario = { schemaVersion: 1, file: 's.yaml', folder: '.', sha256: 'abc', name: 's', config, places: {} };
  const workflow = { schemaVersion: 1, name: 'w' } as unknown as Workflow;
  const estimate = { point: 1, low: 1, high: 1, level: 0.95, n: 0, provenance: 'modelled' as const };
  const prediction = (id: string) => ({
    configurationId: id,
    predictor: 'analytic' as const,
    classes: {},
    utilization: {},
    feasible: true,
    usdPer1000Requests: estimate,
    cpuMsPerRequest: estimate,
  });
  return {
    studyId: 'study',
    toolVersion: '1',
    machine: { cores: 2, memoryMb: 1, cpuModel: '', platform: '', node: '' },
    scenario,
    workflow,
    baseline: layouts.apart,
    references: () => ({ allInOne: layouts.one, onePerAgent: layouts.apart }),
    laboratory: world.laboratory,
    journal: memoryJournal(),
    planning: {
      profile: (blocks) => ({ configurationId: blocks[0]?.configurationId, blockIds: blocks.map((block) => block.id) }) as never,
      headroom: () => ({ latency: {}, cost: {}, sentence: 'Something to gain.', worthwhile: true }) as never,
      search: () => ({
        best: candidates.map((configuration) => ({ configuration, prediction: prediction(configurationId(configuration)), objective: 1 })),
        certificate: { strategy: 'fake', evaluated: 5, pruned: 0, spaceSize: 5, optimalUnder: 'predictor' as const, gap: 0 },
      }),
      predict: (configuration) => prediction(configurationId(configuration)),
      spansOf: () => [],
    },
    timing: { warmupMs: 1_000, durationMs: 4_000, minRounds: 3, maxRounds: 6 },
    budget: { timeMs: 3_600_000, trials: 8 },
    ...rest,
  };
}
