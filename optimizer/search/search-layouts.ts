import {
  type ChannelConfiguration,
  type Configuration,
  canonicalJson,
  type Prediction,
  type ScoredConfiguration,
  type SearchCertificate,
} from '../../compiler/contracts/index.ts';
import type { ThinnedServing } from '../predict/thin-serving.ts';
import { servingPlans } from '../space/serving-plans.ts';
import { spaceSize } from '../space/size.ts';
import type { Space } from '../space/space.ts';
import { createBestList, cutMargin } from './best-list.ts';
import { exact, relativeGap } from './exact.ts';
import { brokenLimits, metricObjective, metricOf, type ObjectiveConfig, tieBreakOf } from './objective.ts';
import type { Bound, Evaluate, SearchStrategy } from './strategy.ts';

export interface LayoutSearchInput {
  readonly space: Space;
  /** Ranks every layout. */
  readonly analytic: Evaluate;
  /** Makes an admissible bound for an objective on the analytic predictor. */
  readonly boundFor?: (objective: (prediction: Prediction) => number, space: Space) => Bound;
  /** Judges the shortlist. */
  readonly simulated: Evaluate;
  readonly objective: ObjectiveConfig;
  /** How many layouts to propose. */
  readonly count: number;
  /** Relative error of the analytic tier: everything this close to its best is simulated; default 0.1. */
  readonly band?: number;
  /** Default `exact`. */
  readonly strategy?: SearchStrategy;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly maxEvaluations?: number;
  /** Layouts never proposed again, e.g. the baseline; by configuration id. */
  readonly exclude?: ReadonlySet<string>;
  /** What became of ways to serve the models before the search, and whether leaving them out was exact (see `thinServing`). */
  readonly serving?: Pick<ThinnedServing, 'facts' | 'exact'>;
}

export interface LayoutSearchResult {
  /** To be deployed: best first; for several metrics the front in order of the first. */
  readonly best: readonly ScoredConfiguration[];
  /** Everything that was simulated, best first. */
  readonly shortlist: readonly ScoredConfiguration[];
  /** What the first tier vouches for; for several metrics the weakest of its searches. */
  readonly certificate: SearchCertificate;
}

const shortlistSize = 64;
const longestShortlist = 128;
const defaultBand = 0.1;
/** Steps of the sweep over the second metric. */
const frontSteps = 8;
/** Predictions that agree this closely in every metric cannot be told apart by measuring. */
const sameWithin = 0.005;
/** Layouts kept of one way to serve the models, where there are several ways. */
const perPlan = 16;
/** Layouts evaluated over all ways to serve the models, after which the rest is left open. */
const planBudget = 200_000;

/**
 * Two tiers: the exact search ranks the whole space with the analytic predictor, then the best 64, and more of those
 * within the band, are simulated and ranked again.
 *
 * With several metrics the first is swept: the second is minimized while the first may be at most a little less than
 * at the point before (the ε-constraint method; Haimes 1971), each step an exact search of its own. The result is the
 * set none of which is beaten in all metrics.
 */
