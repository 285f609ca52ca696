import { type Configuration, createRandom } from '../../compiler/contracts/index.ts';
import type { TracedRequest, TracedVisit } from '../../profiler/analyze/traced-request.ts';
import { median, quantiles } from '../../profiler/stats/quantiles.ts';
import type { Range } from '../../reports/analysis.ts';
import { uncalibrated } from '../predict/calibrate.ts';
import { createSimulator, type Simulator } from '../predict/simulated.ts';
import { type ComponentCall, ownMs, replayMs, visitsOf } from './replay.ts';
import type { World } from './worlds.ts';

/** What a layout would save, per request class; negative where it costs. */
export interface ClassSaving {
  readonly nowMs: number;
  /** Of p50. */
  readonly share: Range;
}

export interface Savings {
  /** `hardLayout`: the same with the replicas it needs where all own time is CPU. */
  of(layout: Configuration, hardLayout: Configuration): { readonly [requestClass: string]: ClassSaving };
  /**
   * Of a layout nobody can beat: no hop between components that may share a process, and nothing in each other's way.
   * `waitShare`: of own time, what may be waiting for a processor at most.
   */
  bound(joinable: (from: string, to: string) => boolean, waitShare: number): { readonly [requestClass: string]: ClassSaving };
}

/** 97.5 % quantile of the standard normal. */
const z95 = 1.959964;
const resamples = 200;

/**
 * Savings as intervals: from the hard world to the kind one, each widened by what a finite sample of traces leaves open
 * (bootstrap over requests, 95 %) and by the error of an uncalibrated predictor on the change itself. The kind world is
 * replayed request by request without its hops; in the hard one the simulator lets joined work wait for itself as well,
 * and the worse of both counts.
 */
export function createSavings(kind: World, hard: World, own: ReadonlySet<string>, seed: number): Savings {
  const classes = [...new Set(kind.requests.map(({ requestClass }) => requestClass))];
  const byClass = (world: World, name: string) => world.requests.filter(({ requestClass }) => requestClass === name);
  const simulator: Simulator = createSimulator(hard.predictor);
  const before = simulator.run(hard.baseline).prediction;
  const error = Math.exp(z95 * uncalibrated.latency.spread);

  // The error is one of what goes or of what stays, whichever is less.
  const stretched = (share: number) => Math.min(share * error, 1 - (1 - share) / error);
  // What the replay does not know of a request (its way in, for instance) stays as it was.
  const paired = (requests: readonly TracedRequest[], then: (request: TracedRequest) => number) => {
    const pairs = requests.map((request) => {
      const nowMs = request.measuredMs;
      return { nowMs, thenMs: Math.max(0, nowMs - (replayMs(request.root) - then(request))) };
    });
    return { nowMs: median(pairs.map(({ nowMs }) => nowMs)) ?? 0, share: savingShare(pairs), sd: bootstrapSd(pairs, seed) };
  };

  return {
    of(layout, hardLayout) {
      const unit = unitFinder(layout);
      const gone = (from: string, call: ComponentCall) => {
        const [a, b] = [unit(from), unit(call.visit.component)];
        return a !== undefined && a === b ? 0 : call.hopMs;
      };
      const after = simulator.run(hardLayout).prediction;
      return Object.fromEntries(
        classes.map((name) => {
          const best = paired(byClass(kind, name), ({ root }) => replayMs(root, { hopMs: gone }));
          const worst = paired(byClass(hard, name), ({ root }) => replayMs(root, { hopMs: gone }));
          const [was, is] = [before.classes[name]?.p50Ms.point ?? 0, after.classes[name]?.p50Ms.point ?? 0];
          const simulated = best.nowMs > 0 ? (was - is) / best.nowMs : 0;
          const least = Math.max(-1, Math.min(worst.share, simulated));
          const low = least > 0 ? least / error : least;
          return [name, { nowMs: best.nowMs, share: { low: low - z95 * worst.sd, high: stretched(best.share) + z95 * best.sd } }];
        }),
      );
    },
    bound(joinable, waitShare) {
      const gone = (from: string, call: ComponentCall) => (joinable(from, call.visit.component) ? 0 : call.hopMs);
      const fastest = fastestMs(kind.requests);
      // What was in nobody's way took as long as the fastest turns; those that had more to do only make this more careful.
      const alone = (visit: TracedVisit, selfMs: number) => {
        const ms = ownMs(visit);
        if (!own.has(visit.component) || ms <= 0) return selfMs;
        return selfMs * Math.max(1 - waitShare, Math.min(1, (fastest.get(visit.component) ?? 0) / ms));
      };
      return Object.fromEntries(
        classes.map((name) => {
          const most = paired(byClass(kind, name), ({ root }) => replayMs(root, { hopMs: gone, selfMs: alone }));
          return [name, { nowMs: most.nowMs, share: { low: 0, high: Math.min(1, stretched(most.share) + z95 * most.sd) } }];
        }),
      );
    },
  };
}

/** Own time of the fastest twentieth of the turns of each component. */
function fastestMs(requests: readonly TracedRequest[]): ReadonlyMap<string, number> {
  const turns = new Map<string, number[]>();
  for (const { root } of requests) {
    for (const visit of visitsOf(root)) turns.set(visit.component, [...(turns.get(visit.component) ?? []), ownMs(visit)]);
  }
  return new Map([...turns].map(([name, times]) => [name, quantiles(times, [0.05])[0] ?? 0]));
}

function unitFinder(layout: Configuration): (component: string) => string | undefined {
  const units = new Map(layout.units.flatMap((unit) => unit.components.map((name) => [name, unit.id] as const)));
  return (component) => units.get(component);
}

interface Pair {
  readonly nowMs: number;
  readonly thenMs: number;
}

function savingShare(pairs: readonly Pair[]): number {
  const [was, is] = [median(pairs.map(({ nowMs }) => nowMs)) ?? 0, median(pairs.map(({ thenMs }) => thenMs)) ?? 0];
  return was > 0 ? 1 - is / was : 0;
}

/** Standard deviation of the saving over requests drawn again with replacement. */
function bootstrapSd(pairs: readonly Pair[], seed: number): number {
  if (pairs.length < 2) return 0;
  const random = createRandom(seed);
  const shares = Array.from({ length: resamples }, () => savingShare(pairs.map(() => pairs[random.integer(pairs.length)] as Pair)));
  const mean = shares.reduce((sum, share) => sum + share, 0) / resamples;
  return Math.sqrt(shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / (resamples - 1));
}
