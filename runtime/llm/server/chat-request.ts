import { z } from 'zod';
import type { JsonSchema } from '../../../compiler/contracts/index.ts';

/** An error as OpenAI's API words it. */
export class ApiError extends Error {
  readonly status: number;
  readonly type: string;
  readonly code: string | null;
  readonly param: string | null;
  constructor(status: number, code: string | null, message: string, param: string | null = null) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.type = status === 429 ? 'rate_limit_error' : status >= 500 ? 'server_error' : 'invalid_request_error';
    this.code = code;
    this.param = param;
  }
  body(): { error: { message: string; type: string; param: string | null; code: string | null } } {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } };
  }
}

export interface CallMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly text: string;
  readonly toolCalls: readonly { readonly id: string; readonly name: string; readonly arguments: string }[];
  readonly toolCallId: string | undefined;
}

export interface CallTool {
  readonly name: string;
  readonly description: string;
  readonly parameters: JsonSchema;
}

/** A chat completion request with everything optional decided. */
export interface ChatCall {
  readonly model: string;
  readonly messages: readonly CallMessage[];
  readonly tools: readonly CallTool[];
  /** `auto`, `none`, `required`, or the one tool it must call. */
  readonly toolChoice: { readonly kind: 'auto' | 'none' | 'required' } | { readonly kind: 'named'; readonly name: string };
  readonly parallelToolCalls: boolean;
  /** Present when the answer must be JSON; an empty schema for `json_object`. */
  readonly responseSchema: JsonSchema | undefined;
  readonly maxTokens: number | undefined;
  /** The reply ends before the first of them. */
  readonly stop: readonly string[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

const jsonObject = z.record(z.string(), z.json()) as unknown as z.ZodType<JsonSchema>;
const part = z.object({ type: z.literal('text'), text: z.string() });
const message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.union([z.string(), z.array(part)]).nullish(),
  tool_calls: z
    .array(
      z.object({ id: z.string(), type: z.literal('function').optional(), function: z.object({ name: z.string(), arguments: z.string() }) }),
    )
    .nullish(),
  tool_call_id: z.string().nullish(),
});
const bodySchema = z.object({
  model: z.string().min(1),
  messages: z.array(message).min(1),
  tools: z
    .array(
      z.object({
        type: z.literal('function'),
        function: z.object({ name: z.string().min(1), description: z.string().nullish(), parameters: jsonObject.nullish() }),
      }),
    )
    .nullish(),
  tool_choice: z
    .union([z.enum(['auto', 'none', 'required']), z.object({ type: z.literal('function'), function: z.object({ name: z.string() }) })])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  response_format: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('text') }),
      z.object({ type: z.literal('json_object') }),
      z.object({ type: z.literal('json_schema'), json_schema: z.object({ name: z.string(), schema: jsonObject.optional() }) }),
    ])
    .nullish(),
  max_tokens: z.int().positive().nullish(),
  max_completion_tokens: z.int().positive().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  stop: z.union([z.string(), z.array(z.string().min(1)).max(4)]).nullish(),
});

/**
 * Parameters that would change the form of the reply and are not simulated: refused, since ignoring them would hand out
 * something else than was asked for. Those of sampling have no meaning here and are let pass. Value: what still may stand there.
 */
const unsupported: { readonly [parameter: string]: (value: unknown) => boolean } = {
  n: (value) => value === 1,
  logprobs: (value) => value === false,
  top_logprobs: (value) => value === 0,
  audio: () => false,
  modalities: (value) => Array.isArray(value) && value.every((one) => one === 'text'),
  functions: () => false,
  function_call: () => false,
  web_search_options: () => false,
};

/** In the words of OpenAI's API. */
function refuseUnsupported(raw: unknown): void {
  if (typeof raw !== 'object' || raw === null) return;
  for (const [parameter, value] of Object.entries(raw)) {
    const allowed = Object.hasOwn(unsupported, parameter) ? unsupported[parameter] : undefined;
    if (allowed === undefined || value === null || allowed(value)) continue;
    throw new ApiError(
      400,
      'unsupported_parameter',
      `Unsupported parameter: '${parameter}' is not supported with this model: the simulated server has no such reply.`,
      parameter,
    );
  }
}

/** Throws an ApiError 400 that names the parameter. Parameters nobody here knows are ignored, as servers of open models do. */
export function parseChatCall(text: string): ChatCall {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    throw new ApiError(400, 'invalid_json', 'The body of the request is not valid JSON.');
  }
  refuseUnsupported(raw);
  const parsed = bodySchema.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const param = issue?.path.join('.') || null;
    throw new ApiError(400, 'invalid_value', `${param ?? 'body'}: ${issue?.message ?? 'invalid'}`, param);
  }
  const body = parsed.data;
  const tools = (body.tools ?? []).map(({ function: { name, description, parameters } }) => ({
    name,
    description: description ?? '',
    parameters: parameters ?? { type: 'object', properties: {} },
  }));
  const call: ChatCall = {
    model: body.model,
    messages: body.messages.map(normalMessage),
    tools,
    toolChoice: toolChoiceOf(body.tool_choice),
    parallelToolCalls: body.parallel_tool_calls ?? true,
    responseSchema: responseSchemaOf(body.response_format),
    maxTokens: body.max_completion_tokens ?? body.max_tokens ?? undefined,
    stop: typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []),
    stream: body.stream ?? false,
    includeUsage: body.stream_options?.include_usage ?? false,
  };
  checkToolMessages(call);
  return call;
}

function normalMessage(raw: z.infer<typeof message>): CallMessage {
  const { content } = raw;
  return {
    role: raw.role === 'developer' ? 'system' : raw.role,
    text: typeof content === 'string' ? content : (content ?? []).map((piece) => piece.text).join(''),
    toolCalls: (raw.tool_calls ?? []).map(({ id, function: { name, arguments: args } }) => ({ id, name, arguments: args })),
    toolCallId: raw.tool_call_id ?? undefined,
  };
}

function toolChoiceOf(choice: z.infer<typeof bodySchema>['tool_choice']): ChatCall['toolChoice'] {
  return typeof choice === 'object' && choice !== null ? { kind: 'named', name: choice.function.name } : { kind: choice ?? 'auto' };
}

function responseSchemaOf(format: z.infer<typeof bodySchema>['response_format']): JsonSchema | undefined {
  if (format?.type === 'json_object') return {};
  return format?.type === 'json_schema' ? (format.json_schema.schema ?? {}) : undefined;
}

/** OpenAI refuses conversations in which calls and answers do not belong together; so do we, or bugs would hide here. */
function checkToolMessages(call: ChatCall): void {
  let open = new Set<string>();
  call.messages.forEach((item, index) => {
    if (item.role === 'tool') {
      if (item.toolCallId === undefined || !open.delete(item.toolCallId)) {
        throw new ApiError(400, null, 'messages with role "tool" must answer a preceding tool call', `messages.${index}.tool_call_id`);
      }
      return;
    }
    if (open.size > 0) throw new ApiError(400, null, `tool calls without an answer: ${[...open].join(', ')}`, `messages.${index}`);
    open = new Set(item.toolCalls.map((toolCall) => toolCall.id));
  });
  if (open.size > 0) throw new ApiError(400, null, `tool calls without an answer: ${[...open].join(', ')}`, 'messages');
}
