import type {
  BindAddress,
  Descriptor,
  Effect,
  JsonSchema,
  Literal,
  Pattern,
  ProtocolTraits,
  ReplicaAddress,
} from '../../compiler/contracts/index.ts';

/** What travels beside the body of every message, whatever the protocol. */
export interface CallMeta {
  readonly requestId: string;
  readonly requestClass?: string;
  readonly sessionId: string;
  /** The calling component. */
  readonly from: string;
  readonly channel: string;
  /** Milliseconds left; travels as a duration so that clocks need not agree. */
  readonly remainingMs: number;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** W3C `traceparent`, `tracestate`, `baggage`. */
  readonly trace: { readonly [header: string]: string };
  /** For topics: name, conversation, and the sequence number of this publisher in this conversation. */
  readonly topic?: { readonly name: string; readonly conversation: string; readonly sequence: number };
  /** Instance that took the request from its user; completion messages go back there. */
  readonly origin?: string;
  /** Answers to earlier `inputRequired` of this session, by the id of the request. JSON. */
  readonly resume?: { readonly [inputRequest: string]: unknown };
  /** Runtime-internal data, e.g. graph state bookkeeping. JSON. */
  readonly extra?: { readonly [key: string]: unknown };
}

export interface IncomingCall {
  readonly target: string;
  readonly pattern: Pattern;
  readonly body: unknown;
  readonly meta: CallMeta;
  /** Aborted when the caller cancels, goes away, or the deadline passes. */
  readonly signal: AbortSignal;
  readonly wire: { readonly requestBytes: number; readonly deserializeMs: number };
}

/**
 * The runtime's side of a listener. For `request` it resolves with the reply; for `stream` it calls `emit` per chunk
 * and resolves with the final output; for `send` and `publish` it resolves with undefined once the message is
 * *accepted* (handled later). It rejects with a CallError.
 */
export type CallHandler = (call: IncomingCall, emit: (chunk: unknown) => void) => Promise<unknown>;

export interface OutgoingCall {
  readonly target: string;
  readonly pattern: Pattern;
  readonly body: unknown;
  readonly meta: CallMeta;
  readonly signal: AbortSignal;
  /** Filled in by the protocol while the call runs; read by the tracer afterwards. */
  readonly wire: WireFacts;
}

export interface WireFacts {
  requestBytes: number;
  responseBytes: number;
  serializeMs: number;
}

/** One replica of one callee unit; reused for all calls of this process. */
export interface Connection {
  /** `request`, `send` and `publish`. Rejects with a CallError; a broken wire is `unavailable`. */
  call(call: OutgoingCall): Promise<unknown>;
  /** Yields chunks; the generator's return value is the final output. */
  stream(call: OutgoingCall): AsyncGenerator<unknown, unknown>;
  /** The tools a tool server offers at this moment; absent where the protocol has no such question. Rejects with a CallError. */
  discover?(target: string, signal: AbortSignal): Promise<readonly ServedTool[]>;
  close(): Promise<void>;
}

/** One tool as its server describes it. */
export interface ServedTool {
  readonly name: string;
  readonly description: string;
  readonly input: JsonSchema;
  readonly output?: JsonSchema;
  /** From what the server says of it (MCP annotations); `sideEffect` when it says nothing. */
  readonly effect: Effect;
}

/** A component of the listening unit, for protocols that introduce what they serve to strangers (cards, tool lists). */
export interface ServedComponent {
  readonly name: string;
  readonly kind: 'agent' | 'toolServer';
  readonly description: string;
  /** Of an agent. */
  readonly input: JsonSchema;
  readonly output: JsonSchema;
  readonly streams: boolean;
  /** What repeating a call of an agent does. */
  readonly effect?: Effect;
  /** Of a tool server. */
  readonly tools: readonly ServedTool[];
}

/** `CallMeta.from` of a call by somebody who is not part of this deployment. */
export const stranger = 'stranger';

export interface Listener {
  readonly at: BindAddress;
  /** Stops taking new calls, waits for those in flight up to `drainMs`, then closes. */
  close(drainMs: number): Promise<void>;
}

export type ProtocolOptions = { readonly [option: string]: Literal };

export interface Protocol {
  /**
   * Called once per listening address, before any connect. `served`: the components calls may be for; the unit says them
   * anew each time it is asked, since discovered tools come and go.
   */
  listen(at: BindAddress, handler: CallHandler, options: ProtocolOptions, served?: () => readonly ServedComponent[]): Promise<Listener>;
  /** Called once per callee replica and process. Must not throw when the peer is not up yet. */
  connect(to: ReplicaAddress, options: ProtocolOptions): Connection;
  /** What the target should bind for these options: a TCP port or a unix socket. */
  readonly bind: (options: ProtocolOptions) => 'tcp' | 'unix' | 'none';
}

export type ProtocolDescriptor = Descriptor<'protocol', ProtocolTraits, Protocol>;
export const defineProtocol = (descriptor: Omit<ProtocolDescriptor, 'kind'>): ProtocolDescriptor => ({ kind: 'protocol', ...descriptor });
