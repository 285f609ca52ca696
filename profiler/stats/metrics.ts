import type { Block, ClassResult, Comparison, LatencySummary } from '../../compiler/contracts/index.ts';

/** Names a scenario may use, and the names comparisons use for the same things. */
export interface MetricTraits {
  readonly name: string;
  readonly unit: Comparison['unit'];
  readonly lowerIsBetter: boolean;
  /** Has a value per request class; otherwise only one per block. */
  readonly perClass: boolean;
}

/**
 * What a metric name means. `cost` and `cost.usdPer1000` are one metric. `cpu` (CPU-seconds per request) is compared as
 * its reciprocal `requestsPerCpuSecond`, which is the number users read.
 *
 * @throws RangeError for a name that is no metric
 */
export function metricTraits(metric: string): MetricTraits {
  switch (metric) {
    case 'cost':
    case 'cost.usdPer1000':
      return { name: 'cost.usdPer1000', unit: 'usd', lowerIsBetter: true, perClass: false };
    case 'cpu':
    case 'requestsPerCpuSecond':
      return { name: 'requestsPerCpuSecond', unit: 'per-cpu-second', lowerIsBetter: false, perClass: false };
    case 'grants':
      return { name: metric, unit: 'count', lowerIsBetter: true, perClass: false };
    case 'throughput':
      return { name: metric, unit: 'per-second', lowerIsBetter: false, perClass: true };
    case 'completion':
      return { name: metric, unit: 'share', lowerIsBetter: false, perClass: true };
    case 'errorRate':
      return { name: metric, unit: 'share', lowerIsBetter: true, perClass: true };
    default:
      if (!timeMetric.test(metric)) throw new RangeError(`${metric} is no metric`);
      return { name: metric, unit: 'ms', lowerIsBetter: true, perClass: true };
  }
}
const timeMetric = /^(latency|elapsed|firstToken|gap)\.(mean|p50|p90|p95|p99)$/;

/**
 * Value of a metric in one block: milliseconds for times, USD per 1000 requests for cost, CPU-seconds per right answer
 * for `cpu`, shares from 0 to 1, requests per second for throughput. Without a class: rates and shares of all classes
 * together; times only when there is one class, since percentiles of several are not to be mixed. Null where the block
 * says nothing.
 */
export function metricOf(block: Block, metric: string, requestClass?: string): number | null {
  const classes = requestClass === undefined ? Object.values(block.classes) : only(block.classes[requestClass]);
  if (classes.length === 0) return null;
  switch (metric) {
    case 'cost':
    case 'cost.usdPer1000':
      return finite(block.money.usdPer1000Requests);
    case 'grants':
      return block.grants ?? null;
    case 'requestsPerCpuSecond':
      return finite(answersOf(block) / cpuSecondsOf(block));
    case 'cpu':
      return finite(cpuSecondsOf(block) / answersOf(block));
    case 'throughput':
      return classes.reduce((sum, result) => sum + result.throughputPerSecond, 0);
    case 'completion':
    case 'errorRate':
      return weighted(classes, metric);
    default:
      return timeOf(classes, metric);
  }
}

const only = (result: ClassResult | undefined): readonly ClassResult[] => (result === undefined ? [] : [result]);
const finite = (value: number): number | null => (Number.isFinite(value) && value > 0 ? value : null);
const cpuSecondsOf = (block: Block) => block.usage.reduce((sum, usage) => sum + usage.cpuSeconds, 0);
const answersOf = (block: Block) => Object.values(block.classes).reduce((sum, result) => sum + result.ok, 0);

function weighted(classes: readonly ClassResult[], metric: 'completion' | 'errorRate'): number | null {
  const requests = classes.reduce((sum, result) => sum + result.requests, 0);
  return requests === 0 ? null : classes.reduce((sum, result) => sum + result[metric] * result.requests, 0) / requests;
}

function timeOf(classes: readonly ClassResult[], metric: string): number | null {
  if (!timeMetric.test(metric)) throw new RangeError(`${metric} is no metric`);
  const [what = '', which = ''] = metric.split('.');
  const [result] = classes;
  if (result === undefined || classes.length > 1) return null;
  const summary = summaryOf(result, what);
  return summary === null ? null : summary[which as keyof LatencySummary];
}

function summaryOf(result: ClassResult, what: string): LatencySummary | null {
  switch (what) {
    case 'latency':
      return result.latencyMs;
    // Where nobody had to be asked the two are one.
    case 'elapsed':
      return result.human?.elapsedMs ?? result.latencyMs;
    case 'firstToken':
      return result.firstChunkMs;
    default:
      return result.gapMs;
  }
}
