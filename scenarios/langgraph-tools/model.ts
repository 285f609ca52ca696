import type { CallbackManagerForLLMRun } from '@langchain/core/callbacks/manager';
import { BaseChatModel, type BaseChatModelCallOptions, type BindToolsInput } from '@langchain/core/language_models/chat_models';
import { AIMessage, AIMessageChunk, type BaseMessage, type ToolMessage } from '@langchain/core/messages';
import { ChatGenerationChunk, type ChatResult } from '@langchain/core/outputs';
import { convertToOpenAITool } from '@langchain/core/utils/function_calling';

interface Options extends BaseChatModelCallOptions {
  readonly tools?: readonly object[];
}

/** A chat model behind any endpoint that speaks OpenAI's chat completions; `OPENAI_BASE_URL` and `OPENAI_API_KEY` say where. */
export class OpenAiChat extends BaseChatModel<Options> {
  readonly model: string;

  constructor(model: string) {
    super({});
    this.model = model;
  }

  _llmType() {
    return 'openai-compatible';
  }

  override bindTools(tools: BindToolsInput[]) {
    return this.withConfig({ tools: tools.map((tool) => convertToOpenAITool(tool as never)) });
  }

  async _generate(messages: BaseMessage[], options: this['ParsedCallOptions']): Promise<ChatResult> {
    const response = await this.post(messages, options, false);
    const { choices } = (await response.json()) as Completion;
    const { content, tool_calls: calls = [] } = choices[0].message;
    const message = new AIMessage({
      content: content ?? '',
      tool_calls: calls.map(({ id, function: { name, arguments: args } }) => ({ id, name, args: JSON.parse(args), type: 'tool_call' })),
    });
    return { generations: [{ text: content ?? '', message }] };
  }

  override async *_streamResponseChunks(messages: BaseMessage[], options: this['ParsedCallOptions'], run?: CallbackManagerForLLMRun) {
    const response = await this.post(messages, options, true);
    const decoder = new TextDecoder();
    let rest = '';
    for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (!line.startsWith('data: {')) continue;
        const { choices } = JSON.parse(line.slice('data: '.length)) as Delta;
        const delta = choices[0]?.delta;
        if (delta === undefined) continue;
        const text = delta.content ?? '';
        const message = new AIMessageChunk({
          content: text,
          tool_call_chunks: (delta.tool_calls ?? []).map((call) => ({
            type: 'tool_call_chunk',
            index: call.index,
            ...(call.id === undefined ? {} : { id: call.id }),
            ...(call.function.name === undefined ? {} : { name: call.function.name }),
            args: call.function.arguments ?? '',
          })),
        });
        const chunk = new ChatGenerationChunk({ text, message });
        yield chunk;
        await run?.handleLLMNewToken(text, undefined, undefined, undefined, undefined, { chunk });
      }
    }
  }

  private async post(messages: BaseMessage[], { tools, signal }: this['ParsedCallOptions'], stream: boolean): Promise<Response> {
    const response = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${process.env.OPENAI_API_KEY}` },
      body: JSON.stringify({
        model: this.model,
        messages: messages.map(wireMessage),
        ...(tools === undefined ? {} : { tools }),
        ...(stream ? { stream: true, stream_options: { include_usage: true } } : {}),
      }),
      ...(signal === undefined ? {} : { signal }),
    });
    if (response.ok) return response;
    throw Object.assign(new Error(`the model answered ${response.status}: ${await response.text()}`), { status: response.status });
  }
}

interface Call {
  readonly id: string;
  readonly function: { readonly name: string; readonly arguments: string };
}
interface Completion {
  readonly choices: [{ readonly message: { readonly content: string | null; readonly tool_calls?: readonly Call[] } }];
}
interface Delta {
  readonly choices: readonly {
    readonly delta: {
      readonly content?: string | null;
      readonly tool_calls?: readonly { readonly index: number; readonly id?: string; readonly function: Partial<Call['function']> }[];
    };
  }[];
}

function wireMessage(message: BaseMessage): object {
  const content = message.text;
  switch (message.getType()) {
    case 'system':
      return { role: 'system', content };
    case 'tool':
      return { role: 'tool', content, tool_call_id: (message as ToolMessage).tool_call_id };
    case 'ai': {
      const calls = ((message as AIMessage).tool_calls ?? []).map(({ id, name, args }) => ({
        id,
        type: 'function',
        function: { name, arguments: JSON.stringify(args) },
      }));
      return { role: 'assistant', content, ...(calls.length === 0 ? {} : { tool_calls: calls }) };
    }
    default:
      return { role: 'user', content };
  }
}
