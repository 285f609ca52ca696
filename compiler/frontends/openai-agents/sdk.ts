/**
 * The parts of `@openai/agents` that are used here, seen in 0.14.3. All but the two marked ones are documented; those are
 * looked at before they are used, so that another version fails with a reason.
 */
export interface SdkAgent {
  name: string;
  instructions: unknown;
  prompt?: unknown;
  handoffDescription: string;
  handoffs: readonly (SdkAgent | SdkHandoff)[];
  /** `''` where the agent names none. */
  model: string | SdkModel;
  modelSettings: object;
  tools: readonly SdkTool[];
  mcpServers: readonly { readonly name?: unknown }[];
  inputGuardrails: readonly unknown[];
  outputGuardrails: readonly unknown[];
  /** `text`, or a schema. */
  outputType: unknown;
  toolUseBehavior: unknown;
  /** Not documented: whom the agent's hooks (`agent.on`) hang on. */
  eventEmitter?: object;
  clone(changes: object): SdkAgent;
  asTool(options: object): SdkTool;
  hasExplicitToolConfig?(): boolean;
}

export interface SdkHandoff {
  readonly agent: SdkAgent;
  readonly toolName: string;
  onInvokeHandoff(context: unknown, input: string): unknown;
  clone(changes: object): SdkHandoff;
}

export interface SdkTool {
  readonly type: string;
  readonly name: string;
  readonly description?: string;
  readonly parameters?: unknown;
  readonly outputSchema?: unknown;
  invoke?(context: unknown, input: string, details?: unknown): Promise<unknown>;
  /** Not documented as a mark: only tools made by `asTool` can be listened to. */
  readonly on?: unknown;
}

/** A model implementation, ours or the user's. */
export interface SdkModel {
  getResponse(request: SdkModelRequest): Promise<SdkModelResponse>;
  getStreamedResponse(request: SdkModelRequest): AsyncIterable<unknown>;
}

export interface SdkModelRequest {
  readonly systemInstructions?: string;
  readonly input: string | readonly SdkItem[];
  readonly modelSettings: { readonly [setting: string]: unknown };
  readonly tools: readonly { readonly type: string; readonly name: string; readonly description?: string; readonly parameters?: unknown }[];
  readonly handoffs: readonly { readonly toolName: string; readonly toolDescription: string; readonly inputJsonSchema: unknown }[];
  /** `text` or `{ type: 'json_schema', schema }`. */
  readonly outputType: unknown;
}

export interface SdkModelResponse {
  readonly usage: object;
  readonly output: readonly SdkItem[];
  readonly responseId?: string;
}

/** One item of a history, as the SDK's own protocol has it. */
export interface SdkItem {
  readonly type?: string;
  readonly [key: string]: unknown;
}

export interface SdkResult {
  readonly finalOutput: unknown;
  readonly lastAgent?: SdkAgent;
  readonly rawResponses: readonly SdkModelResponse[];
  readonly interruptions?: readonly SdkInterruption[];
  readonly state: { approve(interruption: SdkInterruption): void; reject(interruption: SdkInterruption): void };
}

export interface SdkInterruption {
  readonly rawItem?: { readonly name?: string; readonly arguments?: string };
}

export interface SdkRunner {
  run(agent: SdkAgent, input: unknown, options?: object): Promise<SdkResult>;
}

/** What the generated entry of a unit imports from the user's copy of the package. */
export interface Sdk {
  readonly Runner: { new (config?: object): SdkRunner; readonly prototype: SdkRunner };
  readonly RunContext: new (context?: unknown) => object;
  readonly Usage: new (usage?: object) => object;
  setTracingDisabled(disabled: boolean): void;
}

const isObject = (value: unknown): value is { readonly [key: string]: unknown } => typeof value === 'object' && value !== null;
const isFunction = (value: unknown) => typeof value === 'function';

export function isSdkAgent(value: unknown): value is SdkAgent {
  return (
    isObject(value) &&
    typeof value.name === 'string' &&
    Array.isArray(value.handoffs) &&
    Array.isArray(value.tools) &&
    isFunction(value.clone) &&
    isFunction(value.asTool) &&
    'instructions' in value &&
    'outputType' in value
  );
}

export const isSdkHandoff = (value: unknown): value is SdkHandoff =>
  isObject(value) && isSdkAgent(value.agent) && isFunction(value.onInvokeHandoff) && isFunction(value.clone);

/** Whether a tool runs an agent; which one, only running it tells (agents.ts). */
export const isAgentTool = (tool: SdkTool): boolean => tool.type === 'function' && isFunction(tool.invoke) && isFunction(tool.on);

export const isModel = (value: unknown): value is SdkModel => isObject(value) && isFunction(value.getResponse);

/** What is missing from the package for it to be used; empty when nothing is. */
export function missingFromSdk(sdk: { readonly [name: string]: unknown }): readonly string[] {
  const run = isFunction(sdk.Runner) ? (sdk.Runner as unknown as Sdk['Runner']).prototype?.run : undefined;
  return [
    ...(isFunction(run) ? [] : ['Runner.prototype.run']),
    ...['RunContext', 'Usage', 'setTracingDisabled'].filter((name) => !isFunction(sdk[name])),
  ];
}
