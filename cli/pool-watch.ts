import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { PoolLoad } from '../compiler/contracts/index.ts';
import { isMetricsCollector } from '../profiler/collect/collector.ts';
import { type PoolSource, type PoolWatch, watchPools } from '../profiler/collect/metrics/watch.ts';
import { collectors } from './registry.ts';

/** The pools of one block while it is under load. */
export interface BlockWatch {
  /** The load driver stops as soon as this file is there. */
  readonly stopFile: string;
  /** Takes the load off, with the reason. The first reason stays. */
  takeOff(detail: string): void;
  /** Ends the watch; times are those of the driver, from the start of the block. */
  end(stretch: { readonly fromMs: number; readonly toMs: number }): Promise<{
    readonly pools: readonly PoolLoad[];
    /** Why the load was taken off, where it was. */
    readonly limit?: string;
  }>;
}

const exec = promisify(execFile);

/** Watches pools from before the load begins, so that nothing is sent to one that is over its limit already. */
export async function watchBlock(input: {
  readonly sources: readonly PoolSource[];
  readonly stopFile: string;
  readonly startedAtMs: number;
  readonly now: () => number;
}): Promise<BlockWatch> {
  const { sources, stopFile, startedAtMs, now } = input;
  let limit: string | undefined;
  let written: Promise<void> = Promise.resolve();
  const takeOff = (detail: string) => {
    if (limit !== undefined) return;
    limit = detail;
    written = writeFile(stopFile, `${detail}\n`);
  };
  await rm(stopFile, { force: true });
  let watch: PoolWatch | undefined;
  if (sources.length > 0) {
    const loaded = await Promise.all(collectors.filter(isMetricsCollector).map((collector) => collector.load()));
    watch = watchPools(sources, {
      collectors: loaded,
      now,
      startedAtMs,
      onLimit: takeOff,
      run: async ([file = '', ...rest], signal) => (await exec(file, rest, { signal })).stdout,
    });
    await watch.begun;
    await written;
  }
  return {
    stopFile,
    takeOff,
    end: async (stretch) => {
      const pools = (await watch?.stop(stretch)) ?? [];
      await written;
      await rm(stopFile, { force: true });
      return { pools, ...(limit === undefined ? {} : { limit }) };
    },
  };
}
