import type {
  Block,
  Configuration,
  Headroom,
  Laboratory,
  MachineFacts,
  Prediction,
  Profile,
  ProtocolPrice,
  ScoredConfiguration,
  SearchCertificate,
  SpanRecord,
  Workflow,
} from '../../compiler/contracts/index.ts';
import type { Scenario } from '../../scenarios/schema.ts';
import type { Journal } from '../journal.ts';

type Eventually<T> = T | Promise<T>;

/** What the study asks of profiler, predictor and search. Handed in, so a study can be run against a known truth. */
export interface Planning {
  /** Prices of a hop per protocol, from a micro-benchmark. Absent: none are needed. */
  prices?(signal: AbortSignal): Eventually<readonly ProtocolPrice[]>;
  profile(blocks: readonly Block[], spans: readonly SpanRecord[]): Eventually<Profile>;
  headroom(profile: Profile, prices: readonly ProtocolPrice[], blocks: readonly Block[]): Eventually<Headroom>;
  /** The best `count` configurations, best first. A function of its arguments alone, so that resume finds the same. */
  search(
    profile: Profile,
    prices: readonly ProtocolPrice[],
    count: number,
    signal: AbortSignal,
  ): Eventually<{ readonly best: readonly ScoredConfiguration[]; readonly certificate: SearchCertificate }>;
  predict(configuration: Configuration, profile: Profile, prices: readonly ProtocolPrice[]): Eventually<Prediction>;
  /** Spans of a block measured earlier, read back from the run folder after a crash. */
  spansOf(blockId: string): Eventually<readonly SpanRecord[]>;
}

/** How long blocks are and how many rounds a phase may have. */
export interface StudyTiming {
  readonly warmupMs: number;
  readonly durationMs: number;
  /** Rounds before the first look; fewer than 3 pairs never give a verdict. */
  readonly minRounds: number;
  readonly maxRounds: number;
}

export interface StudyBudget {
  /** Of work, over all resumes together. */
  readonly timeMs: number;
  /** Configurations measured, the baseline included. */
  readonly trials: number;
  readonly moneyUsd?: number | undefined;
  /** Of GPUs that deployments hold, from their start to their end, over all resumes together. Simulated ones are none. */
  readonly gpuHours?: number | undefined;
}

export interface StudyInput {
  readonly studyId: string;
  readonly toolVersion: string;
  readonly machine: MachineFacts;
  readonly scenario: Scenario;
  readonly workflow: Workflow;
  /** What runs today: trial 0. */
  readonly baseline: Configuration;
  /** The two plain layouts every gain is also held against; null where the constraints forbid them. */
  readonly references: () => { readonly allInOne: Configuration | null; readonly onePerAgent: Configuration | null };
  readonly laboratory: Laboratory;
  readonly journal: Journal;
  readonly planning: Planning;
  readonly timing: StudyTiming;
  readonly budget: StudyBudget;
  /** Share of requests traced while verdicts are measured. Default 0.05. */
  readonly verdictSampling?: number;
  /** Load of the profile block as a share of the scenario's. Default 1. */
  readonly profileRateScale?: number;
  /** Closed-loop clients of a capacity block on the baseline. Absent: capacity is not measured. */
  readonly capacityClients?: number;
}
