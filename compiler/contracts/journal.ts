import type { Configuration } from './configuration.ts';
import type { Block } from './measurement.ts';
import type { Headroom, Prediction, SearchCertificate } from './prediction.ts';
import type { Profile, ProtocolPrice } from './profile.ts';
import type { Comparison } from './verdict.ts';

/**
 * One line of `journal.ndjson`, append-only and synced to disk before the study goes on. The study is a deterministic
 * function of these, so resume is replay: what stands here is not done again.
 */
export type JournalEntry = { readonly atMs: number } & (
  | {
      readonly type: 'study-started';
      readonly schemaVersion: 1;
      readonly studyId: string;
      readonly seed: number;
      readonly toolVersion: string;
      readonly scenarioSha256: string;
      readonly machine: MachineFacts;
    }
  | { readonly type: 'study-resumed'; readonly toolVersion: string }
  | {
      readonly type: 'trial-added';
      readonly number: number;
      readonly configurationId: string;
      readonly configuration: Configuration;
      readonly roles: readonly string[];
      readonly prediction?: Prediction;
    }
  | { readonly type: 'block-finished'; readonly block: Block }
  /** From now on deployments hold so many GPUs together. A session that ends holds none. */
  | { readonly type: 'gpus-held'; readonly gpus: number }
  | {
      readonly type: 'trial-failed';
      readonly configurationId: string;
      readonly code: string;
      readonly message: string;
      readonly detail?: string;
    }
  /** What the predictor said of a configuration that was added before there was a profile. */
  | { readonly type: 'predicted'; readonly prediction: Prediction }
  | { readonly type: 'prices-measured'; readonly prices: readonly ProtocolPrice[] }
  | { readonly type: 'profiled'; readonly profile: Profile }
  | { readonly type: 'capacity-measured'; readonly configurationId: string; readonly requestsPerSecond: number; readonly clients: number }
  | { readonly type: 'headroom'; readonly headroom: Headroom }
  | { readonly type: 'searched'; readonly certificate: SearchCertificate; readonly chosen: readonly string[] }
  /** Who meets whom, and after how many rounds the data are looked at; fixed before the first block of the phase. */
  | {
      readonly type: 'planned';
      readonly phase: 'race' | 'confirm';
      readonly arms: readonly string[];
      readonly minRounds: number;
      readonly maxRounds: number;
    }
  | { readonly type: 'compared'; readonly phase: 'race' | 'confirm'; readonly comparisons: readonly Comparison[] }
  | { readonly type: 'decided'; readonly winner: string; readonly kind: DecisionKind; readonly sentence: string }
  | {
      readonly type: 'capped';
      readonly cap: 'time' | 'trials' | 'money' | 'gpu-hours';
      readonly phase?: 'profile' | 'search' | 'race' | 'confirm';
      readonly detail: string;
    }
  | { readonly type: 'interrupted'; readonly reason: string }
  | { readonly type: 'study-ended' }
);
export type DecisionKind = 'better' | 'keep-baseline' | 'inconclusive' | 'nothing-measured';

export interface MachineFacts {
  readonly cores: number;
  readonly memoryMb: number;
  readonly cpuModel: string;
  readonly platform: string;
  readonly node: string;
}

/** Everything the journal of one run says, folded. */
export interface Study {
  readonly entries: readonly JournalEntry[];
  readonly blocks: ReadonlyMap<string, Block>;
}
