import { attr } from '../../../compiler/contracts/trace-attributes.ts';
import type { ForeignAttributes } from '../foreign/span.ts';
import { type Act, behind, type Convention, fill, quantity, type Reading, text } from './convention.ts';
import { indexedMessages, messageList } from './messages.ts';

/**
 * OpenTelemetry's GenAI conventions, today's names and those before them.
 * Source: https://github.com/open-telemetry/semantic-conventions-genai and, for the older, semantic-conventions 1.27 to 1.36.
 */
export const genai: Convention = {
  id: 'gen_ai',
  read(span, reading) {
    const { attributes, name, kind } = span;
    const operation = text(attributes, attr.operation);
    const model = text(attributes, attr.requestModel, attr.responseModel);
    const agent = text(attributes, attr.agentName);
    const tool = text(attributes, attr.toolName);
    const provider = text(attributes, attr.provider, 'gen_ai.system');
    const mcp = text(attributes, 'mcp.method.name');
    if (!operation && !model && !agent && !tool && !provider && !mcp) return false;
    const act = actOf(operation, { model, tool, mcp }) ?? (agent && !provider && kind === 'internal' ? 'agent' : undefined);
    fill(reading, 'act', act);
    if (reading.act === 'agent') fill(reading, 'subject', agent ?? text(attributes, 'gen_ai.agent.id') ?? behind(name, 'invoke_agent'));
    if (reading.act === 'tool') fill(reading, 'subject', tool ?? behind(name, 'execute_tool') ?? behind(name, 'tools/call'));
    if (reading.act === 'model') modelCall(attributes, reading, model);
    if (mcp) fill(reading, 'protocol', 'mcp');
    fill(reading, 'provider', provider);
    fill(reading, 'conversation', text(attributes, attr.conversationId, 'mcp.session.id'));
    return true;
  },
};

function modelCall(attributes: ForeignAttributes, reading: Reading, model: string | undefined): void {
  fill(reading, 'subject', model);
  fill(reading, 'tokensIn', quantity(attributes, attr.tokensIn, 'gen_ai.usage.prompt_tokens'));
  fill(reading, 'tokensOut', quantity(attributes, attr.tokensOut, 'gen_ai.usage.completion_tokens'));
  const cached = quantity(attributes, attr.tokensCached, 'gen_ai.usage.cache_read_input_tokens', 'gen_ai.usage.input_tokens.cached');
  fill(reading, 'tokensCached', cached);
  fill(reading, 'costUsd', quantity(attributes, 'gen_ai.usage.cost', 'gen_ai.usage.cost_usd', 'operation.cost'));
  const firstS = quantity(attributes, attr.timeToFirstChunkS, 'gen_ai.latency.time_to_first_token');
  fill(reading, 'firstChunkMs', firstS === undefined ? undefined : firstS * 1000);
  // vLLM's own span says how long the engine let it wait.
  const queueS = quantity(attributes, 'gen_ai.latency.time_in_queue');
  fill(reading, 'queueMs', queueS === undefined ? undefined : queueS * 1000);
  fill(reading, 'messages', messageList(attributes.get('gen_ai.input.messages')) ?? indexedMessages(attributes, 'gen_ai.prompt.'));
}

function actOf(
  operation: string | undefined,
  seen: { model?: string | undefined; tool?: string | undefined; mcp?: string | undefined },
): Act | undefined {
  switch (operation) {
    case 'invoke_agent':
      return 'agent';
    case 'execute_tool':
      return 'tool';
    case 'chat':
    case 'text_completion':
    case 'generate_content':
    case 'embeddings':
    case 'completion':
      return 'model';
    case 'create_agent':
    case 'invoke_workflow':
      return 'frame';
    default:
      if (seen.mcp !== undefined) return seen.mcp === 'tools/call' && seen.tool !== undefined ? 'tool' : undefined;
      if (seen.tool !== undefined) return 'tool';
      return seen.model === undefined ? undefined : 'model';
  }
}
