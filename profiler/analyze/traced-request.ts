import type { SkeletonCall } from '../../compiler/contracts/profile.ts';

/**
 * A `RequestSkeleton` that has kept what its hops took in the layout it was traced in. A value of this type is also one
 * of that, so what replays skeletons replays these.
 */
export interface TracedRequest {
  readonly requestClass: string;
  /** Waits for people left out. */
  readonly measuredMs: number;
  readonly root: TracedVisit;
}

export interface TracedVisit {
  readonly component: string;
  readonly phases: readonly TracedPhase[];
}

export interface TracedPhase {
  readonly selfMs: number;
  readonly cpuMs: number;
  readonly calls: readonly TracedCall[];
}

export type TracedCall =
  | (Omit<Extract<SkeletonCall, { kind: 'component' }>, 'visit'> & {
      /** What the caller waited beyond the callee's own span: both libraries, network, and waits before the callee's span began. */
      readonly hopMs: number;
      readonly visit: TracedVisit;
    })
  | Extract<SkeletonCall, { kind: 'model' }>;
