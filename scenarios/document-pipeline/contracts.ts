import { agent, z } from 'dmas-opt';

/** Which document, how large: the first agent fetches it, so requests stay small and everything behind them is not. */
export const job = z.object({ document: z.int().nonnegative(), sizeKb: z.int().min(10).max(2000), query: z.string() });

const passage = z.object({ id: z.int(), text: z.string() });
const scored = z.object({ id: z.int(), text: z.string(), score: z.number() });
export const summary = z.object({
  document: z.int(),
  passages: z.int(),
  kept: z.int(),
  best: z.array(z.object({ id: z.int(), score: z.number(), start: z.string() })),
});

export const fetchDocument = agent('fetch', { description: 'Fetches a document', input: job, output: summary, effect: 'readOnly' });
export const clean = agent('clean', {
  description: 'Normalizes white space and case',
  input: z.object({ document: z.int(), query: z.string(), text: z.string() }),
  output: summary,
  effect: 'readOnly',
});
export const chunk = agent('chunk', {
  description: 'Cuts a text into overlapping passages',
  input: z.object({ document: z.int(), query: z.string(), text: z.string() }),
  output: summary,
  effect: 'readOnly',
});
export const deduplicate = agent('deduplicate', {
  description: 'Drops passages that are nearly the same as an earlier one',
  input: z.object({ document: z.int(), query: z.string(), passages: z.array(passage) }),
  output: summary,
  effect: 'readOnly',
});
export const rank = agent('rank', {
  description: 'Ranks passages against the query by TF-IDF',
  input: z.object({ document: z.int(), query: z.string(), total: z.int(), passages: z.array(passage) }),
  output: summary,
  effect: 'readOnly',
});
export const digest = agent('digest', {
  description: 'Keeps the best passages and reports',
  input: z.object({ document: z.int(), total: z.int(), passages: z.array(scored) }),
  output: summary,
  effect: 'readOnly',
});
