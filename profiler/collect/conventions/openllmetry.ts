import { type Act, type Convention, fill, quantity, text } from './convention.ts';
import { indexedMessages } from './messages.ts';

/**
 * Traceloop's OpenLLMetry, which also writes older gen_ai names; those are read by `genai.ts`.
 * Source: https://github.com/traceloop/openllmetry, package opentelemetry-semantic-conventions-ai
 */
export const openllmetry: Convention = {
  id: 'openllmetry',
  read({ attributes, name }, reading) {
    const kind = text(attributes, 'traceloop.span.kind');
    const request = text(attributes, 'llm.request.type');
    if (kind === undefined && request === undefined && !attributes.has('traceloop.workflow.name')) return false;
    const act = kind === undefined ? undefined : acts[kind.toLowerCase()];
    fill(reading, 'act', act ?? (request === undefined || request === 'unknown' ? undefined : 'model'));
    const entity = text(attributes, 'traceloop.entity.name') ?? name.replace(/\.(agent|tool|task|workflow)$/, '');
    if (reading.act === 'agent' || reading.act === 'tool') fill(reading, 'subject', entity);
    if (reading.act === 'model') {
      fill(reading, 'subject', text(attributes, 'gen_ai.request.model', 'llm.request.model', 'llm.response.model'));
      fill(reading, 'tokensIn', quantity(attributes, 'llm.usage.prompt_tokens'));
      fill(reading, 'tokensOut', quantity(attributes, 'llm.usage.completion_tokens'));
      fill(reading, 'tokensCached', quantity(attributes, 'llm.usage.cache_read_input_tokens'));
      fill(reading, 'messages', indexedMessages(attributes, 'llm.prompts.'));
    }
    const session = text(
      attributes,
      'traceloop.association.properties.session_id',
      'traceloop.association.properties.conversation_id',
      'traceloop.association.properties.thread_id',
    );
    fill(reading, 'conversation', session);
    return true;
  },
};

const acts: { readonly [kind: string]: Act | undefined } = { agent: 'agent', tool: 'tool', task: 'frame', workflow: 'frame' };
