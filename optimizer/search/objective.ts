import type { ClassPrediction, Prediction } from '../../compiler/contracts/index.ts';
import type { ScenarioConfig } from '../../scenarios/schema.ts';

export type ObjectiveConfig = ScenarioConfig['objective'];

type End = 'point' | 'low' | 'high';
/** Standard normal quantile at 90 % over that at 95 %: how far from p50 to p95 a p90 lies. */
const p90Share = 1.2816 / 1.6449;

/**
 * Value of one metric of a prediction, smaller is better; null for what no predictor says (grants nobody asked for, error rate, completion,
 * gap, throughput; the first token of classes that do not stream; and elapsed time, which is latency and people's own). `cost` is USD per 1000 requests, `cpu` CPU-seconds per request, latencies are ms. Over several classes a latency is
 * the geometric mean, so that a slow class does not drown a fast one.
 *
 * p90 is read off the line through p50 and p95 on a normal quantile scale. p99 is taken as p95: the predictors see too few
 * requests for more, a layout over the limit at p95 breaks it at p99 too, and a line drawn further would fall when p50
 * rises, which no bound could follow.
 */
export function metricOf(prediction: Prediction, metric: string, requestClass?: string, end: End = 'point'): number | null {
  if (metric === 'cost') return prediction.usdPer1000Requests[end];
  if (metric === 'cpu') return prediction.cpuMsPerRequest[end] / 1000;
  if (metric === 'grants') return prediction.grants ?? null;
  const [family, statistic] = metric.split('.');
  if ((family !== 'latency' && family !== 'firstToken') || statistic === undefined) return null;
  const names = requestClass === undefined ? Object.keys(prediction.classes) : [requestClass];
  let logs = 0;
  let n = 0;
  for (const name of names) {
    const value = timeOf(family === 'latency' ? prediction.classes[name] : prediction.classes[name]?.firstTokenMs, statistic, end);
    if (value === null) continue;
    logs += Math.log(Math.max(1e-9, value));
    n++;
  }
  return n > 0 ? Math.exp(logs / n) : null;
}

function timeOf(predicted: Pick<ClassPrediction, 'p50Ms' | 'p95Ms' | 'meanMs'> | undefined, statistic: string, end: End): number | null {
  if (!predicted) return null;
  if (statistic === 'mean') return predicted.meanMs[end];
  const [p50, p95] = [predicted.p50Ms[end], predicted.p95Ms[end]];
  if (statistic === 'p50') return p50;
  if (statistic === 'p90') return p50 + Math.max(0, p95 - p50) * p90Share;
  return p95;
}

/** Limits of the scenario that a prediction breaks even at its optimistic end, or at another one. */
export function brokenLimits(prediction: Prediction, objective: Pick<ObjectiveConfig, 'slo'>, end: End = 'low'): readonly string[] {
  const broken: string[] = [];
  for (const limit of objective.slo) {
    if (limit.metric === 'grants') {
      if ((prediction.grants ?? 0) > (limit.max ?? Number.POSITIVE_INFINITY)) broken.push('grants');
      continue;
    }
    const classes = limit.class === undefined ? Object.keys(prediction.classes) : [limit.class];
    for (const name of classes) {
      const value = metricOf(prediction, limit.metric, name, end);
      if (value !== null && limit.max !== undefined && value > limit.max) broken.push(`${limit.metric} of ${name}`);
    }
  }
  return broken;
}

/** A value to minimize for one metric: infinity when the load cannot be carried or a limit is broken at the optimistic end. */
export function metricObjective(prediction: Prediction, metric: string, objective: Pick<ObjectiveConfig, 'slo'>): number {
  if (!prediction.feasible || brokenLimits(prediction, objective).length > 0) return Number.POSITIVE_INFINITY;
  // What cannot be predicted goes with the mean latency: waiting and failing have the same causes.
  return metricOf(prediction, metric) ?? metricOf(prediction, 'latency.mean') ?? Number.POSITIVE_INFINITY;
}

/** Value of the scenario's first metric, see `metricObjective`. */
export const objectiveOf = (prediction: Prediction, objective: Pick<ObjectiveConfig, 'minimize' | 'slo'>): number =>
  metricObjective(prediction, objective.minimize[0] ?? 'cost', objective);

/** What decides between configurations of equal objective: latency where money or CPU is minimized, else money. */
export function tieBreakOf(prediction: Prediction, objective: Pick<ObjectiveConfig, 'minimize'>): number {
  const first = objective.minimize[0] ?? 'cost';
  const second = objective.minimize[1] ?? (first === 'cost' || first === 'cpu' ? 'latency.p95' : 'cost');
  return metricOf(prediction, second) ?? 0;
}
