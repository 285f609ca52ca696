import { checkEngineArgs } from './engine.ts';
import { estimateProfile } from './estimate-profile.ts';
import { findGpu, gpus } from './gpus.ts';
import type { HardwareProfile } from './hardware-profile.ts';
import { type MemoryUse, memoryUse } from './memory.ts';
import { findModelShape } from './model-shapes.ts';
import { checkEngineParams, type EngineParams, genericSmall } from './params.ts';
import { shippedProfiles } from './profiles/index.ts';
import { type EngineArgs, type Router, routers, type StepTime } from './step-time.ts';
import { linearStepTime, stepTimeOf } from './step-times.ts';

/** What the options of a simulated model mean, for the server and for whoever predicts it alike. */
export interface EngineSetup {
  readonly args: EngineArgs;
  readonly stepTime: StepTime;
  /** Engines behind the router. */
  readonly replicas: number;
  readonly router: Router;
  /** From the start of a replica to its first step. */
  readonly coldStartMs: number;
  /** Name in the table of GPUs and of prices; null for hardware that is in neither. */
  readonly gpu: string | null;
  readonly gpusPerReplica: number;
  /** `estimate`: no measurement behind the step times. */
  readonly evidence: 'measured' | 'estimate';
  /** Name of the hardware profile. */
  readonly profile: string;
  /** Whether weights and at least one sequence fit the GPUs' memory. */
  readonly fits: true | { readonly needsGb: number; readonly hasGb: number };
}

export type EngineOptions = { readonly [option: string]: unknown };

/**
 * Options, as a scenario or plan writes them:
 *
 * - `profile`: `generic-small` (the default), the name of a shipped profile, a hardware profile itself, or `estimate`,
 *   which needs `gpu` and `model`.
 * - `gpu`: another GPU than the profile's. A shipped profile of the same model on it is taken, else an estimate.
 * - `tensorParallelSize`, `dataParallelSize`, `expertParallel`, `maxNumSeqs`, `maxNumBatchedTokens`, `blockSize`, `kvBlocks`,
 *   `gpuMemoryUtilization`, `prefixCaching`, `prefixLifetimeMs`, `asyncScheduling`: as vLLM's engine arguments.
 * - `engineReplicas`, `router`, `coldStartMs`: the pool around it.
 * - of `generic-small` only: every name of `EngineParams`, and `maxBatchedTokens` for `maxNumBatchedTokens`.
 *
 * Other options are left alone. @throws RangeError naming the first option that cannot work
 */
export function engineOf(options: EngineOptions): EngineSetup {
  const { profile = 'generic-small' } = options;
  return profile === 'generic-small' && options.gpu === undefined ? genericEngine(options) : profiledEngine(options, profile);
}

function poolOf(options: EngineOptions) {
  const router = options.router ?? 'least-outstanding';
  if (!routers.includes(router as Router)) throw new RangeError(`router must be one of ${routers.join(', ')}, not ${String(router)}`);
  return {
    replicas: whole(options, 'engineReplicas', 1),
    router: router as Router,
    coldStartMs: atLeast0(options, 'coldStartMs') ?? 0,
  };
}

function genericEngine(options: EngineOptions): EngineSetup {
  const names = Object.keys(genericSmall) as (keyof EngineParams)[];
  const given = Object.fromEntries(names.map((name) => [name, options[name] ?? genericSmall[name]])) as unknown as EngineParams;
  const maxBatchedTokens = options.maxNumBatchedTokens ?? given.maxBatchedTokens;
  const params: EngineParams = { ...given, maxBatchedTokens: maxBatchedTokens as number };
  checkEngineParams(params);
  const common = commonArgs(options);
  const args: EngineArgs = {
    ...common,
    maxNumSeqs: params.maxNumSeqs,
    maxNumBatchedTokens: params.maxBatchedTokens,
    kvBlocks: whole(options, 'kvBlocks', Math.max(1, Math.floor(params.kvTokens / common.blockSize))),
    prefixCaching: flag(options, 'prefixCaching', params.prefixCacheTokens > 0),
    asyncScheduling: flag(options, 'asyncScheduling', false),
  };
  checkEngineArgs(args);
  return {
    args,
    stepTime: linearStepTime(params),
    ...poolOf(options),
    gpu: null,
    gpusPerReplica: args.tensorParallelSize * args.dataParallelSize,
    evidence: 'estimate',
    profile: 'generic-small',
    fits: true,
  };
}

function profiledEngine(options: EngineOptions, given: unknown): EngineSetup {
  const common = commonArgs(options);
  const profile = chooseProfile(options, given, common);
  const gpu = findGpu(profile.gpu) ?? null;
  // Limits a probing run found are those of the endpoint it probed.
  const maxNumSeqs = whole(options, 'maxNumSeqs', profile.endpoint?.maxNumSeqs ?? 256);
  const maxNumBatchedTokens = whole(options, 'maxNumBatchedTokens', profile.endpoint?.maxNumBatchedTokens ?? Math.max(2048, maxNumSeqs));
  const memory = memoryOf(options, profile, gpu, { ...common, maxNumSeqs, maxNumBatchedTokens });
  const logged = profile.kv?.[String(common.tensorParallelSize)];
  const loggedBlocks = logged ? Math.floor((logged.blocks * logged.blockSize) / common.blockSize) : undefined;
  const computed = loggedBlocks ?? memory?.use.kvBlocks;
  if (options.kvBlocks === undefined && computed === undefined) {
    throw new RangeError(`profile ${profile.name} does not say how much KV cache there is: set kvBlocks`);
  }
  const kvBlocks = whole(options, 'kvBlocks', Math.max(1, computed ?? 1));
  const args: EngineArgs = {
    ...common,
    maxNumSeqs,
    maxNumBatchedTokens,
    kvBlocks,
    prefixCaching: flag(options, 'prefixCaching', true),
    asyncScheduling: flag(options, 'asyncScheduling', gpu !== null),
  };
  checkEngineArgs(args);
  const lacksMemory = options.kvBlocks === undefined && logged === undefined && memory !== undefined && memory.use.kvBlocks < 1;
  return {
    args,
    stepTime: stepTimeOf(profile, args.tensorParallelSize),
    ...poolOf(options),
    gpu,
    gpusPerReplica: args.tensorParallelSize * args.dataParallelSize,
    evidence: profile.evidence,
    profile: profile.name,
    fits: lacksMemory && memory ? { needsGb: memory.needsGb, hasGb: memory.hasGb } : true,
  };
}

