import { CallError } from '../../../compiler/contracts/call-errors.ts';
import type { Packed } from './envelope.ts';

/**
 * What goes between a graph's loop (the hub) and one of its nodes. JSON, so that every protocol carries it and payload
 * bytes are counted as on any other hop. Neighbours in one process hand live values over instead (see handover.ts).
 */
export interface NodeCall {
  readonly kind: 'node';
  /** The node's input; absent when a segment is called, whose first node takes its input from `segment.state`. */
  readonly input?: Packed;
  readonly config: {
    readonly tags: readonly string[];
    readonly metadata: Packed;
    readonly configurable: Packed;
    readonly runName?: string;
    readonly recursionLimit?: number;
    readonly context?: Packed;
    readonly executionInfo?: Packed;
  };
  /** Answers to this node's earlier interrupts. */
  readonly resume: Packed;
  /** An answer for whichever interrupt comes first. */
  readonly nullResume?: Packed;
  /** The hub has a checkpointer, so that the node may interrupt. */
  readonly mayInterrupt: boolean;
  /** What the hub wants to hear while the node runs. */
  readonly wants: readonly StreamKind[];
  /** The hub has a store; its operations are then calls back to the hub. */
  readonly store?: boolean;
  readonly segment?: SegmentCall;
}

/** Leave to go on with further nodes of this unit. */
export interface SegmentCall {
  /** The whole state before the first node. */
  readonly state: Packed;
  /** Nodes that may be run in this unit after the first, by id. */
  readonly nodes: readonly string[];
  /** Most nodes to run, the first included. */
  readonly limit: number;
}

export type StreamKind = 'custom' | 'messages';

export type NodeReply =
  | { readonly kind: 'result'; readonly result: Packed; readonly resumed?: Packed; readonly usedNull?: boolean }
  | { readonly kind: 'interrupt'; readonly interrupts: Packed; readonly resumed?: Packed; readonly usedNull?: boolean }
  /** A `Command` for the graph above, thrown out of the node. */
  | { readonly kind: 'parent'; readonly command: Packed }
  | { readonly kind: 'segment'; readonly steps: readonly SegmentStep[] };

/** What one node of a segment did. `failed` can only be the last. */
export type SegmentStep = { readonly node: string; readonly writes: Packed } | { readonly node: string; readonly failed: NodeFailure };

/** A node's error, as far as it can be rebuilt: retry policies look at its name, message and codes. */
export interface NodeFailure {
  readonly name: string;
  readonly message: string;
  /** Plain members, such as `status` or `code`. */
  readonly members: { readonly [key: string]: string | number | boolean };
}

/** A chunk of a node's streamed reply. */
export type NodeChunk =
  | { readonly custom: Packed }
  | { readonly llm: 'start'; readonly run: string; readonly name?: string; readonly tags: readonly string[]; readonly metadata: Packed }
  | { readonly llm: 'token'; readonly run: string; readonly token: string; readonly chunk: Packed }
  | { readonly llm: 'end'; readonly run: string; readonly message?: Packed }
  | { readonly llm: 'error'; readonly run: string; readonly message: string };

/** The error as the node threw it, out of what its turn made of it. */
export const thrownByNode = (error: unknown): unknown =>
  error instanceof CallError && error.code === 'failed' && error.cause instanceof Error ? error.cause : error;

export function failureOf(error: unknown): NodeFailure {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), members: {} };
  const members: { [key: string]: string | number | boolean } = {};
  for (const [key, member] of Object.entries(error)) {
    if (['name', 'message', 'stack', 'pregelTaskId'].includes(key)) continue;
    if (typeof member === 'string' || typeof member === 'boolean' || (typeof member === 'number' && Number.isFinite(member)))
      members[key] = member;
  }
  return { name: error.name, message: error.message, members };
}

export function errorOf({ name, message, members }: NodeFailure, cause?: unknown): Error {
  const error = new Error(message, { cause });
  Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  return Object.assign(error, members);
}

const failureKey = 'langgraph';
/** As `details` of the CallError a node's call rejects with. */
export const failureDetails = (failure: NodeFailure) => ({ [failureKey]: failure });
export function failureIn(details: unknown): NodeFailure | undefined {
  return typeof details === 'object' && details !== null && failureKey in details ? (details[failureKey] as NodeFailure) : undefined;
}
