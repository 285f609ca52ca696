import type { Cancellation } from './cancellation.ts';
import type { TraceScope } from './tracing.ts';

/** One request where it is now: who asked, how long is left, who waits for it, and its place in the trace. */
export interface Scope {
  readonly requestId: string;
  readonly requestClass: string | undefined;
  /** The user's session; the request's own id when the user named none. */
  readonly sessionId: string;
  /** Instance of the ingress that took the request from its user. */
  readonly origin: string | undefined;
  readonly cancellation: Cancellation;
  /** Components that hold a slot while they wait for this, outermost first. */
  readonly ancestors: readonly string[];
  readonly trace: TraceScope;
  /** Topic messages that happened before (see topics.ts). */
  readonly clock: Clock;
  /** Answers of people to earlier pauses of this request, by id of the pause. */
  readonly resume?: Resume;
}

export type Resume = { readonly [inputRequest: string]: unknown };

/** Last sequence number known per `topic|publisher instance`. */
export type Clock = { readonly [source: string]: number };
export const emptyClock: Clock = {};

/** Key of a `Clock`. */
export const sourceOf = (topic: string, publisher: string, instance: string) => `${topic}|${publisher}|${instance}`;
