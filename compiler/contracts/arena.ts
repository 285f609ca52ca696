import type { Configuration } from './configuration.ts';
import type { Block, BlockPurpose } from './measurement.ts';
import type { SpanRecord } from './traces.ts';

/** How the optimizer measures. It is handed in, so the optimizer knows no target, driver or collector. */
export interface Laboratory {
  /** Deploys the configurations side by side. A failed one is in `failures`; the others can be used. */
  openArena(configurations: readonly Configuration[], signal: AbortSignal): Promise<Arena>;
  /** GPUs that an arena of these holds; absent: none. */
  gpusOf?(configurations: readonly Configuration[]): number;
  /** GPUs that are held while no arena is open: model servers stay loaded for the next one. Absent: none. */
  gpusKept?(): number;
  /** Ends what was kept between arenas. May be called twice. */
  close?(): Promise<void>;
}

export interface Arena {
  readonly failures: readonly {
    readonly configurationId: string;
    readonly code: string;
    readonly message: string;
    readonly detail?: string;
  }[];
  /** Puts one arm under load; never two at once. */
  block(request: BlockRequest, signal: AbortSignal): Promise<MeasuredBlock>;
  close(): Promise<void>;
}

export interface BlockRequest {
  readonly id: string;
  readonly configurationId: string;
  readonly purpose: BlockPurpose;
  readonly round: number;
  readonly seed: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  readonly samplingRatio: number;
  /** `capacity` runs a closed loop with this many clients; otherwise arrivals are the scenario's, scaled by `rateScale`. */
  readonly closedClients?: number;
  readonly rateScale?: number;
}

export interface MeasuredBlock {
  readonly block: Block;
  readonly spans: readonly SpanRecord[];
}
