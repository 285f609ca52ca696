import type { PoolLoad, PoolSample } from '../../../compiler/contracts/index.ts';
import type { EngineFacts, EngineReading, GpuReading } from './reading.ts';
import { added, between, noTotals, plus, type Totals } from './totals.ts';

/** What one pool said at one moment. */
export interface PoolTick {
  readonly atMs: number;
  readonly servers: readonly { readonly id: string; readonly engine: EngineReading | null }[];
  readonly gpus: readonly GpuReading[];
}

/** What is kept of it: the present state where every server answered, and all that was counted since the beginning. */
interface Kept {
  readonly atMs: number;
  readonly sample: PoolSample | null;
  readonly totals: Totals;
  readonly gpus: readonly GpuReading[];
}

/** Everything a pool said while it was watched. */
export class PoolHistory {
  /** Scrapes in which a server did not answer, in all and since the last whole one. */
  failed = 0;
  failedInARow = 0;
  readonly #kept: Kept[] = [];
  readonly #last = new Map<string, EngineFacts>();
  /** Servers that were there when the watch began: what they had counted by then is not ours. */
  #first: ReadonlySet<string> | undefined;
  #totals: Totals = noTotals;
  #replicas = 0;
  #source: EngineReading['source'] | undefined;

  record({ atMs, servers, gpus }: PoolTick): void {
    this.#first ??= new Set(servers.map(({ id }) => id));
    for (const { id, engine } of servers) {
      for (const now of engine?.engines ?? []) {
        const key = `${id}/${now.id}`;
        const before = this.#last.get(key);
        if (before !== undefined || !this.#first.has(id)) this.#totals = plus(this.#totals, added(before ?? null, now));
        else this.#totals = plus(this.#totals, added(now, now));
        this.#last.set(key, now);
      }
      this.#source ??= engine?.source;
    }
    const whole = servers.length > 0 && servers.every(({ engine }) => engine !== null);
    this.failed += whole ? 0 : 1;
    this.failedInARow = whole ? 0 : this.failedInARow + 1;
    const engines = servers.flatMap(({ engine }) => engine?.engines ?? []);
    this.#replicas = Math.max(this.#replicas, servers.length);
    this.#kept.push({ atMs, totals: this.#totals, sample: whole ? sampleOf(atMs, engines) : null, gpus });
  }

  /** The load of the pool over a stretch; null where it never said anything. */
  load(
    of: Pick<PoolLoad, 'pool' | 'model'> & Partial<Pick<PoolLoad, 'source'>>,
    stretch: { readonly fromMs: number; readonly toMs: number },
  ): PoolLoad | null {
    const samples = this.#kept.flatMap(({ sample }) => sample ?? []);
    if (this.#source === undefined || samples.length === 0) return null;
    const from = nearest(this.#kept, stretch.fromMs);
    const to = nearest(this.#kept, stretch.toMs);
    if (from === undefined || to === undefined) return null;
    const count = (name: keyof Totals['counters']): number | null => {
      const [before, after] = [from.totals.counters[name], to.totals.counters[name]];
      return after === null ? null : after - (before ?? 0);
    };
    const histogram = (name: keyof Totals['histograms']) => between(from.totals.histograms[name], to.totals.histograms[name]);
    const engines = [...this.#last.keys()].length;
    return {
      ...of,
      source: of.source ?? this.#source,
      // A simulated server answers for a whole pool of engines, and tells them apart.
      replicas: of.source === 'simulated' ? engines : this.#replicas,
      tokensIn: count('tokensIn') ?? 0,
      tokensCached: count('tokensCached'),
      tokensOut: count('tokensOut') ?? 0,
      preemptions: count('preemptions'),
      timeToFirstTokenMs: histogram('timeToFirstTokenMs'),
      timePerOutputTokenMs: histogram('timePerOutputTokenMs'),
      queueMs: histogram('queueMs'),
      prefillMs: histogram('prefillMs'),
      decodeMs: histogram('decodeMs'),
      fromMs: from.atMs,
      toMs: to.atMs,
      samples: thinned(samples),
      gpu: thinned(this.#kept.filter(({ gpus }) => gpus.length > 0)).map(({ atMs, gpus }) => ({
        atMs,
        gpus: gpus.map(({ index: _, ...gpu }) => gpu),
      })),
      gaps: this.failed,
    };
  }
}

function sampleOf(atMs: number, engines: readonly EngineFacts[]): PoolSample {
  const uses = engines.flatMap(({ kvUse }) => kvUse ?? []);
  return {
    atMs,
    running: engines.reduce((sum, { running }) => sum + running, 0),
    waiting: engines.reduce((sum, { waiting }) => sum + waiting, 0),
    kvUse: uses.length === 0 ? null : uses.reduce((sum, use) => sum + use, 0) / uses.length,
  };
}

const nearest = (kept: readonly Kept[], atMs: number): Kept | undefined =>
  kept.reduce<Kept | undefined>(
    (best, each) => (best === undefined || Math.abs(each.atMs - atMs) < Math.abs(best.atMs - atMs) ? each : best),
    undefined,
  );

/** A block of an hour would have thousands; this many draw every curve a page has room for. */
const mostSamples = 600;
function thinned<T>(list: readonly T[]): readonly T[] {
  const step = Math.ceil(list.length / mostSamples);
  return step <= 1 ? list : list.filter((_, index) => index % step === 0);
}
