import type { RecordedReply } from '../../../compiler/contracts/index.ts';
import { type ChatCall, parseChatCall } from './chat-request.ts';
import { promptOf } from './prompt.ts';
import { type Reply, replyTo } from './reply.ts';

/**
 * A made-up reply to a question nobody recorded, or whose reply was not kept: a function of the prompt, in the recorded
 * size and shape where there is one. Throws an ApiError for a request that makes no sense.
 */
export function syntheticReply(text: string, recorded: RecordedReply | undefined): Reply {
  const call = parseChatCall(text);
  const { shape, usage } = recorded ?? {};
  if (shape === undefined) return replyTo(call, promptOf(call), []);
  const tools = call.tools.filter((tool) => shape.toolCalls.includes(tool.name));
  const like: ChatCall = { ...call, tools, toolChoice: { kind: tools.length > 0 ? 'required' : 'none' } };
  const reply = replyTo(like, promptOf(call), []);
  const tokensVisible = Math.max(1, (usage?.tokensOut ?? reply.tokensVisible) - (usage?.tokensReasoning ?? 0));
  const sized = { ...reply, tokensVisible, tokensHidden: usage?.tokensReasoning ?? 0 };
  // JSON that was asked for cannot be cut or drawn out.
  if (tools.length > 0 || call.responseSchema !== undefined) return sized;
  return { ...sized, text: fitted(reply.text, shape.textLength), finish: shape.finish === 'length' ? 'length' : 'stop' };
}

const fitted = (text: string, length: number) =>
  text === '' ? '' : `${text} `.repeat(Math.ceil(length / (text.length + 1))).slice(0, length);
