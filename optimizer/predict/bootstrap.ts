import { createRandom } from '../../compiler/contracts/index.ts';

export interface LatencyStatistics {
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly meanMs: number;
}

export interface BootstrappedLatency extends LatencyStatistics {
  /** Standard deviation of the logarithm of each statistic over resampled requests. */
  readonly spread: LatencyStatistics;
}

const replicates = 60;

/**
 * Statistics of simulated latencies, with their sampling error by the cluster bootstrap: traced requests (skeletons)
 * are what was sampled from the workload, so whole skeletons with all their replays are drawn with replacement.
 */
export function bootstrapLatency(latencyMs: Float64Array, cluster: Int32Array, seed: number): BootstrappedLatency {
  const n = latencyMs.length;
  const order = Int32Array.from({ length: n }, (_, i) => i).sort((a, b) => (latencyMs[a] as number) - (latencyMs[b] as number));
  const sorted = Float64Array.from(order, (i) => latencyMs[i] as number);
  const numbers = new Map<number, number>();
  for (const id of cluster) if (!numbers.has(id)) numbers.set(id, numbers.size);
  const sortedCluster = Int32Array.from(order, (i) => numbers.get(cluster[i] as number) as number);
  const clusters = numbers.size;
  const random = createRandom(seed);
  const weights = new Float64Array(clusters);
  const at = (): LatencyStatistics => weighted(sorted, sortedCluster, weights);
  weights.fill(1);
  const point = at();
  const logs = { p50Ms: [] as number[], p95Ms: [] as number[], meanMs: [] as number[] };
  for (let replicate = 0; replicate < replicates; replicate++) {
    weights.fill(0);
    for (let draw = 0; draw < clusters; draw++) {
      const drawn = random.integer(clusters);
      weights[drawn] = (weights[drawn] as number) + 1;
    }
    const statistics = at();
    for (const key of ['p50Ms', 'p95Ms', 'meanMs'] as const) logs[key].push(Math.log(Math.max(1e-9, statistics[key])));
  }
  return { ...point, spread: { p50Ms: deviation(logs.p50Ms), p95Ms: deviation(logs.p95Ms), meanMs: deviation(logs.meanMs) } };
}

function weighted(sorted: Float64Array, cluster: Int32Array, weights: Float64Array): LatencyStatistics {
  let total = 0;
  let sum = 0;
  for (let i = 0; i < sorted.length; i++) {
    const weight = weights[cluster[i] as number] as number;
    total += weight;
    sum += weight * (sorted[i] as number);
  }
  if (total === 0) return { p50Ms: 0, p95Ms: 0, meanMs: 0 };
  let passed = 0;
  let p50Ms = -1;
  for (let i = 0; i < sorted.length; i++) {
    passed += weights[cluster[i] as number] as number;
    if (p50Ms < 0 && passed >= 0.5 * total) p50Ms = sorted[i] as number;
    if (passed >= 0.95 * total) return { p50Ms, p95Ms: sorted[i] as number, meanMs: sum / total };
  }
  return { p50Ms, p95Ms: sorted[sorted.length - 1] ?? 0, meanMs: sum / total };
}

function deviation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, values.length - 1));
}
