import type { Descriptor, Json, JsonSchema, LlmTraits, PlannedModel } from '../../compiler/contracts/index.ts';

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  /** On assistant messages. */
  readonly toolCalls?: readonly ToolCall[];
  /** On tool messages: which call it answers. */
  readonly toolCallId?: string;
}

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text as the model wrote it. */
  readonly arguments: string;
}

export interface ChatRequest {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly { readonly name: string; readonly description: string; readonly parameters: JsonSchema }[];
  /** When present the answer must be JSON of this shape. */
  readonly responseSchema?: JsonSchema;
  readonly maxTokens?: number;
  readonly seed?: number;
  /** Other parameters of a chat completion by their names on the wire, e.g. `temperature`, `tool_choice`. */
  readonly parameters?: { readonly [parameter: string]: Json };
  /** Who asks, told to servers of ours alone: replies on a tape are found by it, and misses are counted by it. */
  readonly asker?: { readonly agent?: string; readonly conversation: string };
}

export interface ChatReply {
  readonly text: string;
  readonly toolCalls: readonly ToolCall[];
  readonly finish: 'stop' | 'tool_calls' | 'length';
  readonly usage: { readonly tokensIn: number; readonly tokensCached: number; readonly tokensOut: number };
  /** From the send to the first chunk. */
  readonly firstChunkMs: number;
  /** Time in the engine's queue, where the engine says it (simulated and vLLM do). */
  readonly queueMs?: number;
  /** How often it was sent until this reply came; absent: once. */
  readonly attempts?: number;
  /** The endpoint reported no tokens, so `usage` was counted from the text. */
  readonly usageEstimated?: boolean;
}

export interface ChatModel {
  /**
   * `emit` gets text as it comes; asking with `emit` streams on the wire. With a `gate` every attempt waits for its permit.
   * Rejects with a CallError.
   */
  chat(request: ChatRequest, signal: AbortSignal, emit?: (text: string) => void, gate?: SendGate): Promise<ChatReply>;
}

/** What keeps the attempts of one call within the limits of its model. */
export interface SendGate {
  /** Resolves when the call may be sent. @throws CallError when the call ends before, or nobody keeps count */
  enter(signal: AbortSignal): Promise<SendPermit>;
}

export interface SendPermit {
  /** The call is on its way. */
  sent(): void;
  /** It is over; with the tokens it really took, where the reply says them. Every later call does nothing. */
  leave(tokens?: number): void;
}

export interface LlmBackend {
  /** Called once per process and logical model. `baseUrl` is the bound address; `key` the secret's value if any. */
  connect(model: PlannedModel, baseUrl: string, key: string | undefined): ChatModel;
}

export type LlmBackendDescriptor = Descriptor<'llmBackend', LlmTraits, LlmBackend>;
export const defineLlmBackend = (descriptor: Omit<LlmBackendDescriptor, 'kind'>): LlmBackendDescriptor => ({
  kind: 'llmBackend',
  ...descriptor,
});
