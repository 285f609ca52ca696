import type { Block, ClassResult } from '../../../compiler/contracts/index.ts';

/** A class result whose latencies are all the given value. */
export function classResult(latencyMs: number | null, rest: Partial<ClassResult> = {}): ClassResult {
  const summary =
    latencyMs === null
      ? null
      : { n: 20, mean: latencyMs, p50: latencyMs, p90: latencyMs, p95: latencyMs * 2, p99: latencyMs * 3, max: latencyMs * 4 };
  return {
    requests: 20,
    ok: 20,
    errors: {},
    errorRate: 0,
    completion: 1,
    throughputPerSecond: 5,
    latencyMs: summary,
    firstChunkMs: null,
    gapMs: null,
    ...rest,
  };
}

/** A block that measured well; override what a test is about. */
export function madeBlock(rest: Partial<Block> = {}): Block {
  return {
    schemaVersion: 1,
    id: 'b',
    purpose: 'race',
    configurationId: 'base',
    deploymentId: 'd1',
    round: 0,
    seed: 1,
    startedAtMs: 0,
    warmupMs: 1000,
    durationMs: 4000,
    samplingRatio: 0.05,
    classes: { default: classResult(100) },
    usage: [{ id: 'u', replica: 0, cpuSeconds: 0.5, peakMemoryMb: 50, restarts: 0 }],
    load: { offeredPerSecond: 5, deliveredPerSecond: 5, lagP99Ms: 1, driverCpuFraction: 0.1, hostCpuFraction: 0.3 },
    money: { allocatedUsd: 1, tokensUsd: 0, trafficUsd: 0, gpuUsd: 0, totalUsd: 0.001, usdPer1000Requests: 0.4, usdPerHour: 1 },
    quality: { valid: true, faults: [] },
    incidents: [],
    provenance: 'measured',
    ...rest,
  };
}
