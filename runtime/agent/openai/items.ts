import { CallError } from '../../../compiler/contracts/call-errors.ts';
import type { Json, JsonSchema } from '../../../compiler/contracts/json.ts';
import type { SdkItem, SdkModelRequest } from '../../../compiler/frontends/openai-agents/sdk.ts';
import type { ChatMessage, ChatReply, ChatRequest, ToolCall } from '../../llm/backend.ts';

/**
 * A model request of the SDK as a chat completion: hand-offs are functions like the others, which is how the SDK means them.
 *
 * @throws CallError `invalid` for what a chat completion cannot carry (pictures, files, items of hosted tools)
 */
export function chatRequestOf(request: SdkModelRequest): ChatRequest {
  const { systemInstructions, input, tools, handoffs, outputType, modelSettings } = request;
  const functions = [
    ...tools.map(({ type, name, description, parameters }) => {
      if (type !== 'function') throw unsupported(`the tool ${name} (${type})`);
      return { name, description: description ?? '', parameters: (parameters ?? {}) as JsonSchema };
    }),
    ...handoffs.map(({ toolName, toolDescription, inputJsonSchema }) => ({
      name: toolName,
      description: toolDescription,
      parameters: inputJsonSchema as JsonSchema,
    })),
  ];
  const system: ChatMessage[] = systemInstructions === undefined ? [] : [{ role: 'system', content: systemInstructions }];
  const { maxTokens } = modelSettings;
  const parameters = parametersOf(modelSettings, functions.length > 0);
  const schema =
    (outputType as { readonly schema?: JsonSchema } | 'text') === 'text' ? undefined : (outputType as { schema?: JsonSchema }).schema;
  return {
    messages: [...system, ...messagesOf(input)],
    tools: functions,
    ...(schema === undefined ? {} : { responseSchema: schema }),
    ...(typeof maxTokens === 'number' ? { maxTokens } : {}),
    ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
  };
}

/** Settings by their names on the wire. What only some models know (reasoning, verbosity) is the scenario's to say. */
function parametersOf(settings: SdkModelRequest['modelSettings'], hasFunctions: boolean): { readonly [name: string]: Json } {
  const { temperature, topP, frequencyPenalty, presencePenalty, toolChoice, parallelToolCalls } = settings;
  const plain = { temperature, top_p: topP, frequency_penalty: frequencyPenalty, presence_penalty: presencePenalty };
  const choice =
    typeof toolChoice !== 'string' || ['auto', 'required', 'none'].includes(toolChoice)
      ? toolChoice
      : { type: 'function', function: { name: toolChoice } };
  const all = { ...plain, ...(hasFunctions ? { tool_choice: choice, parallel_tool_calls: parallelToolCalls } : {}) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as { readonly [name: string]: Json };
}

function messagesOf(input: SdkModelRequest['input']): ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  const messages: ChatMessage[] = [];
  for (const item of input) {
    switch (item.type ?? 'message') {
      case 'message':
        messages.push({ role: item.role as 'user' | 'assistant' | 'system', content: textOf(item.content) });
        break;
      case 'function_call':
        addCall(messages, { id: String(item.callId), name: String(item.name), arguments: String(item.arguments ?? '') });
        break;
      case 'function_call_result':
        messages.push({ role: 'tool', toolCallId: String(item.callId), content: textOf(item.output) });
        break;
      case 'reasoning':
        break;
      default:
        throw unsupported(`an item of type ${item.type}`);
    }
  }
  return messages;
}

/** Calls of one turn stand in one message, with the text before them. */
function addCall(messages: ChatMessage[], call: ToolCall): void {
  const last = messages.at(-1);
  if (last?.role !== 'assistant') messages.push({ role: 'assistant', content: '', toolCalls: [call] });
  else messages[messages.length - 1] = { ...last, toolCalls: [...(last.toolCalls ?? []), call] };
}

function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  const parts = Array.isArray(content) ? content : [content];
  return parts
    .map((part: { readonly type?: string; readonly text?: unknown; readonly refusal?: unknown }) => {
      if (typeof part?.text === 'string') return part.text;
      if (typeof part?.refusal === 'string') return part.refusal;
      throw unsupported(`content of type ${part?.type ?? typeof part}`);
    })
    .join('');
}

/** A model's reply as items of a history. */
export function outputItemsOf({ text, toolCalls }: Pick<ChatReply, 'text' | 'toolCalls'>): SdkItem[] {
  const said = text === '' && toolCalls.length > 0 ? [] : [messageItem(text)];
  const calls = toolCalls.map(({ id, name, arguments: args }) => ({
    type: 'function_call',
    callId: id,
    name,
    status: 'completed',
    arguments: args,
  }));
  return [...said, ...calls];
}

export const messageItem = (text: string): SdkItem => ({
  type: 'message',
  role: 'assistant',
  status: 'completed',
  content: [{ type: 'output_text', text }],
});

/** Text of the last message of a response. */
export function lastText(output: readonly SdkItem[]): string {
  const last = output.filter((item) => item.type === 'message').at(-1);
  return last === undefined ? '' : textOf(last.content);
}

const unsupported = (what: string) => new CallError({ code: 'invalid', message: `${what} cannot be sent to a chat model` });
