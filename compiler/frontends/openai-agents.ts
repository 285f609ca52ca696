import { z } from 'zod';
import { defineFrontend } from './frontend.ts';

/** Agents of the OpenAI Agents SDK: each becomes an agent of its own; hand-offs and agents as tools become calls. */
export const openaiAgents = defineFrontend({
  id: 'openai-agents',
  title: 'OpenAI Agents SDK',
  options: z.strictObject({}),
  traits: { extensions: ['.ts', '.mts', '.js', '.mjs'], peer: '@openai/agents' },
  load: async () => (await import('./openai-agents/read.ts')).openaiAgentsFrontend,
});
