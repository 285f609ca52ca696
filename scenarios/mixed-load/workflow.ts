import { pbkdf2Sync } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { agent, codeAgent, workflow, z } from 'dmas-opt';

const question = z.object({ id: z.int(), kind: z.enum(['lookup', 'report']) });

export const profile = agent('profile', { input: z.object({ id: z.int() }), output: z.object({ name: z.string() }), effect: 'readOnly' });
export const orders = agent('orders', {
  input: z.object({ id: z.int() }),
  output: z.object({ orders: z.array(z.string()) }),
  effect: 'readOnly',
});
export const stock = agent('stock', {
  input: z.object({ items: z.array(z.string()) }),
  output: z.object({ available: z.int() }),
  effect: 'readOnly',
});
export const crunch = agent('crunch', { input: z.object({ id: z.int() }), output: z.object({ digest: z.string() }), effect: 'readOnly' });
export const desk = agent('desk', { input: question, output: z.object({ answer: z.string() }), effect: 'readOnly' });

/** Three agents that wait for a database most of the time. */
export const profileAgent = codeAgent(profile, async ({ id }) => {
  await sleep(4);
  return { name: `customer-${id}` };
});
export const ordersAgent = codeAgent(orders, async ({ id }) => {
  await sleep(6);
  return { orders: Array.from({ length: 1 + (id % 5) }, (_, n) => `order-${id}-${n}`) };
});
export const stockAgent = codeAgent(stock, async ({ items }) => {
  await sleep(5);
  return { available: items.length * 3 };
});

/** One agent that computes: key stretching stands for any work that holds the event loop. */
export const crunchAgent = codeAgent(crunch, async ({ id }) => ({
  digest: pbkdf2Sync(`report-${id}`, 'salt', 600_000, 32, 'sha256').toString('hex').slice(0, 16),
}));

export const deskAgent = codeAgent(
  desk,
  async ({ id, kind }, ctx) => {
    if (kind === 'report') {
      const { digest } = await ctx.call(crunch, { id });
      return { answer: `report ${id}: ${digest}` };
    }
    const [who, what] = await Promise.all([ctx.call(profile, { id }), ctx.call(orders, { id })]);
    const { available } = await ctx.call(stock, { items: what.orders });
    return { answer: `${who.name} has ${what.orders.length} orders, ${available} in stock` };
  },
  { calls: [profile, orders, stock, crunch] },
);

export default workflow({ name: 'mixed-load', entry: desk, parts: [deskAgent, profileAgent, ordersAgent, stockAgent, crunchAgent] });