function chooseProfile(options: EngineOptions, given: unknown, common: CommonArgs): HardwareProfile {
  const { tensorParallelSize } = common;
  const expertRanks = common.expertParallel ? common.dataParallelSize : 1;
  const model = typeof options.model === 'string' ? options.model : undefined;
  const wantedGpu = options.gpu === undefined ? undefined : String(options.gpu);
  const estimate = (gpu: string, of: string) => estimateProfile({ gpu, model: of, tensorParallelSize, expertRanks });
  if (given === 'estimate' || (given === 'generic-small' && wantedGpu !== undefined)) {
    if (wantedGpu === undefined || model === undefined) throw new RangeError('profile estimate needs gpu and model');
    return shipped(wantedGpu, model, tensorParallelSize) ?? estimate(wantedGpu, model);
  }
  const named = typeof given === 'string' ? shippedProfiles.find(({ name }) => name === given) : (given as HardwareProfile);
  if (!named?.stepsByTensorParallel) {
    const known = ['generic-small', 'estimate', ...shippedProfiles.map(({ name }) => name)].join(', ');
    throw new RangeError(`there is no engine profile ${String(given)}; known: ${known}`);
  }
  const gpu = wantedGpu ?? named.gpu;
  const sameGpu = wantedGpu === undefined || findGpu(wantedGpu) === findGpu(named.gpu);
  if (sameGpu && named.stepsByTensorParallel[String(tensorParallelSize)]) return named;
  return shipped(gpu, named.model, tensorParallelSize) ?? estimate(gpu, named.model);
}

function shipped(gpu: string, model: string, tensorParallelSize: number): HardwareProfile | undefined {
  const shape = findModelShape(model)?.name;
  return shippedProfiles.find(
    (each) =>
      findGpu(each.gpu) === findGpu(gpu) &&
      findModelShape(each.model)?.name === shape &&
      each.stepsByTensorParallel[String(tensorParallelSize)] !== undefined,
  );
}

type CommonArgs = Pick<EngineArgs, 'blockSize' | 'prefixLifetimeMs' | 'tensorParallelSize' | 'dataParallelSize' | 'expertParallel'>;

function commonArgs(options: EngineOptions): CommonArgs {
  const prefixLifetimeMs = atLeast0(options, 'prefixLifetimeMs');
  return {
    blockSize: whole(options, 'blockSize', 16),
    ...(prefixLifetimeMs === undefined ? {} : { prefixLifetimeMs }),
    tensorParallelSize: whole(options, 'tensorParallelSize', 1),
    dataParallelSize: whole(options, 'dataParallelSize', 1),
    expertParallel: flag(options, 'expertParallel', false),
  };
}

/** What is in a GPU's memory, in GB of 2^30 bytes; undefined for hardware or models that are in no table. */
function memoryOf(
  options: EngineOptions,
  profile: HardwareProfile,
  gpu: string | null,
  args: CommonArgs & Pick<EngineArgs, 'maxNumSeqs' | 'maxNumBatchedTokens'>,
): { readonly use: MemoryUse; readonly needsGb: number; readonly hasGb: number } | undefined {
  const shape = findModelShape(profile.model)?.shape;
  const hardware = gpu === null ? undefined : gpus[gpu];
  if (!shape || !hardware) return undefined;
  const utilization = Number(options.gpuMemoryUtilization ?? 0.9);
  if (!(utilization > 0 && utilization <= 1)) throw new RangeError('gpuMemoryUtilization must be above 0 and at most 1');
  const expertRanks = args.expertParallel ? args.dataParallelSize : 1;
  const use = memoryUse({ ...args, shape, memoryGb: hardware.memoryGb, utilization, expertRanks });
  return { use, needsGb: (use.weightBytes + use.activationBytes) / 2 ** 30, hasGb: hardware.memoryGb * utilization };
}

function whole(options: EngineOptions, name: string, otherwise: number): number {
  const value = options[name] ?? otherwise;
  if (!Number.isInteger(value) || (value as number) < 1) {
    throw new RangeError(`${name} must be a whole number of at least 1, not ${String(value)}`);
  }
  return value as number;
}

function atLeast0(options: EngineOptions, name: string): number | undefined {
  const value = options[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !(value >= 0)) throw new RangeError(`${name} must be a number of at least 0, not ${String(value)}`);
  return value;
}

function flag(options: EngineOptions, name: string, otherwise: boolean): boolean {
  const value = options[name] ?? otherwise;
  if (typeof value !== 'boolean') throw new RangeError(`${name} must be true or false, not ${String(value)}`);
  return value;
}
