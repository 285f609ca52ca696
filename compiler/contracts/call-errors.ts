/** What can go wrong with a call between parts of a running application. Travels over every protocol, typed. */
export const callErrorCodes = {
  /** The handler threw. Not repeated. */
  failed: { retriable: false, status: 500 },
  /** Input or output does not fit its schema. */
  invalid: { retriable: false, status: 422 },
  /** No such component, or the caller never declared this channel. */
  unknown: { retriable: false, status: 404 },
  /** The bounded queue is full. Safe to repeat elsewhere: the handler never ran. */
  overloaded: { retriable: true, status: 429 },
  /** No replica could be reached, or the connection broke. Repeated only when the callee is safe to repeat. */
  unavailable: { retriable: true, status: 503 },
  /** The deadline passed. */
  deadline: { retriable: false, status: 504 },
  /**
   * Somebody has to answer first: `details` is an `InputRequest`. Not a failure: it passes through every caller up to the
   * ingress, no slot is held while a person thinks, and the reply comes as a new call of the same session.
   */
  inputRequired: { retriable: false, status: 428 },
  /** The caller went away. */
  cancelled: { retriable: false, status: 499 },
} as const;
export type CallErrorCode = keyof typeof callErrorCodes;

const codes: ReadonlyMap<number, CallErrorCode> = new Map(
  Object.entries(callErrorCodes).map(([code, { status }]) => [status, code as CallErrorCode]),
);
/** What an answer's status says went wrong; `failed` for one that none of ours has, undefined where nothing did. */
export const callErrorCodeOf = (status: number): CallErrorCode | undefined => (status < 400 ? undefined : (codes.get(status) ?? 'failed'));

/** The plain-data form that crosses the wire. */
export interface CallErrorValue {
  readonly code: CallErrorCode;
  readonly message: string;
  /** The component where it happened first. */
  readonly component?: string;
  /** True when the handler certainly never started, so repeating is always safe. */
  readonly neverStarted?: boolean;
  readonly details?: unknown;
}

/** What a paused component asks; the answer reaches it as `CallMeta.resume`. */
export interface InputRequest {
  /** Names the pause within the session, so that an answer meets its question. */
  readonly id: string;
  /** The component that asks. */
  readonly component: string;
  /** What the person is shown. JSON. */
  readonly prompt: unknown;
}

/** Body of the ingress's answer 428, and the `error` of a stream that ends with a pause: all a client needs to go on. */
export interface PausedAnswer extends CallErrorValue {
  readonly code: 'inputRequired';
  readonly details: InputRequest;
  /** To be sent back as the request's session, id and trace context (the last only where the request is traced). */
  readonly session: string;
  readonly request: string;
  readonly traceparent?: string;
  /** When the question was asked, epoch milliseconds of the server; echoed, so that the wait is seen in the trace. */
  readonly pausedAtMs: number;
}

export class CallError extends Error {
  readonly value: CallErrorValue;
  constructor(value: CallErrorValue, options?: { cause?: unknown }) {
    super(value.message, options);
    this.name = 'CallError';
    this.value = value;
  }
  get code(): CallErrorCode {
    return this.value.code;
  }
}

/** Any thrown thing as a CallError; foreign errors become `failed` with their message. */
export function toCallError(error: unknown, component?: string): CallError {
  if (error instanceof CallError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new CallError({ code: 'failed', message, ...(component === undefined ? {} : { component }) }, { cause: error });
}
