import { Agent, handoff, tool } from '@openai/agents';
import { z } from 'zod';

const model = 'gpt-4.1-mini';

const trackOrder = tool({
  name: 'track_order',
  description: 'Where an order is',
  parameters: z.object({ order: z.string() }),
  execute: async ({ order }) => ({ order, status: order.endsWith('7') ? 'delayed' : 'on its way', days: (order.length % 3) + 1 }),
});

const issueRefund = tool({
  name: 'issue_refund',
  description: 'Pays the price of an order back',
  parameters: z.object({ order: z.string(), reason: z.string() }),
  execute: async ({ order }) => ({ order, refunded: true }),
});

export const policyAgent = new Agent({
  name: 'Policy Agent',
  model,
  instructions: 'You know the terms of the shop. Say in one sentence what they allow.',
});

export const orderAgent = new Agent({
  name: 'Order Agent',
  model,
  handoffDescription: 'Answers questions about where an order is',
  instructions: 'You track orders and tell customers when theirs arrives.',
  tools: [trackOrder],
});

export const refundAgent = new Agent({
  name: 'Refund Agent',
  model,
  handoffDescription: 'Decides on refunds and pays them',
  instructions: 'You handle refunds. Ask what the policy allows before you pay anything.',
  tools: [policyAgent.asTool({ toolName: 'ask_policy', toolDescription: 'What the terms of the shop say about a case' }), issueRefund],
});

export const triageAgent = new Agent({
  name: 'Triage Agent',
  model,
  instructions: 'You find out what a customer needs and hand them to the right colleague. Greet those who only say hello.',
  handoffs: [orderAgent, handoff(refundAgent)],
});
