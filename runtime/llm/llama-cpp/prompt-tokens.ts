import { canonicalJson } from '../../../compiler/contracts/index.ts';
import type { CallMessage, ChatCall } from '../server/chat-request.ts';
import type { ChatHistoryItem, ChatWrapper, LlamaModel, Token } from './peer.ts';

/** How tool calls stand in a conversation, and what a reply that calls tools is made of. */
export const callsText = (calls: CallMessage['toolCalls']): string =>
  calls.map(({ name, arguments: given }) => `${name}(${given})`).join('\n');

/** How a model that is free to call tools says what it wants; see `ownReply`. */
const howToCall =
  'Answer with a JSON object: {"tool": name, "arguments": {…}} to call one of the tools above, or {"answer": text} to answer.';

/** The prompt of a model that brings a chat template of its own. Answers of tools are messages of the user, which every template knows. */
export function templatePrompt(wrapper: ChatWrapper, model: LlamaModel, call: ChatCall): Token[] {
  const names = new Map(call.messages.flatMap(({ toolCalls }) => toolCalls.map(({ id, name }) => [id, name])));
  const tools = call.tools.length === 0 ? [] : [`Tools:\n${canonicalJson(call.tools)}\n${howToCall}`];
  const system = [...call.messages.filter(({ role }) => role === 'system').map(({ text }) => text), ...tools].join('\n\n');
  const history: ChatHistoryItem[] = system === '' ? [] : [{ type: 'system', text: system }];
  for (const { role, text, toolCalls, toolCallId } of call.messages) {
    if (role === 'user') history.push({ type: 'user', text });
    if (role === 'tool') history.push({ type: 'user', text: `Result of ${names.get(toolCallId ?? '') ?? 'the tool'}:\n${text}` });
    if (role === 'assistant')
      history.push({ type: 'model', response: [[text, callsText(toolCalls)].filter((one) => one !== '').join('\n')] });
  }
  history.push({ type: 'model', response: [] });
  return wrapper.generateContextState({ chatHistory: history }).contextText.tokenize(model.tokenizer);
}

/**
 * The prompt of a model we wrote. Tools first, as chat templates put them, then one part per message; each part is tokenized by itself, so that a
 * conversation that goes on begins with the very tokens it had before, replies included.
 */
export function promptTokens(model: LlamaModel, call: ChatCall): Token[] {
  const tokens: Token[] = [];
  const part = (role: string, texts: readonly string[]) => {
    for (const text of [`### ${role}\n`, ...texts.filter((one) => one !== ''), '\n']) tokens.push(...tokenized(model, text));
  };
  if (call.tools.length > 0) part('tools', [canonicalJson(call.tools)]);
  for (const message of call.messages) part(message.role, [message.text, callsText(message.toolCalls)]);
  tokens.push(...tokenized(model, '### assistant\n'));
  return tokens;
}

const rememberedTexts = 512;
const remembered = new WeakMap<LlamaModel, Map<string, Token[]>>();

/** Remembers the texts of late: a growing conversation is sent whole every time. */
function tokenized(model: LlamaModel, text: string): Token[] {
  const known = remembered.get(model) ?? new Map<string, Token[]>();
  remembered.set(model, known);
  let tokens = known.get(text);
  if (tokens === undefined) {
    tokens = model.tokenize(text);
    if (known.size >= rememberedTexts) known.delete(known.keys().next().value ?? '');
  } else known.delete(text);
  known.set(text, tokens);
  return tokens;
}
