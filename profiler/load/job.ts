import type { LoadFacts } from '../../compiler/contracts/index.ts';

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
}

export interface LoadClass {
  readonly name: string;
  readonly inputs: readonly unknown[];
  readonly arrivals: LoadArrivals;
  readonly stream: boolean;
  readonly timeoutMs: number;
  readonly sessions?: number;
  /** Hash of the right answer per input (SHA-256 of canonical JSON); answers are only counted when absent. */
  readonly expected?: readonly (string | null)[];
}

/** Times of a log are relative to its first arrival, in ms, already scaled. */
export type LoadArrivals =
  | { readonly process: 'closed'; readonly clients: number; readonly thinkMs: number }
  | { readonly process: 'constant' | 'poisson'; readonly perSecond: number }
  | { readonly process: 'log'; readonly timesMs: readonly number[] };

/** The driver's last line of output. Samples are in the file. */
export interface LoadResult {
  readonly samples: number;
  readonly facts: LoadFacts;
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
 */
export const ingressHeaders = {
  class: 'x-dmas-class',
  session: 'x-dmas-session',
  block: 'x-dmas-block',
  deadlineMs: 'x-dmas-deadline-ms',
  request: 'x-dmas-request',
  resume: 'x-dmas-resume',
} as const;
