import { SystemMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { MessagesAnnotation, START, StateGraph } from '@langchain/langgraph';
import { ToolNode, toolsCondition } from '@langchain/langgraph/prebuilt';
import { z } from 'zod';
import { OpenAiChat } from './model.ts';

const stock = tool(async ({ part }) => JSON.stringify({ part, pieces: (part.length * 37) % 120 }), {
  name: 'stock',
  description: 'How many pieces of a part are in the warehouse',
  schema: z.object({ part: z.string() }),
});

const delivery = tool(async ({ city }) => JSON.stringify({ city, days: 1 + (city.length % 5) }), {
  name: 'delivery',
  description: 'Days until a parcel is in a city',
  schema: z.object({ city: z.string() }),
});

const tools = [stock, delivery];
const model = new OpenAiChat('gpt-4o-mini').bindTools(tools);
const system = new SystemMessage('You answer questions of customers of a shop for spare parts. Look things up before you answer.');

/** A model that calls tools until it can answer. */
async function agent(state: typeof MessagesAnnotation.State) {
  return { messages: [await model.invoke([system, ...state.messages])] };
}

export const app = new StateGraph(MessagesAnnotation)
  .addNode('agent', agent)
  .addNode('tools', new ToolNode(tools))
  .addEdge(START, 'agent')
  .addConditionalEdges('agent', toolsCondition, ['tools', '__end__'])
  .addEdge('tools', 'agent')
  .compile();
