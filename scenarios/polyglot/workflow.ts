import { agent, codeAgent, elsewhere, workflow, z } from 'dmas-opt';

const topic = z.object({ topic: z.string() });

// Contracts: what others see of each part, whatever it is written in.
export const desk = agent('desk', {
  description: 'Answers a question about a topic',
  input: topic,
  output: z.object({ text: z.string(), score: z.number() }),
});
export const researcher = agent('researcher', {
  description: 'Collects what is known of a topic',
  input: topic,
  output: z.object({ summary: z.string(), sources: z.int() }),
});
export const reviewer = agent('reviewer', {
  description: 'Scores a text',
  input: z.object({ text: z.string() }),
  output: z.object({ score: z.number(), remark: z.string() }),
});
export const facts = agent('facts', {
  description: 'Holds facts by topic',
  input: z.object({ topic: z.string(), kind: z.enum(['place', 'history']) }),
  output: z.object({ fact: z.string() }),
});
export const editor = agent('editor', {
  description: 'Puts a text into house style',
  input: z.object({ text: z.string() }),
  output: z.object({ text: z.string() }),
});

// TypeScript: these can share a process or have one each.
export const deskAgent = codeAgent(
  desk,
  async ({ topic }, { call }) => {
    const { summary, sources } = await call(researcher, { topic });
    const { text } = await call(editor, { text: `${summary} (${sources} sources)` });
    const { score, remark } = await call(reviewer, { text });
    return { text: `${text} ${remark}`, score };
  },
  { calls: [researcher, editor, reviewer] },
);
export const editorAgent = codeAgent(editor, async ({ text }) => ({ text: `${text.charAt(0).toUpperCase()}${text.slice(1)}.` }));
export const factsAgent = codeAgent(facts, async ({ topic, kind }) => ({
  fact: kind === 'place' ? `${topic} lies by the sea` : `${topic} was founded long ago`,
}));

// Python: what they are started with stands in scenario.yaml.
export const researcherElsewhere = elsewhere(researcher, { speaks: 'http-json', calls: [facts] });
export const reviewerElsewhere = elsewhere(reviewer, { speaks: 'a2a' });

export default workflow({
  name: 'polyglot',
  entry: desk,
  parts: [deskAgent, editorAgent, factsAgent, researcherElsewhere, reviewerElsewhere],
});
