import { agent, z } from 'dmas-opt';

/** What a request says of its turn: the session the load driver plays, seen from outside. Tokens only, no text. */
const lengths = z.object({ promptTokens: z.int().positive(), outputTokens: z.int().positive() });
export const turn = lengths.extend({
  session: z.int(),
  turn: z.int(),
  byUser: z.boolean(),
  /** Tokens of system prompt and tools, the same in every prompt. */
  sharedTokens: z.int(),
  /** Grows when the conversation is compacted or rewritten; what an engine has cached of it is then of no use. */
  epoch: z.int(),
  subagents: z.array(z.object({ steps: z.array(lengths) })),
});

/** One call of a model. `conversation` says whose context the prompt is. */
export const prompt = lengths.extend({ conversation: z.string(), sharedTokens: z.int() });
const said = z.object({ text: z.string() });

export const orchestrator = agent('orchestrator', {
  description: 'Takes the turns of coding sessions and starts sub-agents',
  input: turn,
  output: z.object({ text: z.string(), reports: z.int() }),
  chunk: z.object({ text: z.string() }),
  effect: 'readOnly',
});
const step = { input: prompt, output: said, effect: 'readOnly' } as const;
export const coder = agent('coder', { description: 'Goes on with the session', ...step, chunk: z.object({ text: z.string() }) });
export const explorer = agent('explorer', { description: 'Looks through the code for one question', ...step });
export const reviewer = agent('reviewer', { description: 'Runs the tests and reads the change', ...step });
