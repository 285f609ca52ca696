import type { Estimate } from './provenance.ts';

export type VerdictKind = 'better' | 'worse' | 'same' | 'inconclusive';

/** One metric of two configurations, compared over paired blocks. */
export interface Comparison {
  /** e.g. `latency.p95`, `cost.usdPer1000`, `requestsPerCpuSecond`. */
  readonly metric: string;
  readonly requestClass?: string;
  readonly unit: 'ms' | 'usd' | 'per-cpu-second' | 'share' | 'per-second' | 'count';
  readonly baselineConfigurationId: string;
  readonly challengerConfigurationId: string;
  readonly baseline: number;
  readonly challenger: number;
  /** challenger / baseline, from paired blocks; below 1 is an improvement when `lowerIsBetter`. */
  readonly ratio: Estimate;
  readonly lowerIsBetter: boolean;
  readonly verdict: VerdictKind;
  readonly pairs: number;
  readonly excludedBlocks: number;
  readonly reason: string;
}