export function searchLayouts(input: LayoutSearchInput): LayoutSearchResult {
  const { objective, simulated, count } = input;
  const strategy = input.strategy ?? exact;
  const certificates: SearchCertificate[] = [];
  const pool = new Map<string, Configuration>();

  const plans = servingPlans(input.space);
  const allowance = input.band ?? defaultBand;
  const counts = { cut: 0, searched: plans.length > 1 ? 0 : plans.length };
  const common = {
    evaluate: input.analytic,
    tieBreak: (prediction: Prediction) => tieBreakOf(prediction, objective),
    seed: input.seed,
    signal: input.signal,
    ...(input.maxEvaluations === undefined ? {} : { maxEvaluations: input.maxEvaluations }),
  };
  const searchFor = (value: (prediction: Prediction) => number): readonly ScoredConfiguration[] => {
    const bound = input.boundFor?.(value, input.space);
    if (plans.length > 1) return searchPlans(value, bound);
    const { best, certificate } = strategy.search({
      ...common,
      space: input.space,
      ...(bound ? { bound } : {}),
      objective: value,
      count: longestShortlist,
    });
    certificates.push(certificate);
    return best;
  };
  /**
   * One search per way to serve the models, the most promising first. A way is skipped when its bound over all layouts is
   * farther above the best found than the band; the layouts of one way are cut by the same limit. So each way that may be
   * the best is simulated with a few of its layouts, however many layouts the best one has.
   */
  const searchPlans = (value: (prediction: Prediction) => number, bound: Bound | undefined): readonly ScoredConfiguration[] => {
    const ranked = plans
      .map((plan, index) => ({ plan, index, lower: bound?.lower([], undefined, plan) ?? Number.NEGATIVE_INFINITY }))
      .sort((a, b) => (a.lower < b.lower ? -1 : a.lower > b.lower ? 1 : a.index - b.index));
    const found: (readonly ScoredConfiguration[])[] = [];
    const own: SearchCertificate[] = [];
    let ceiling = Number.POSITIVE_INFINITY;
    let evaluated = 0;
    let open = Number.POSITIVE_INFINITY;
    for (const { plan, lower } of ranked) {
      if (lower === Number.POSITIVE_INFINITY || lower > ceiling * (1 + cutMargin)) {
        counts.cut++;
        continue;
      }
      if (evaluated >= (input.maxEvaluations ?? planBudget) || input.signal.aborted) {
        open = Math.min(open, lower);
        continue;
      }
      const { best, certificate } = strategy.search({
        ...common,
        space: { ...input.space, servingPlans: [plan] },
        ...(bound ? { bound: { lower: (groups, replicas) => bound.lower(groups, replicas, plan) } } : {}),
        objective: value,
        count: perPlan,
        ceiling,
      });
      evaluated += certificate.evaluated;
      own.push(certificate);
      counts.searched++;
      if (best.length > 0) found.push(best);
      // What keeps its limits only at the optimistic end may turn out not to: it must not keep dearer ways from being tried.
      const holding = best.find((scored) => brokenLimits(scored.prediction, objective, 'point').length === 0);
      ceiling = Math.min(ceiling, (holding?.objective ?? Number.POSITIVE_INFINITY) * (1 + allowance));
    }
    const share = Math.max(1, Math.min(perPlan, Math.ceil(shortlistSize / Math.max(1, found.length))));
    const all = found.flatMap((best) => best.slice(0, share)).sort((a, b) => a.objective - b.objective);
    const size = spaceSize({ ...input.space });
    const complete = open === Number.POSITIVE_INFINITY;
    const weakest = weakestCertificate(own);
    certificates.push({
      ...weakest,
      evaluated,
      spaceSize: size,
      pruned: Math.max(0, complete ? size - evaluated : own.reduce((sum, each) => sum + each.pruned, 0)),
      ...(complete ? {} : { optimalUnder: 'none', gap: Math.max(weakest.gap, relativeGap(all[0]?.objective, open)) }),
    });
    return all.slice(0, longestShortlist);
  };
  const keep = (best: readonly ScoredConfiguration[], most: number) => {
    const limit = (best[0]?.objective ?? 0) * (1 + allowance);
    best.forEach((scored, rank) => {
      if (rank < most || scored.objective <= limit) pool.set(scored.prediction.configurationId, scored.configuration);
    });
  };

  const [first = 'cost', second] = objective.minimize;
  if (second === undefined)
    keep(
      searchFor((prediction) => metricObjective(prediction, first, objective)),
      shortlistSize,
    );
  else {
    let limit = Number.POSITIVE_INFINITY;
    for (let step = 0; step < frontSteps; step++) {
      const allowed = limit;
      const best = searchFor((prediction) => {
        const value = metricObjective(prediction, first, objective);
        return value <= allowed ? metricObjective(prediction, second, objective) : Number.POSITIVE_INFINITY;
      });
      const top = best[0];
      if (!top) break;
      keep(best.slice(0, Math.ceil(shortlistSize / frontSteps)), shortlistSize);
      // Of equals in the second metric the cheapest is the corner of the front.
      const equals = best.filter((scored) => scored.objective <= top.objective * (1 + 1e-9));
      limit = Math.min(...equals.map((scored) => metricObjective(scored.prediction, first, objective))) * (1 - 1e-6);
    }
    keep(searchFor((prediction) => metricObjective(prediction, first, objective)).slice(0, 8), 8);
  }

  const ranked = createBestList(Math.max(1, pool.size));
  for (const [id, configuration] of pool) {
    if (input.exclude?.has(id)) continue;
    const prediction = simulated(configuration);
    ranked.add(configuration, prediction, metricObjective(prediction, first, objective), tieBreakOf(prediction, objective));
  }
  const shortlist = ranked.items();
  const proposed = second === undefined ? shortlist : paretoFront(shortlist, objective.minimize);
  return {
    best: pickDiverse(surestFirst(proposed, objective), shortlist, count),
    shortlist,
    certificate: withServing(weakestCertificate(certificates)),
  };

  function withServing(certificate: SearchCertificate): SearchCertificate {
    if (!input.serving || input.serving.facts.plans + input.serving.facts.unfit <= 1) return certificate;
    const { facts, exact: vouches } = input.serving;
    const serving = { ...facts, ...counts };
    return vouches ? { ...certificate, serving } : { ...certificate, serving, optimalUnder: 'none', gap: 1 };
  }
}

