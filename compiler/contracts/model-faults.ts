/**
 * What can go wrong with a call of a model, as `details.kind` of its `CallError` and as `attr.modelFault` of its span. The
 * code says what a caller may do about it, the kind says what happened.
 */
export const modelFaults = {
  /** 429. Repeated, as late as the server asks. */
  rateLimited: 'overloaded',
  /** 429 that no waiting mends: the account has no money left. */
  outOfQuota: 'failed',
  /** Prompt and reply do not fit the model. Never repeated: it would not fit again. */
  contextTooLong: 'failed',
  /** Any other 4xx. */
  refused: 'failed',
  /** 5xx, 408, 409, or an error where the reply should go on. */
  serverError: 'unavailable',
  /** No connection, or it broke before a reply began. */
  unreachable: 'unavailable',
  /** The reply began and did not end. */
  brokenOff: 'unavailable',
  /** Nothing came on a stream for `stallTimeoutMs`. */
  stalled: 'unavailable',
  /** Not JSON, or JSON that is no reply. */
  malformed: 'failed',
} as const;
export type ModelFault = keyof typeof modelFaults;

/** `details` of the `CallError` of a failed model call. */
export interface ModelFaultDetails {
  readonly kind: ModelFault;
  /** HTTP status, where there was a reply. */
  readonly status?: number;
  /** What the server asked for. */
  readonly retryAfterMs?: number;
  /** How often it was sent, when more than once. */
  readonly attempts?: number;
}

/** Undefined for errors that are not of a model call, and for ends that are no fault of it: a deadline, a caller that went away. */
export function modelFaultOf(details: unknown): ModelFaultDetails | undefined {
  if (typeof details !== 'object' || details === null || !('kind' in details)) return undefined;
  return typeof details.kind === 'string' && details.kind in modelFaults ? (details as ModelFaultDetails) : undefined;
}
