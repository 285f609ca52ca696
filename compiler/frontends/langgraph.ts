import { z } from 'zod';
import { defineFrontend } from './frontend.ts';

/** LangGraph.js graphs: the framework runs the loop in a hub, its nodes can be placed anywhere. */
export const langgraph = defineFrontend({
  id: 'langgraph',
  title: 'LangGraph.js',
  options: z.strictObject({}),
  traits: { extensions: ['.ts', '.mts', '.js', '.mjs'], peer: '@langchain/langgraph' },
  load: async () => (await import('./langgraph/read.ts')).langgraphFrontend,
});
