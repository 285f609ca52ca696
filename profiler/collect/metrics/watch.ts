import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolLoad } from '../../../compiler/contracts/index.ts';
import type { MetricsCollector } from '../collector.ts';
import { fetchPage } from './page.ts';
import { PoolHistory } from './pool-history.ts';
import { parsePrometheus } from './prometheus.ts';
import { type PoolLimit, passedLimit } from './protect.ts';
import type { EngineReading, GpuReading, Reading } from './reading.ts';

/** One pool and where it tells its load. */
export interface PoolSource {
  readonly pool: string;
  /** Logical model. */
  readonly model: string;
  /** What its servers call it. */
  readonly wireModel: string;
  /** Absent: its page says. */
  readonly source?: PoolLoad['source'];
  /** The servers there are now, with the page of each: `id` is unique over restarts. */
  readonly servers: () => readonly { readonly id: string; readonly url: string; readonly gpus: readonly string[] }[];
  /** A page that tells of its GPUs alone. */
  readonly gpuUrl?: string;
  readonly limit?: PoolLimit;
}

export interface WatchOptions {
  readonly collectors: readonly MetricsCollector[];
  readonly now: () => number;
  /** Start of the block on that clock; every time of the load counts from it. */
  readonly startedAtMs: number;
  readonly intervalMs?: number;
  readonly timeoutMs?: number;
  /** Called once per pool, when it passes its limit. */
  readonly onLimit?: (detail: string) => void;
  /** Runs a program of this machine and returns what it printed. Absent: none is run. */
  readonly run?: (command: readonly string[], signal: AbortSignal) => Promise<string>;
}

export interface PoolWatch {
  /** Once every pool was asked a first time. */
  readonly begun: Promise<void>;
  /** Asks a last time and says what happened in the stretch; times from the start of the block. */
  stop(stretch: { readonly fromMs: number; readonly toMs: number }): Promise<readonly PoolLoad[]>;
}

/** Twice a second is dense enough for a block of seconds, and costs a server well under a percent of a core. */
const usualIntervalMs = 500;
/** A server that computes a step answers late; one that takes longer than this has other troubles. */
const usualTimeoutMs = 2_000;

/** Asks every pool for its load until it is stopped. One question at a time: where answers are slow, there are fewer. */
export function watchPools(sources: readonly PoolSource[], options: WatchOptions): PoolWatch {
  const { now, startedAtMs, intervalMs = usualIntervalMs } = options;
  const stopping = new AbortController();
  const told = new Set<PoolSource>();
  const watched = sources.map((source) => ({ source, history: new PoolHistory() }));
  const gpusHere = localGpus(options);

  const ask = async (): Promise<void> => {
    const atMs = now() - startedAtMs;
    const local = sources.some((source) => source.servers().some(({ gpus }) => gpus.length > 0)) ? await gpusHere() : [];
    await Promise.all(
      watched.map(async ({ source, history }) => {
        const { servers, gpus } = await askPool(source, local, options);
        history.record({ atMs, servers, gpus });
        if (told.has(source)) return;
        const engines = servers.flatMap(({ engine }) => engine?.engines ?? []);
        const passed = passedLimit(source.pool, source.limit ?? {}, engines, history.failedInARow);
        if (passed === null) return;
        told.add(source);
        options.onLimit?.(passed);
      }),
    );
  };

  const begun = ask();
  const looping = begun.then(async () => {
    for (let nextMs = now() + intervalMs; ; nextMs = Math.max(nextMs + intervalMs, now())) {
      await sleep(Math.max(0, nextMs - now()), undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return;
      await ask();
    }
  });
  return {
    begun,
    stop: async (stretch) => {
      stopping.abort();
      await looping;
      await ask();
      return watched.flatMap(
        ({ source: { pool, model, source }, history }) =>
          history.load({ pool, model, ...(source === undefined ? {} : { source }) }, stretch) ?? [],
      );
    },
  };
}

async function askPool(source: PoolSource, local: readonly GpuReading[], { collectors, timeoutMs = usualTimeoutMs }: WatchOptions) {
  const read = async (url: string): Promise<Reading> => {
    try {
      const page = parsePrometheus(await fetchPage(url, timeoutMs));
      const readings = collectors.flatMap((collector) => (collector.from === 'page' ? [collector.read(page, source.wireModel)] : []));
      // A page may carry the names of two engines; the one that also tells times says more.
      const [engine = null] = readings.flatMap((reading) => reading.engine ?? []).sort((a, b) => timesIn(b) - timesIn(a));
      return { engine, gpus: readings.flatMap(({ gpus }) => gpus) };
    } catch {
      return { engine: null, gpus: [] };
    }
  };
  const asked = source.servers();
  const [gpuPage, ...pages] = await Promise.all([
    source.gpuUrl === undefined ? { gpus: [] } : read(source.gpuUrl),
    ...asked.map(({ url }) => read(url)),
  ]);
  const own = new Set(asked.flatMap(({ gpus }) => gpus));
  const seen = [...gpuPage.gpus, ...pages.flatMap(({ gpus }) => gpus)];
  return {
    servers: asked.map(({ id }, index) => ({ id, engine: pages[index]?.engine ?? null })),
    gpus: seen.length > 0 ? seen : local.filter(({ index }) => index !== null && own.has(index)),
  };
}

const timesIn = ({ engines }: EngineReading): number =>
  engines.reduce((sum, { histograms }) => sum + Object.values(histograms).filter((histogram) => histogram !== null).length, 0);

/** The GPUs of this machine, by the programs that tell them; one that failed once is not there and is not run again. */
function localGpus({ collectors, run, timeoutMs = usualTimeoutMs }: WatchOptions): () => Promise<readonly GpuReading[]> {
  let left = collectors.filter((collector) => collector.from === 'command');
  return async () => {
    if (run === undefined) return [];
    const readings = await Promise.all(
      left.map(async (collector) => {
        try {
          return collector.read(await run(collector.command, AbortSignal.timeout(timeoutMs))).gpus;
        } catch {
          left = left.filter((other) => other !== collector);
          return [];
        }
      }),
    );
    return readings.flat();
  };
}
