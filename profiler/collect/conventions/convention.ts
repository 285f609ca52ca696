import type { ContentMark } from '../foreign/hash.ts';
import type { ForeignAttributes, ForeignSpan } from '../foreign/span.ts';

/**
 * What a span stands for:
 * - `agent`, `tool`, `model`, `human`: a turn of the component `subject`
 * - `database`, `queue`: a client's use of the one named `subject`
 * - `call`: a hop to `subject` seen by its caller; `serve`: one seen by its callee
 * - `entry`: our own ingress
 * - `frame`: inside of something else: middleware, chains, tasks
 */
export type Act = 'agent' | 'tool' | 'model' | 'human' | 'database' | 'queue' | 'call' | 'serve' | 'entry' | 'frame';

/** What the conventions make of one span; the first that knows a field fills it. */
export interface Reading {
  act?: Act;
  /** Name of the agent, tool, model, peer, topic. */
  subject?: string;
  protocol?: string;
  provider?: string;
  /** Of the user's conversation or session. */
  conversation?: string;
  tokensIn?: number;
  tokensOut?: number;
  tokensCached?: number;
  costUsd?: number;
  firstChunkMs?: number;
  requestBytes?: number;
  responseBytes?: number;
  /** CPU or event-loop time of the turn. */
  cpuMs?: number;
  queueMs?: number;
  errorType?: string;
  /** Input messages of a model call, in order. */
  messages?: ContentMark[];
  /** The message is not answered. */
  oneWay?: boolean;
  /** What was asked for, for naming kinds of requests (an HTTP route). */
  operation?: string;
  requestClass?: string;
}

/** One set of attribute names. A file each; what they agree on is told once, in the first that knows it. */
export interface Convention {
  readonly id: string;
  /** Fills what the span's attributes say and `reading` lacks. Returns whether the span has any attribute of the convention. */
  read(span: ForeignSpan, reading: Reading): boolean;
}

export function text(attributes: ForeignAttributes, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = attributes.get(name);
    if (typeof value === 'string' && value !== '') return value.length > 200 ? value.slice(0, 200) : value;
    if (typeof value === 'number') return String(value);
  }
  return undefined;
}

/** A finite number that is not negative; exporters write numbers as text, too. */
export function quantity(attributes: ForeignAttributes, ...names: readonly string[]): number | undefined {
  for (const name of names) {
    const value = attributes.get(name);
    const number = typeof value === 'string' && value !== '' ? Number(value) : value;
    if (typeof number === 'number' && Number.isFinite(number) && number >= 0) return number;
  }
  return undefined;
}

/** Sets a field that has no value yet. */
export function fill<K extends keyof Reading>(reading: Reading, key: K, value: Reading[K] | undefined): void {
  if (value !== undefined && reading[key] === undefined) reading[key] = value;
}

/** The part of a span's name behind its first word, e.g. `invoke_agent planner`. */
export function behind(name: string, word: string): string | undefined {
  return name.startsWith(`${word} `) ? name.slice(word.length + 1, 201) : undefined;
}