/** Those that no other beats in every metric (and in one strictly), in the given order. */
export function paretoFront(scored: readonly ScoredConfiguration[], metrics: readonly string[]): readonly ScoredConfiguration[] {
  const values = scored.map(({ prediction }) => metrics.map((metric) => metricOf(prediction, metric) ?? 0));
  return scored.filter((_, i) => {
    const own = values[i] ?? [];
    return !values.some((other, j) => j !== i && dominates(other, own, j < i));
  });
}

/** `earlier` lets the first of two equal points stay. */
function dominates(a: readonly number[], b: readonly number[], earlier: boolean): boolean {
  let strictly = false;
  for (let i = 0; i < a.length; i++) {
    if ((a[i] ?? 0) > (b[i] ?? 0)) return false;
    if ((a[i] ?? 0) < (b[i] ?? 0)) strictly = true;
  }
  return strictly || earlier;
}

/**
 * The best that keeps every limit at the point of its prediction goes first: those before it keep them at the optimistic
 * end alone, and a study in which all of them fail would find nothing.
 */
function surestFirst(scored: readonly ScoredConfiguration[], objective: ObjectiveConfig): readonly ScoredConfiguration[] {
  const surest = scored.find(({ prediction }) => brokenLimits(prediction, objective, 'point').length === 0);
  return surest === undefined || surest === scored[0] ? scored : [surest, ...scored.filter((each) => each !== surest)];
}

/**
 * The proposals: best first, but a trial is not spent on a twin of one already chosen (the same prediction in every
 * metric), and a new partition or other pools go before another setting of a chosen one.
 */
export function pickDiverse(
  preferred: readonly ScoredConfiguration[],
  rest: readonly ScoredConfiguration[],
  count: number,
): readonly ScoredConfiguration[] {
  const chosen: ScoredConfiguration[] = [];
  const take = (from: readonly ScoredConfiguration[], newPartitionOnly: boolean) => {
    for (const candidate of from) {
      if (chosen.length >= count) return;
      if (chosen.some((other) => other === candidate || twins(other.prediction, candidate.prediction))) continue;
      if (newPartitionOnly && chosen.some((other) => partitionOf(other) === partitionOf(candidate))) continue;
      chosen.push(candidate);
    }
  };
  take(preferred, true);
  take(preferred, false);
  take(rest, true);
  take(rest, false);
  return chosen;
}

const partitionOf = ({ configuration: { units, serving, modelChoice } }: ScoredConfiguration): string =>
  [units.map((unit) => unit.id).join('|'), Object.keys(serving).join('|'), canonicalJson(modelChoice ?? {})].join(' ');

function twins(a: Prediction, b: Prediction): boolean {
  const close = (x: number, y: number) => Math.abs(x - y) <= sameWithin * Math.max(Math.abs(x), Math.abs(y));
  if (!close(a.usdPer1000Requests.point, b.usdPer1000Requests.point)) return false;
  if (!close(a.cpuMsPerRequest.point, b.cpuMsPerRequest.point)) return false;
  if (a.grants !== b.grants) return false;
  return Object.entries(a.classes).every(([name, one]) => {
    const other = b.classes[name];
    return other !== undefined && close(one.p50Ms.point, other.p50Ms.point) && close(one.p95Ms.point, other.p95Ms.point);
  });
}

function weakestCertificate(certificates: readonly SearchCertificate[]): SearchCertificate {
  const strength = { predictor: 2, bound: 1, none: 0 } as const;
  const weakest = [...certificates].sort((a, b) => strength[a.optimalUnder] - strength[b.optimalUnder] || b.gap - a.gap)[0];
  if (!weakest) return { strategy: 'none', evaluated: 0, pruned: 0, spaceSize: 0, optimalUnder: 'none', gap: 1 };
  return { ...weakest, evaluated: certificates.reduce((sum, certificate) => sum + certificate.evaluated, 0) };
}

/**
 * The same space without protocols that cannot win: another allowed one on that channel is no worse in latency and CPU
 * for small and large messages alike (prices are linear in size, so in between too). `isNoWorse` compares two settings.
 */
export function withoutDominatedProtocols(
  space: Space,
  isNoWorse: (a: ChannelConfiguration, b: ChannelConfiguration, channel: string) => boolean,
): Space {
  const protocols = Object.fromEntries(
    Object.entries(space.protocols).map(([channel, options]) => [
      channel,
      options.filter(
        (option, i) =>
          !options.some(
            (other, j) =>
              j !== i &&
              canonicalJson(other) !== canonicalJson(option) &&
              isNoWorse(other, option, channel) &&
              (j < i || !isNoWorse(option, other, channel)),
          ),
      ),
    ]),
  );
  return { ...space, protocols };
}
