import { agent, blackboard, tool, z } from 'dmas-opt';

const message = z.object({ text: z.string(), topic: z.enum(['finance', 'hr', 'support']) });
const answer = z.object({ text: z.string(), turn: z.int() });

export const desk = agent('desk', { description: 'Routes a question to the right department', input: message, output: answer });
export const finance = agent('finance', {
  description: 'Answers questions about invoices',
  input: z.object({ text: z.string() }),
  output: z.object({ text: z.string() }),
  effect: 'readOnly',
});
export const hr = agent('hr', {
  description: 'Answers questions about staff, with personal data',
  input: z.object({ text: z.string() }),
  output: z.object({ text: z.string() }),
  effect: 'readOnly',
});
export const support = agent('support', {
  description: 'Searches the public web for product help',
  input: z.object({ text: z.string() }),
  output: z.object({ text: z.string() }),
  effect: 'readOnly',
});

export const staffRecord = tool('staff-record', {
  description: 'Looks up a staff record',
  input: z.object({ text: z.string() }),
  output: z.object({ employee: z.string(), daysOff: z.int() }),
  effect: 'readOnly',
});
export const webSearch = tool('web-search', {
  description: 'Searches the public web',
  input: z.object({ text: z.string() }),
  output: z.object({ hits: z.array(z.string()) }),
  effect: 'readOnly',
});

/** How many questions each department has had, over all sessions. */
export const counters = blackboard('counters', z.int());
