import { type Act, type Convention, fill, quantity, text } from './convention.ts';
import { indexedMessages } from './messages.ts';

/** Arize's OpenInference. Source: https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md */
export const openinference: Convention = {
  id: 'openinference',
  read({ attributes, name }, reading) {
    const kind = text(attributes, 'openinference.span.kind');
    if (kind === undefined) return false;
    const act = acts[kind.toUpperCase()] ?? 'frame';
    // A node of a graph is a chain to OpenInference, and an agent to everybody who drew the graph.
    const node = text(attributes, 'graph.node.id', 'graph.node.name');
    fill(reading, 'act', act === 'frame' && node !== undefined && !pregel.test(node) ? 'agent' : act);
    if (reading.act === 'agent') fill(reading, 'subject', text(attributes, 'agent.name') ?? node ?? name);
    if (reading.act === 'tool') fill(reading, 'subject', text(attributes, 'tool.name', 'tool_call.function.name') ?? name);
    if (reading.act === 'database') fill(reading, 'subject', name);
    if (reading.act === 'model') {
      fill(reading, 'subject', text(attributes, 'llm.model_name', 'embedding.model_name', 'reranker.model_name'));
      fill(reading, 'provider', text(attributes, 'llm.provider', 'llm.system'));
      fill(reading, 'tokensIn', quantity(attributes, 'llm.token_count.prompt'));
      fill(reading, 'tokensOut', quantity(attributes, 'llm.token_count.completion'));
      fill(reading, 'tokensCached', quantity(attributes, 'llm.token_count.prompt_details.cache_read'));
      fill(reading, 'costUsd', quantity(attributes, 'llm.cost.total'));
      fill(reading, 'messages', indexedMessages(attributes, 'llm.input_messages.'));
    }
    fill(reading, 'conversation', text(attributes, 'session.id'));
    return true;
  },
};

const acts: { readonly [kind: string]: Act | undefined } = {
  AGENT: 'agent',
  TOOL: 'tool',
  LLM: 'model',
  EMBEDDING: 'model',
  RERANKER: 'model',
  RETRIEVER: 'database',
  CHAIN: 'frame',
  GUARDRAIL: 'frame',
  EVALUATOR: 'frame',
  PROMPT: 'frame',
};

/** LangGraph's own marks for the ends of a graph. */
const pregel = /^__.*__$/;
