import { findGpu } from './gpus.ts';
import { shippedProfiles } from './profiles/index.ts';

type Options = { readonly [option: string]: unknown };

/** Replicas of the engine in a pool: those of the layout, times `engineReplicas` where the options say more. */
export const engineReplicasOf = (options: Options, replicas: number): number => replicas * countOf(options.engineReplicas);

/**
 * GPUs a pool of model servers holds: engine replicas × tensor × data parallel size, of the kind that option `gpu` names, else
 * the hardware profile. `gpus` says how many one replica has where that is no product of the two. Null: nothing names a GPU.
 */
export function gpusOfPool(options: Options, replicas: number): { readonly gpu: string; readonly count: number } | null {
  const gpu = typeof options.gpu === 'string' ? options.gpu : shippedProfiles.find(({ name }) => name === options.profile)?.gpu;
  if (gpu === undefined) return null;
  const perReplica =
    options.gpus === undefined ? countOf(options.tensorParallelSize) * countOf(options.dataParallelSize) : Number(options.gpus);
  return { gpu, count: engineReplicasOf(options, replicas) * perReplica };
}

/** USD an hour for those GPUs, however their kind is spelled; a kind without a price costs nothing. */
export function poolUsdPerHour(options: Options, replicas: number, gpuHourUsd: { readonly [gpu: string]: number }): number {
  const gpus = gpusOfPool(options, replicas);
  return gpus === null ? 0 : gpus.count * (gpuHourUsd[gpus.gpu] ?? otherSpelling(gpus.gpu, gpuHourUsd));
}

function otherSpelling(gpu: string, gpuHourUsd: { readonly [gpu: string]: number }): number {
  const known = findGpu(gpu);
  return known === undefined ? 0 : (Object.entries(gpuHourUsd).find(([name]) => findGpu(name) === known)?.[1] ?? 0);
}

const countOf = (value: unknown) => (typeof value === 'number' ? value : 1);
