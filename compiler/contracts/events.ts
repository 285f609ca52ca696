import type { Severity } from './errors.ts';

/** What stages say while they work. The command line renders it; no stage prints. */
export type StageEvent =
  | { readonly type: 'phase'; readonly phase: Phase; readonly title: string }
  | { readonly type: 'plan'; readonly blocks: number; readonly secondsLow: number; readonly secondsHigh: number }
  | { readonly type: 'deploying'; readonly configurationId: string; readonly label: string }
  | { readonly type: 'deployed'; readonly configurationId: string; readonly deploymentId: string; readonly seconds: number }
  | { readonly type: 'block-started'; readonly blockId: string; readonly label: string; readonly seconds: number }
  | {
      readonly type: 'block-finished';
      readonly blockId: string;
      readonly label: string;
      readonly valid: boolean;
      readonly p50Ms: number | null;
      readonly p95Ms: number | null;
      readonly usdPer1000: number | null;
      readonly reused: boolean;
    }
  | { readonly type: 'trial-failed'; readonly configurationId: string; readonly label: string; readonly message: string }
  | { readonly type: 'headroom'; readonly sentence: string }
  | { readonly type: 'best'; readonly label: string; readonly sentence: string }
  | { readonly type: 'spent'; readonly usd: number; readonly seconds: number; readonly remainingSeconds: number }
  | { readonly type: 'notice'; readonly severity: Severity | 'info'; readonly message: string };

export const phases = ['compile', 'prices', 'profile', 'capacity', 'search', 'race', 'confirm', 'report', 'redeploy'] as const;
export type Phase = (typeof phases)[number];
export type EmitEvent = (event: StageEvent) => void;

/** What every stage gets beside its input. Clock, randomness and ids are inputs; a seed is in every result. */
export interface StageContext {
  readonly emit: EmitEvent;
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly seed: number;
}
