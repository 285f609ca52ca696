import type { LoadFacts } from '../../compiler/contracts/index.ts';
import type { DrawnArrivals } from './processes.ts';

/** Input of the load driver: plain data, so that it runs as a process, a container or a pod. */
export interface LoadJob {
  /** Base URLs of the ingress; requests go round robin unless a session pins them. */
  readonly urls: readonly string[];
  readonly blockId: string;
  readonly seed: number;
  readonly warmupMs: number;
  readonly durationMs: number;
  /** How long after the end answers may still come in. */
  readonly graceMs: number;
  readonly classes: readonly LoadClass[];
  /** NDJSON of `Sample`, written by the driver. */
  readonly samplesFile: string;
  /** As soon as this file is there, nothing more is sent and what is under way is broken off. */
  readonly stopFile?: string;
}

export interface LoadClass {
  readonly name: string;
  readonly inputs: readonly unknown[];
  readonly arrivals: LoadArrivals;
  readonly stream: boolean;
  readonly timeoutMs: number;
  readonly sessions?: number;
  /** What people reply where the application asks; the first that fits is taken. A question that none fits ends its request. */
  readonly humans?: readonly ScriptedReply[];
  /** Most of each reply's delay that is really waited; the rest is only counted. Default 0. */
  readonly humanWaitMs?: number;
  /** Hash of the right answer per input (SHA-256 of canonical JSON); answers are only counted when absent. */
  readonly expected?: readonly (string | null)[];
}

export interface ScriptedReply {
  /** The component that asks; default: any. */
  readonly component?: string;
  /** Text the question must contain: of its text, or of its JSON; default: any question. */
  readonly prompt?: string;
  readonly reply: unknown;
  /** How long a person takes for it. */
  readonly afterMs: number;
}

/** Times of a log are relative to where it starts to be played, in ms, already scaled. */
export type LoadArrivals =
  | { readonly process: 'closed'; readonly clients: number; readonly thinkMs: number }
  | DrawnArrivals
  | { readonly process: 'log'; readonly timesMs: readonly number[] }
  | SessionArrivals;

/**
 * New sessions come as a Poisson process, whatever the answers; inside a session the next turn is sent its think time
 * after the answer to the one before. Scripts are used in turn, from a seeded start.
 */
export interface SessionArrivals {
  readonly process: 'sessions';
  /** New sessions. */
  readonly perSecond: number;
  readonly scripts: readonly SessionScript[];
}

/** One session to be played: its turns use consecutive inputs of the class. */
export interface SessionScript {
  readonly firstInput: number;
  /** Before each turn, from the answer to the one before; that of the first turn counts for nothing. */
  readonly thinkMs: readonly number[];
}

/** The driver's last line of output. Samples are in the file. */
export interface LoadResult {
  readonly samples: number;
  readonly facts: LoadFacts;
  /** When the block's clock began, since 1970. */
  readonly startedAtMs?: number;
  /** SHA-256 of canonical JSON of the answer per class and input, when all answers to it agreed. */
  readonly answers: { readonly [requestClass: string]: readonly (string | null)[] };
}

/** What the driver prints instead when the disk did not take its samples: that says nothing about the application. */
export interface LoadUnwritten {
  readonly disk: string;
}

/**
 * The ingress protocol, seen from the driver:
 * `POST <url>/` with the input as JSON; headers `x-dmas-class`, `x-dmas-session`, `x-dmas-block`, `x-dmas-deadline-ms`.
 * 200 with the output as JSON, or with `accept: text/event-stream` a stream of `data: {"chunk":…}` events and a last
 * `data: {"output":…}` or `data: {"error":CallErrorValue}`. Errors: status of the CallErrorCode, body CallErrorValue.
 * A question to a person is 428 with a PausedAnswer; the reply goes with `x-dmas-resume: 1` and the body
 * `{"input":…,"resume":{id: reply},"pausedAtMs":…}` (runtime/agent/ingress.ts).
 */
export const ingressHeaders = {
  class: 'x-dmas-class',
  session: 'x-dmas-session',
  block: 'x-dmas-block',
  deadlineMs: 'x-dmas-deadline-ms',
  request: 'x-dmas-request',
  resume: 'x-dmas-resume',
} as const;
