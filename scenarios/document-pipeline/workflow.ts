import { codeAgent, workflow } from 'dmas-opt';
import { chunk, clean, deduplicate, digest, fetchDocument, rank } from './contracts.ts';
import { cut, makeDocument, normalize, rankByTfIdf, withoutNearDuplicates } from './text.ts';

export const fetchAgent = codeAgent(
  fetchDocument,
  ({ document, sizeKb, query }, ctx) => ctx.call(clean, { document, query, text: makeDocument(document, sizeKb) }),
  { calls: [clean] },
);
export const cleanAgent = codeAgent(clean, ({ text, ...rest }, ctx) => ctx.call(chunk, { ...rest, text: normalize(text) }), {
  calls: [chunk],
});
export const chunkAgent = codeAgent(chunk, ({ text, ...rest }, ctx) => ctx.call(deduplicate, { ...rest, passages: cut(text, 1200, 200) }), {
  calls: [deduplicate],
});
export const deduplicateAgent = codeAgent(
  deduplicate,
  ({ passages, ...rest }, ctx) => ctx.call(rank, { ...rest, total: passages.length, passages: withoutNearDuplicates(passages) }),
  { calls: [rank] },
);
export const rankAgent = codeAgent(
  rank,
  ({ query, passages, ...rest }, ctx) => ctx.call(digest, { ...rest, passages: rankByTfIdf(query, passages) }),
  { calls: [digest] },
);
export const digestAgent = codeAgent(digest, async ({ document, total, passages }) => ({
  document,
  passages: total,
  kept: passages.length,
  best: passages.slice(0, 5).map(({ id, score, text }) => ({ id, score, start: text.slice(0, 40) })),
}));

export default workflow({
  name: 'document-pipeline',
  entry: fetchDocument,
  parts: [fetchAgent, cleanAgent, chunkAgent, deduplicateAgent, rankAgent, digestAgent],
});
