import { createRandom, deriveSeed } from '../../compiler/contracts/index.ts';
import { drawTimes } from '../../profiler/load/processes.ts';
import { sessionStarts } from '../../profiler/load/sessions.ts';
import type { CompiledProfile } from './compiled-profile.ts';
import { ratePerSecond, type Workload } from './workload.ts';

/**
 * Which request arrives when and which skeleton it replays: drawn once and used for every configuration, so that
 * differences between configurations are not noise (common random numbers).
 */
export interface ArrivalPlan {
  readonly horizonMs: number;
  /** Open-loop arrivals, ascending. */
  readonly timesMs: Float64Array;
  readonly skeletons: Int32Array;
  /** Closed loops: each client replays the skeletons of its list in turn. */
  readonly closed: readonly {
    readonly requestClass: number;
    readonly clients: number;
    readonly thinkMs: number;
    readonly order: Int32Array;
  }[];
  /**
   * Sessions: the first turn of each comes at `atMs`, the next its think time after the answer to the one before. One entry
   * of `skeletons` and `thinkMs` per turn.
   */
  readonly sessions: readonly { readonly atMs: number; readonly skeletons: Int32Array; readonly thinkMs: Float64Array }[];
}

/**
 * `requests` is about how many requests come over all classes. Skeletons of a class are used in shuffled rounds, each
 * equally often, which keeps the mix of requests the same in short and long simulations.
 */
export function planArrivals(compiled: CompiledProfile, workload: Workload, requests: number, seed: number): ArrivalPlan {
  const classes = compiled.classes.map((name, id) => {
    const members = [...compiled.skeletonClass.keys()].filter((s) => compiled.skeletonClass[s] === id);
    const arrivals = workload[name];
    const measured = members.reduce((sum, s) => sum + (compiled.skeletonMeasuredMs[s] ?? 0), 0) / Math.max(1, members.length);
    return { name, id, members, arrivals, rate: arrivals ? ratePerSecond(arrivals, measured) : 0 };
  });
  const total = classes.reduce((sum, entry) => sum + entry.rate, 0);
  const horizonMs = total > 0 ? (requests / total) * 1000 : 0;
  const open: { at: number; skeleton: number }[] = [];
  const closed: ArrivalPlan['closed'][number][] = [];
  const sessions: ArrivalPlan['sessions'][number][] = [];
  for (const { name, id, members, arrivals, rate } of classes) {
    if (!arrivals || members.length === 0) continue;
    const random = createRandom(deriveSeed(seed, 'skeletons', name));
    const round: number[] = [];
    const nextSkeleton = () => {
      if (round.length === 0) round.push(...random.shuffle(members));
      return round.pop() ?? 0;
    };
    if (arrivals.process === 'closed') {
      const length = Math.max(members.length, Math.ceil((rate * horizonMs) / 1000));
      closed.push({
        requestClass: id,
        clients: arrivals.clients,
        thinkMs: arrivals.thinkMs,
        order: Int32Array.from({ length }, nextSkeleton),
      });
      continue;
    }
    if (arrivals.process === 'sessions') {
      for (const { atMs, firstTurn, script } of sessionStarts(arrivals, horizonMs, deriveSeed(seed, 'sessions', name))) {
        const thinkMs = Float64Array.from(script.thinkMs.slice(firstTurn));
        // Traces do not say which turn of a session they were, so a turn replays any of the class.
        sessions.push({ atMs, skeletons: Int32Array.from(thinkMs, nextSkeleton), thinkMs });
      }
      continue;
    }
    for (const at of openArrivals(arrivals, horizonMs, deriveSeed(seed, 'arrivals', name))) open.push({ at, skeleton: nextSkeleton() });
  }
  open.sort((a, b) => a.at - b.at);
  return {
    horizonMs,
    timesMs: Float64Array.from(open, (arrival) => arrival.at),
    skeletons: Int32Array.from(open, (arrival) => arrival.skeleton),
    closed,
    sessions,
  };
}

function* openArrivals(
  arrivals: Exclude<Workload[string], { readonly process: 'closed' | 'sessions' }>,
  horizonMs: number,
  seed: number,
): Generator<number> {
  if (arrivals.process !== 'log') {
    for (const at of drawTimes(arrivals, seed)) {
      if (at >= horizonMs) return;
      yield at;
    }
  } else {
    // Played in a loop, as the simulation is longer than a block.
    const { timesMs } = arrivals;
    const first = timesMs[0] ?? 0;
    const span = (timesMs[timesMs.length - 1] ?? 0) - first;
    if (span <= 0) return;
    for (let start = 0; start < horizonMs; start += span) {
      for (let i = 1; i < timesMs.length; i++) {
        const at = start + (timesMs[i] ?? 0) - first;
        if (at > horizonMs) return;
        yield at;
      }
    }
  }
}
