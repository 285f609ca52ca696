import { gpus } from '../engine/gpus.ts';
import { memoryUse } from '../engine/memory.ts';
import { findModelShape, kvBytesPerToken } from '../engine/model-shapes.ts';
import type { EngineSetup } from '../engine/options.ts';
import { shippedProfiles } from '../engine/profiles/index.ts';
import { type Family, type Labels, simulatedHelp } from './prometheus.ts';

/** The GPUs of one engine replica, as far as tables of GPUs and models say. */
export interface SimulatedGpus {
  /** Name of the kind. */
  readonly name: string;
  readonly perReplica: number;
  /** Weights and the whole KV cache, as an engine takes them at its start; per GPU. Null: the model is in no table. */
  readonly memoryUsedMb: number | null;
  readonly memoryTotalMb: number | null;
}

const mib = 2 ** 20;

/** Null for hardware that is in no table: nothing is made up for it. `model` is what it serves where no profile says so. */
export function gpusOf(setup: EngineSetup, model: string | undefined): SimulatedGpus | null {
  const { args, gpu, gpusPerReplica } = setup;
  if (gpu === null) return null;
  const memoryGb = gpus[gpu]?.memoryGb;
  const named = shippedProfiles.find(({ name }) => name === setup.profile)?.model ?? model;
  const shape = named === undefined ? undefined : findModelShape(named)?.shape;
  const memoryTotalMb = memoryGb === undefined ? null : Math.round((memoryGb * 2 ** 30) / mib);
  if (shape === undefined || memoryGb === undefined) return { name: gpu, perReplica: gpusPerReplica, memoryUsedMb: null, memoryTotalMb };
  const expertRanks = args.expertParallel ? args.dataParallelSize : 1;
  const { weightBytes } = memoryUse({ ...args, shape, memoryGb, utilization: 1, expertRanks });
  const kvBytes = args.kvBlocks * args.blockSize * kvBytesPerToken(shape, args.tensorParallelSize);
  return { name: gpu, perReplica: gpusPerReplica, memoryUsedMb: Math.round((weightBytes + kvBytes) / mib), memoryTotalMb };
}

/** Shortest stretch a utilization is over: what DCGM samples over on GPUs that do so once a second. */
const windowMs = 1000;

/**
 * The names of DCGM's exporter for GPUs that do not exist: utilization is the share of time in which the engine computed
 * a step, over the stretch since it was last asked (a second at least). There is no power: nothing here could say.
 */
export function createGpuMeter(gpus: SimulatedGpus): { families(busyMs: readonly number[], nowMs: number): Family[] } {
  let last = { atMs: 0, busyMs: [] as readonly number[] };
  let shares: readonly number[] = [];
  return {
    families: (busyMs, nowMs) => {
      const elapsedMs = nowMs - last.atMs;
      if (elapsedMs >= windowMs || shares.length === 0) {
        shares = busyMs.map((busy, replica) => Math.max(0, Math.min(1, (busy - (last.busyMs[replica] ?? 0)) / Math.max(1, elapsedMs))));
        if (elapsedMs >= windowMs) last = { atMs: nowMs, busyMs: [...busyMs] };
      }
      const devices = busyMs.flatMap((_, replica) =>
        Array.from({ length: gpus.perReplica }, (_none, index) => ({ replica, gpu: replica * gpus.perReplica + index })),
      );
      const labels = ({ gpu, replica }: (typeof devices)[number]): Labels => ({
        gpu: String(gpu),
        UUID: `simulated-${gpu}`,
        device: `nvidia${gpu}`,
        modelName: gpus.name,
        engine: String(replica),
      });
      const gauge = (name: string, help: string, of: (replica: number) => number | null): Family => ({
        name,
        type: 'gauge',
        help: simulatedHelp(help),
        samples: devices.flatMap((device) => {
          const value = of(device.replica);
          return value === null ? [] : [{ labels: labels(device), value }];
        }),
      });
      const { memoryUsedMb: used, memoryTotalMb: total } = gpus;
      return [
        gauge('DCGM_FI_DEV_GPU_UTIL', 'GPU utilization (in %).', (replica) => Math.round((shares[replica] ?? 0) * 1000) / 10),
        gauge('DCGM_FI_DEV_FB_USED', 'Framebuffer memory used (in MiB): weights and KV cache.', () => used),
        gauge('DCGM_FI_DEV_FB_FREE', 'Framebuffer memory free (in MiB).', () =>
          used === null || total === null ? null : Math.max(0, total - used),
        ),
      ];
    },
  };
}
