import type { Block, Configuration } from '../../compiler/contracts/index.ts';

export interface BlockSpec {
  readonly configuration: Configuration;
  readonly p50Ms: number;
  readonly p95Ms?: number;
  readonly meanMs?: number;
  readonly usdPer1000?: number;
  readonly cpuMsPerRequest?: number;
  readonly perSecond?: number;
  readonly requestClass?: string;
}

/** A valid block of 1000 requests with these figures. */
export function blockOf(spec: BlockSpec): Block {
  const { p50Ms, p95Ms = p50Ms, meanMs = p50Ms, usdPer1000 = 1, cpuMsPerRequest = 1, perSecond = 10 } = spec;
  const usdPerHour = usdPer1000 * perSecond * 3.6;
  return {
    schemaVersion: 1,
    id: 'block',
    purpose: 'profile',
    configurationId: 'configuration',
    deploymentId: 'deployment',
    round: 0,
    seed: 1,
    startedAtMs: 0,
    warmupMs: 0,
    durationMs: (1000 / perSecond) * 1000,
    samplingRatio: 1,
    classes: {
      [spec.requestClass ?? 'default']: {
        requests: 1000,
        ok: 1000,
        errors: {},
        errorRate: 0,
        completion: 1,
        throughputPerSecond: perSecond,
        latencyMs: { n: 1000, mean: meanMs, p50: p50Ms, p90: p95Ms, p95: p95Ms, p99: p95Ms, max: p95Ms },
        firstChunkMs: null,
        gapMs: null,
      },
    },
    usage: spec.configuration.units.map((unit) => ({
      id: unit.id,
      replica: 0,
      cpuSeconds: cpuMsPerRequest / spec.configuration.units.length,
      peakMemoryMb: 50,
      restarts: 0,
    })),
    load: { offeredPerSecond: perSecond, deliveredPerSecond: perSecond, lagP99Ms: 0, driverCpuFraction: 0, hostCpuFraction: 0.2 },
    money: { allocatedUsd: 0, tokensUsd: 0, trafficUsd: 0, gpuUsd: 0, totalUsd: 0, usdPer1000Requests: usdPer1000, usdPerHour },
    quality: { valid: true, faults: [] },
    incidents: [],
    provenance: 'measured',
  };
}
